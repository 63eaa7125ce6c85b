// POSIX files: mmap for reading; temporary name, fsync and rename for writing.
//
// Bites: an output that exists and is no regular file (/dev/null, a pipe) is written in place, since renaming over it
// would replace the device; a symbolic link is followed, so that the file it names is replaced and not the link.
#include "formats/file.h"

#include <fcntl.h>
#include <glob.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "formats/check.h"
#include "formats/error.h"

namespace sixteen {
namespace {

// Joins the system's reason for the last failure to what failed.
[[noreturn]] void fail_with_reason(const std::string& path, const char* what) {
  const int reason = errno;
  fail(path, ": ", what, ": ", std::strerror(reason));
}

int open_for_reading(const std::string& path, size_t* size) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail_with_reason(path, "cannot open");
  struct stat status {};
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(fd);
    fail(path, ": expected a regular file, found ", S_ISDIR(status.st_mode) ? "a folder" : "something else");
  }
  *size = static_cast<size_t>(status.st_size);
  return fd;
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

void write_all(int fd, const std::string& path, const void* data, size_t bytes) {
  const char* next = static_cast<const char*>(data);
  for (size_t left = bytes; left > 0;) {
    const ssize_t written = ::write(fd, next, left);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_with_reason(path, "cannot write");
    next += written;
    left -= static_cast<size_t>(written);
  }
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const int fd = open_for_reading(path, &size_);
  if (size_ > 0) {
    void* address = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
    if (address == MAP_FAILED) {
      const int reason = errno;
      close(fd);
      errno = reason;
      fail_with_reason(path, "cannot map into memory");
    }
    data_ = static_cast<const std::byte*>(address);
  }
  close(fd);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::will_need(size_t offset, size_t bytes) const {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE)), begin = offset / page * page;
  if (begin >= size_) return;
  const size_t end = offset + std::min(bytes, size_ - std::min(offset, size_));
  madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_WILLNEED);  // advice: refusing it loses nothing
}

OutputFile::OutputFile(const std::string& path) : path_(path) {
  struct stat status {};
  const bool exists = stat(path.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) fail(path, ": expected a file to write, found a folder");
  if (exists && access(path.c_str(), W_OK) != 0) fail_with_reason(path, "cannot overwrite");
  if (exists && !S_ISREG(status.st_mode)) {
    fd_ = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd_ < 0) fail_with_reason(path, "cannot open for writing");
    return;
  }
  if (exists) {
    char* resolved = realpath(path.c_str(), nullptr);
    if (resolved == nullptr) fail_with_reason(path, "cannot resolve");
    path_ = resolved;
    std::free(resolved);
  }
  temporary_ = path_ + ".tmp-" + std::to_string(getpid());
  fd_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) fail_with_reason(path, "cannot create");
}

OutputFile::~OutputFile() {
  if (fd_ < 0) return;
  close(fd_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void OutputFile::write(const void* data, size_t bytes) {
  CHECK(fd_ >= 0);
  write_all(fd_, path_, data, bytes);
  size_ += bytes;
}

void OutputFile::write_at(uint64_t offset, const void* data, size_t bytes) {
  CHECK(fd_ >= 0 && offset + bytes <= size_);
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = pwrite(fd_, next, bytes, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_with_reason(path_, "cannot write");
    next += written;
    offset += static_cast<uint64_t>(written);
    bytes -= static_cast<size_t>(written);
  }
}

void OutputFile::commit() {
  CHECK(fd_ >= 0);
  const bool regular = !temporary_.empty();
  if (regular && fsync(fd_) != 0) fail_with_reason(path_, "cannot write to disk");
  const int fd = std::exchange(fd_, -1);
  if (close(fd) != 0) {
    const int reason = errno;
    if (regular) unlink(temporary_.c_str());
    errno = reason;
    fail_with_reason(path_, "cannot write to disk");
  }
  if (!regular) return;
  if (rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int reason = errno;
    unlink(temporary_.c_str());
    errno = reason;
    fail_with_reason(path_, "cannot rename the finished file to this name");
  }
  // The file is complete under its name; a folder that cannot be synced (some network file systems) is no failure.
  const int folder = open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    fsync(folder);
    close(folder);
  }
}

AppendFile::AppendFile(const std::string& path, uint64_t keep) : path_(path), size_(keep) {
  fd_ = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd_ < 0) fail_with_reason(path, "cannot open for writing");
  struct stat status {};
  if (fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode)) fail(path, ": expected a regular file");
  if (static_cast<uint64_t>(status.st_size) < keep) fail(path, ": expected at least ", keep, " bytes, found ", status.st_size);
  if (ftruncate(fd_, static_cast<off_t>(keep)) != 0) fail_with_reason(path, "cannot write");
}

AppendFile::~AppendFile() { close(fd_); }

void AppendFile::append(const void* data, size_t bytes) {
  write_all(fd_, path_, data, bytes);
  size_ += bytes;
}

void AppendFile::sync() {
  if (fsync(fd_) != 0) fail_with_reason(path_, "cannot write to disk");
}

std::string read_text_file(const std::string& path) {
  const MappedFile file(path);
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

void write_file(const std::string& path, std::string_view content) {
  OutputFile file(path);
  file.write(content);
  file.commit();
}

std::vector<std::string> glob_files(const std::string& pattern) {
  if (access(pattern.c_str(), F_OK) == 0) return {pattern};
  glob_t matches{};
  const auto stop = [](const char*, int reason) { return reason == ENOENT || reason == ENOTDIR ? 0 : 1; };
  const int status = glob(pattern.c_str(), GLOB_NOSORT, stop, &matches);
  std::vector<std::string> paths(matches.gl_pathv, matches.gl_pathv + matches.gl_pathc);
  globfree(&matches);
  if (status != 0 && status != GLOB_NOMATCH) fail(pattern, ": cannot search: a folder is unreadable");
  if (paths.empty()) fail(pattern, ": no such file (quote patterns so that the shell leaves them alone)");
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace sixteen
