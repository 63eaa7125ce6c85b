// See zip.h. The directory is found from the end, each entry through it, and the local headers are only compared with it.
//
// Bites: every offset and length is the file's claim; sums are compared as "length > what is left", which cannot overflow.
#include "formats/zip.h"

#include <lzma.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "formats/error.h"

namespace sixteen {
namespace {

constexpr uint32_t kLocalMagic = 0x04034b50, kDirectoryMagic = 0x02014b50, kEndMagic = 0x06054b50;
constexpr uint32_t kEnd64Magic = 0x06064b50, kLocator64Magic = 0x07064b50;
constexpr size_t kLocalBytes = 30, kDirectoryBytes = 46, kEndBytes = 22, kEnd64Bytes = 56, kLocator64Bytes = 20;
constexpr uint32_t kInZip64 = 0xffffffff;  // "see the zip64 field"
constexpr uint16_t kZip64Field = 1;
constexpr uint64_t kMaxEntries = 65535;  // a model has hundreds

class ZipReader {
 public:
  ZipReader(std::span<const std::byte> file, const std::string& where) : file_(file), where_(where) {}

  std::vector<ZipEntry> read() {
    find_directory();
    if (count_ > kMaxEntries) fail(where_, ": zip: ", count_, " entries, expected at most ", kMaxEntries);
    std::vector<ZipEntry> entries;
    std::set<std::string> names;
    uint64_t next = directory_;
    for (uint64_t i = 0; i < count_; ++i) {
      entries.push_back(read_entry(&next));
      if (!names.insert(entries.back().name).second) fail(where_, ": zip: entry ", entries.back().name, " is there twice");
    }
    if (next != directory_end_) {
      fail(where_, ": zip: directory of ", count_, " entries ends at offset ", next, ", expected ", directory_end_);
    }
    check_overlap();
    return entries;
  }

 private:
  template <class Integer>
  Integer get(uint64_t offset) const {
    Integer value;
    if (offset > file_.size() || file_.size() - offset < sizeof value) {
      fail(where_, ": zip: truncated: expected ", sizeof value, " bytes at offset ", offset, ", the file has ", file_.size());
    }
    std::memcpy(&value, file_.data() + offset, sizeof value);
    return value;
  }

  // Refuses a range that is not wholly before `end`.
  void check_range(uint64_t offset, uint64_t bytes, uint64_t end, const std::string& what) const {
    if (offset > end || bytes > end - offset) {
      fail(where_, ": zip: ", what, ": ", bytes, " bytes at offset ", offset, " do not end before ", end);
    }
  }

  void find_directory();
  ZipEntry read_entry(uint64_t* next);
  void check_overlap();

