// Files: read-only mappings, whole-file reads, patterns, and outputs that appear complete or not at all.
//
// Bites: an OutputFile that is destroyed without commit() leaves nothing behind; commit() syncs the file, renames it over
// its final name and syncs the folder. Every failure throws Error with the path and the system's reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sixteen {

// A file mapped read-only for the lifetime of the object. Movable. An empty file is an empty span.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Advice to fetch a range from the disk ahead of its use; a range beyond the end is cut off.
  void will_need(size_t offset, size_t bytes) const;

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Writes to PATH.tmp-PID; commit() makes it PATH. write() and commit() throw Error when the disk is full or unwritable.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void write_at(uint64_t offset, const void* data, size_t bytes);  // for a header known only at the end
  uint64_t size() const { return size_; }
  void commit();

 private:
  std::string path_, temporary_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

// A file that grows at its end and is never rewritten: what a killed program leaves is a prefix of what it wrote. Opening one that is
// there cuts it to `keep` bytes.
class AppendFile {
 public:
  AppendFile(const std::string& path, uint64_t keep);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }
  void append(const void* data, size_t bytes);
  void sync();  // what was appended survives a power cut from here on

 private:
  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

std::string read_text_file(const std::string& path);
void write_file(const std::string& path, std::string_view content);  // atomic, through OutputFile

// Files matching a shell pattern, in lexicographic order; a plain path matches itself. None found: throws Error.
std::vector<std::string> glob_files(const std::string& pattern);

}  // namespace sixteen
