// The counted bytes of code: every file named, every regular file below a named folder.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sixteen {

struct CountedFile {
  std::string path;
  uint64_t bytes = 0;
};

// In lexicographic order, each file once. Throws Error for a path that does not exist.
std::vector<CountedFile> count_files(const std::vector<std::string>& paths);
uint64_t total_bytes(const std::vector<CountedFile>& files);

}  // namespace sixteen