  struct Range {
    uint64_t begin, end;
    std::string name;
  };
  std::span<const std::byte> file_;
  const std::string& where_;
  uint64_t count_ = 0, directory_ = 0, directory_end_ = 0;
  std::vector<Range> ranges_;  // of entries with their local headers
};

void ZipReader::find_directory() {
  if (file_.size() < kEndBytes || get<uint32_t>(file_.size() - kEndBytes) != kEndMagic) {
    fail(where_, ": zip: no end record in the last ", kEndBytes, " bytes; the file is truncated or has bytes behind its end");
  }
  uint64_t end = file_.size() - kEndBytes;
  count_ = get<uint16_t>(end + 10);
  uint64_t bytes = get<uint32_t>(end + 12);
  directory_ = get<uint32_t>(end + 16);
  bool split = get<uint32_t>(end + 4) != 0 || get<uint16_t>(end + 8) != count_ || get<uint16_t>(end + 20) != 0;
  if (end >= kLocator64Bytes && get<uint32_t>(end - kLocator64Bytes) == kLocator64Magic) {
    const uint64_t record = get<uint64_t>(end - kLocator64Bytes + 8);
    check_range(record, kEnd64Bytes, end - kLocator64Bytes, "zip64 end record");
    if (get<uint32_t>(record) != kEnd64Magic || record + kEnd64Bytes != end - kLocator64Bytes) {
      fail(where_, ": zip: offset ", record, ": expected a zip64 end record of ", kEnd64Bytes, " bytes");
    }
    const uint64_t count = get<uint64_t>(record + 32), size = get<uint64_t>(record + 40), start = get<uint64_t>(record + 48);
    split = split || get<uint64_t>(record + 16) != 0 || get<uint64_t>(record + 24) != count;
    if ((count_ != 0xffff && count_ != count) || (bytes != kInZip64 && bytes != size) ||
        (directory_ != kInZip64 && directory_ != start)) {
      fail(where_, ": zip: its two end records disagree about the directory");
    }
    count_ = count, bytes = size, directory_ = start;
    end = record;
  }
  if (split) fail(where_, ": zip: split over several files, or with a comment; expected neither");
  check_range(directory_, bytes, end, "directory");
  directory_end_ = directory_ + bytes;
  if (directory_end_ != end) fail(where_, ": zip: ", end - directory_end_, " bytes between the directory and its end record");
}

ZipEntry ZipReader::read_entry(uint64_t* next) {
  const uint64_t at = *next;
  check_range(at, kDirectoryBytes, directory_end_, "directory entry");
  if (get<uint32_t>(at) != kDirectoryMagic) fail(where_, ": zip: offset ", at, ": expected a directory entry");
  const uint16_t flags = get<uint16_t>(at + 8), method = get<uint16_t>(at + 10), name_bytes = get<uint16_t>(at + 28);
  const uint16_t extra_bytes = get<uint16_t>(at + 30), comment_bytes = get<uint16_t>(at + 32);
  const uint32_t crc = get<uint32_t>(at + 16);
  uint64_t coded = get<uint32_t>(at + 20), size = get<uint32_t>(at + 24), local = get<uint32_t>(at + 42);
  *next = at + kDirectoryBytes + name_bytes + extra_bytes + comment_bytes;
  check_range(at, *next - at, directory_end_, "directory entry");
  const std::string name(reinterpret_cast<const char*>(file_.data()) + at + kDirectoryBytes, name_bytes);
  const std::string what = "entry " + name;

  uint64_t field = at + kDirectoryBytes + name_bytes;
  const uint64_t fields_end = field + extra_bytes;
  while (fields_end - field >= 4) {
    const uint16_t id = get<uint16_t>(field), bytes = get<uint16_t>(field + 2);
    check_range(field + 4, bytes, fields_end, what + ": extra field");
    uint64_t value = field + 4;
    field = value + bytes;
    if (id != kZip64Field) continue;
    for (uint64_t* number : {&size, &coded, &local}) {
      if (*number != kInZip64) continue;
      check_range(value, 8, field, what + ": zip64 field");
      *number = get<uint64_t>(value);
      value += 8;
    }
  }
  if ((flags & 1) != 0) fail(where_, ": zip: ", what, " is encrypted");
  if (method != 0) fail(where_, ": zip: ", what, " is compressed (method ", method, method == 8 ? ", deflate" : "", "); PyTorch stores its entries plain");
  if (coded != size) fail(where_, ": zip: ", what, ": stored in ", coded, " bytes, but ", size, " long");

  check_range(local, kLocalBytes, directory_, what + ": local header");
  if (get<uint32_t>(local) != kLocalMagic) fail(where_, ": zip: ", what, ": expected a local header at offset ", local);
  const uint16_t local_name_bytes = get<uint16_t>(local + 26);
  const uint64_t data = local + kLocalBytes + local_name_bytes + get<uint16_t>(local + 28);
  check_range(data, size, directory_, what);
  if (get<uint16_t>(local + 8) != method || local_name_bytes != name_bytes ||
      std::memcmp(file_.data() + local + kLocalBytes, name.data(), name_bytes) != 0) {
    fail(where_, ": zip: ", what, ": its local header at offset ", local, " says something else");
  }
  const std::span<const std::byte> bytes = file_.subspan(data, size);
  const uint32_t found = lzma_crc32(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), 0);  // zip's polynomial
  if (found != crc) fail(where_, ": zip: ", what, ": damaged: expected CRC-32 ", crc, ", found ", found);
  ranges_.push_back({local, data + size, name});
  return {name, bytes};
}

void ZipReader::check_overlap() {
  std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
  for (size_t i = 1; i < ranges_.size(); ++i) {
    if (ranges_[i].begin < ranges_[i - 1].end) {
      fail(where_, ": zip: entry ", ranges_[i].name, " overlaps ", ranges_[i - 1].name, " at offset ", ranges_[i].begin);
    }
  }
}

}  // namespace

bool is_zip(std::span<const std::byte> file) {
  return file.size() >= sizeof kLocalMagic && std::memcmp(file.data(), &kLocalMagic, sizeof kLocalMagic) == 0;
}

std::vector<ZipEntry> parse_zip(std::span<const std::byte> file, const std::string& where) {
  return ZipReader(file, where).read();
}

}  // namespace sixteen
