// A folder of a test's own, gone when the object is.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>

#include "formats/file.h"

namespace sixteen::testing {

class Scratch {
 public:
  Scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sixteen-test-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    folder_ = pattern;
  }
  ~Scratch() { std::filesystem::remove_all(folder_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const std::string& folder() const { return folder_; }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }

  // Writes a file there and returns its path.
  std::string write(const std::string& name, std::span<const std::byte> bytes) const {
    write_file(path(name), {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    return path(name);
  }

  // Without a sync, for files that change by the hundred.
  static void overwrite(const std::string& path, std::string_view content) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
  }

  // One byte of a file, in place.
  static void poke(const std::string& path, size_t offset, char byte) {
    std::fstream(path, std::ios::binary | std::ios::in | std::ios::out).seekp(static_cast<std::streamoff>(offset)).put(byte);
  }

  // Files in the folder, to see that nothing was left behind.
  size_t count() const {
    size_t files = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder_)) ++files;
    return files;
  }

 private:
  std::string folder_;
};

}  // namespace sixteen::testing
