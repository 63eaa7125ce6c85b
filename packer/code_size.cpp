// See code_size.h.
#include "packer/code_size.h"

#include <filesystem>
#include <map>

#include "formats/error.h"

namespace sixteen {

std::vector<CountedFile> count_files(const std::vector<std::string>& paths) {
  namespace fs = std::filesystem;
  std::map<std::string, CountedFile> files;  // by canonical path, so that a file named twice counts once
  const auto add = [&](const fs::path& path) { files[fs::canonical(path).string()] = {path.string(), fs::file_size(path)}; };
  for (const std::string& path : paths) {
    if (fs::is_regular_file(path)) {
      add(path);
    } else if (fs::is_directory(path)) {
      for (const auto& entry : fs::recursive_directory_iterator(path)) {
        if (entry.is_regular_file()) add(entry.path());
      }
    } else {
      fail("--code ", path, ": no such file or folder");
    }
  }
  std::vector<CountedFile> result;
  for (const auto& [key, file] : files) result.push_back(file);
  return result;
}

uint64_t total_bytes(const std::vector<CountedFile>& files) {
  uint64_t total = 0;
  for (const CountedFile& file : files) total += file.bytes;
  return total;
}

}  // namespace sixteen
