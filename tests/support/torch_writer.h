// PyTorch's files written by hand: pickles opcode by opcode, zips whose every field can lie, and both together as torch.save does it.
#pragma once

#include <lzma.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "formats/dtype.h"
#include "tests/support/bytes.h"

namespace sixteen::testing {

// A protocol 2 pickle under construction; each call appends one opcode or a few.
class PickleWriter {
 public:
  PickleWriter() { bytes_ = std::string("\x80\x02", 2); }

  PickleWriter& raw(const std::string& bytes) {
    bytes_ += bytes;
    return *this;
  }
  PickleWriter& text(const std::string& s) { return raw("X").number(static_cast<uint32_t>(s.size())).raw(s); }
  PickleWriter& integer(int64_t value) { return raw(std::string("\x8a\x08", 2)).number(value); }
  PickleWriter& global(const std::string& module, const std::string& name) { return raw("c" + module + "\n" + name + "\n"); }
  PickleWriter& tuple(const std::vector<int64_t>& values) {
    raw("(");
    for (const int64_t value : values) integer(value);
    return raw("t");
  }
  PickleWriter& begin_dict() { return raw("}("); }
  PickleWriter& end_dict() { return raw("u"); }
  // _rebuild_tensor_v2 of a storage. `type`: "FloatStorage".
  PickleWriter& tensor(const std::string& type, const std::string& key, int64_t elements, const std::vector<int64_t>& shape,
                       const std::vector<int64_t>& strides, int64_t offset = 0) {
    global("torch._utils", "_rebuild_tensor_v2").raw("((").text("storage").global("torch", type).text(key).text("cpu");
    integer(elements).raw("tQ").integer(offset).tuple(shape).tuple(strides);
    return raw("\x89").global("collections", "OrderedDict").raw(")RtR");
  }
  std::string finish() const { return bytes_ + "."; }

 private:
  template <class Number>
  PickleWriter& number(Number value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  std::string bytes_;
};

struct ZipMember {
  std::string name;
  ByteVector bytes;
  uint16_t method = 0, flags = 0;
  uint32_t crc_error = 0;                           // xor
  std::optional<uint32_t> coded = {}, size = {}, local = {};  // lies of the directory
  std::string local_name = name;
};

inline ByteVector zip_of(const std::vector<ZipMember>& members) {
  ByteVector file, directory;
  const auto put = [](ByteVector* to, auto value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    to->insert(to->end(), bytes, bytes + sizeof value);
  };
  const auto header = [&](ByteVector* to, const ZipMember& m, bool local) {
    const uint32_t size = static_cast<uint32_t>(m.bytes.size());
    const uint32_t crc = lzma_crc32(reinterpret_cast<const uint8_t*>(m.bytes.data()), m.bytes.size(), 0) ^ m.crc_error;
    put(to, m.flags), put(to, m.method), put(to, uint32_t{0}), put(to, crc);
    put(to, local ? size : m.coded.value_or(size)), put(to, local ? size : m.size.value_or(size));
    put(to, static_cast<uint16_t>((local ? m.local_name : m.name).size())), put(to, uint16_t{0});
  };
  for (const ZipMember& m : members) {
    const uint32_t offset = static_cast<uint32_t>(file.size());
    put(&file, uint32_t{0x04034b50}), put(&file, uint16_t{20});
    header(&file, m, true);
    file = joined(joined(std::move(file), from_text(m.local_name)), m.bytes);
    put(&directory, uint32_t{0x02014b50}), put(&directory, uint16_t{20}), put(&directory, uint16_t{20});
    header(&directory, m, false);
    put(&directory, uint16_t{0}), put(&directory, uint32_t{0}), put(&directory, uint32_t{0});
    put(&directory, m.local.value_or(offset));
    directory = joined(std::move(directory), from_text(m.name));
  }
  const uint32_t start = static_cast<uint32_t>(file.size()), bytes = static_cast<uint32_t>(directory.size());
  const uint16_t count = static_cast<uint16_t>(members.size());
  file = joined(std::move(file), directory);
  put(&file, uint32_t{0x06054b50}), put(&file, uint32_t{0}), put(&file, count), put(&file, count);
  put(&file, bytes), put(&file, start), put(&file, uint16_t{0});
  return file;
}

// archive/data.pkl with storages archive/data/0, 1, ...
inline ByteVector torch_zip(const std::string& pickle, const std::vector<ByteVector>& storages = {},
                            const std::string& byteorder = "little") {
  std::vector<ZipMember> members = {{.name = "archive/data.pkl", .bytes = from_text(pickle)},
                                    {.name = "archive/byteorder", .bytes = from_text(byteorder)}};
  for (size_t i = 0; i < storages.size(); ++i) {
    members.push_back({.name = "archive/data/" + std::to_string(i), .bytes = storages[i]});
  }
  members.push_back({.name = "archive/version", .bytes = from_text("3\n")});
  return zip_of(members);
}

// A dictionary, nested or not, of tensors with a storage each.
class TorchWriter {
 public:
  PickleWriter& pickle() { return pickle_; }
  void tensor(const std::string& type, const std::vector<int64_t>& shape, ByteVector bytes, size_t unit) {
    std::vector<int64_t> strides(shape.size(), 1);
    for (size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * shape[d];
    pickle_.tensor(type, std::to_string(storages_.size()), static_cast<int64_t>(bytes.size() / unit), shape, strides);
    storages_.push_back(std::move(bytes));
  }
  void floats(const std::string& name, const std::vector<int64_t>& shape, const std::vector<float>& values) {
    pickle_.text(name);
    tensor("FloatStorage", shape, bytes_of(values), sizeof(float));
  }
  ByteVector file() const { return torch_zip(pickle_.finish(), storages_); }

 private:
  PickleWriter pickle_;
  std::vector<ByteVector> storages_;
};

}  // namespace sixteen::testing
