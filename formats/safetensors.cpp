// safetensors reader and writer (the format of huggingface/safetensors, README "Format").
//
// Bites: tensors of odd byte sizes leave later ones misaligned, so elements are copied out, never dereferenced in place.
#include "formats/safetensors.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "formats/check.h"
#include "formats/error.h"
#include "formats/json.h"
#include "formats/sha256.h"

namespace sixteen {
namespace {

using nlohmann::json;

constexpr size_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr size_t kAlignment = 8;
constexpr const char* kMetadataKey = "__metadata__";
constexpr const char* kHashKey = "sha256";

// False when the product of the dimensions and `unit` does not fit 63 bits.
bool checked_bytes(const std::vector<int64_t>& shape, size_t unit, uint64_t* bytes) {
  int64_t product = static_cast<int64_t>(unit);
  for (const int64_t dim : shape) {
    if (dim < 0 || __builtin_mul_overflow(product, dim, &product)) return false;
  }
  *bytes = static_cast<uint64_t>(product);
  return true;
}

// A non-negative integer of the header, or an error that names the field.
uint64_t take_size(const json& value, const std::string& field) {
  if (!value.is_number_unsigned()) fail(field, ": expected a non-negative integer, found ", print_json(value));
  const uint64_t size = value.get<uint64_t>();
  if (size > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) fail(field, ": ", size, " is too large");
  return size;
}

TensorView parse_entry(const std::string& name, const json& entry, std::span<const std::byte> data,
                       uint64_t data_offset, const std::string& where) {
  const std::string what = where + ": tensor " + name;
  if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") || !entry.contains("shape") ||
      !entry.contains("data_offsets")) {
    fail(what, ": expected exactly dtype, shape and data_offsets, found ", print_json(entry));
  }
  TensorView tensor;
  tensor.name = name;
  const json& dtype = entry.at("dtype");
  if (!dtype.is_string() || !parse_dtype(dtype.get<std::string>(), &tensor.dtype)) {
    fail(what, ": unknown dtype ", print_json(dtype));
  }
  if (!entry.at("shape").is_array()) fail(what, ": shape: expected an array, found ", print_json(entry.at("shape")));
  for (const json& dim : entry.at("shape")) {
    tensor.shape.push_back(static_cast<int64_t>(take_size(dim, what + ": shape")));
  }
  const json& offsets = entry.at("data_offsets");
  if (!offsets.is_array() || offsets.size() != 2) {
    fail(what, ": data_offsets: expected [begin, end], found ", print_json(offsets));
  }
  const uint64_t begin = take_size(offsets[0], what + ": data_offsets");
  const uint64_t end = take_size(offsets[1], what + ": data_offsets");
  if (begin > end || end > data.size()) {
    fail(what, ": data_offsets [", begin, ", ", end, "]: expected a range within the ", data.size(),
         " bytes of data (is the file truncated?)");
  }
  uint64_t expected = 0;
  if (!checked_bytes(tensor.shape, dtype_bytes(tensor.dtype), &expected) || expected != end - begin) {
    fail(what, ": ", dtype_name(tensor.dtype), " ", print_json(entry.at("shape")), " does not fill data_offsets [",
         begin, ", ", end, "]");
  }
  tensor.bytes = data.subspan(begin, end - begin);
  tensor.offset = data_offset + begin;
  return tensor;
}

// uncounted: begin
std::string build_header(std::span<const TensorView> tensors, const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kMetadataKey] = metadata;
  std::set<std::string> names = {kMetadataKey};
  uint64_t offset = 0;
  for (const TensorView& tensor : tensors) {
    uint64_t bytes = 0;
    CHECK(names.insert(tensor.name).second);
    CHECK(checked_bytes(tensor.shape, dtype_bytes(tensor.dtype), &bytes) && bytes == tensor.bytes.size());
    header[tensor.name] = {{"dtype", dtype_name(tensor.dtype)},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.resize((text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  return text;
}
// uncounted: end

template <class Element, class Convert>
void convert_elements(std::span<const std::byte> bytes, std::span<float> out, Convert convert) {
  for (size_t i = 0; i < out.size(); ++i) {
    Element element;
    std::memcpy(&element, bytes.data() + i * sizeof(Element), sizeof(Element));
    out[i] = convert(element);
  }
}

template <class Element>
void cast_elements(std::span<const std::byte> bytes, std::span<float> out) {
  convert_elements<Element>(bytes, out, [](Element element) { return static_cast<float>(element); });
}

}  // namespace

int64_t TensorView::numel() const {
  int64_t product = 1;
  for (const int64_t dim : shape) product *= dim;
  return product;
}

void parse_safetensors(std::span<const std::byte> file, const std::string& where, std::vector<TensorView>* tensors,
                       std::map<std::string, std::string>* metadata) {
  uint64_t header_bytes = 0;
  if (file.size() < kLengthBytes) {
    fail(where, ": no safetensors file: expected at least ", kLengthBytes, " bytes, found ", file.size());
  }
  std::memcpy(&header_bytes, file.data(), kLengthBytes);
  if (header_bytes > std::min<uint64_t>(kMaxHeaderBytes, file.size() - kLengthBytes)) {
    fail(where, ": no safetensors file, or truncated: offset 0: a header of ", header_bytes,
         " bytes does not fit the file's ", file.size());
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes, header_bytes);
  if (text.empty() || text[0] != '{') fail(where, ": no safetensors file: offset 8: expected \"{\"");
  const json header = parse_json_object(text, where + ": header at offset 8");
  const uint64_t data_offset = kLengthBytes + header_bytes;
  const std::span<const std::byte> data = file.subspan(data_offset);
  tensors->clear();
  metadata->clear();
  for (const auto& [name, entry] : header.items()) {
    if (name != kMetadataKey) {
      tensors->push_back(parse_entry(name, entry, data, data_offset, where));
      continue;
    }
    if (!entry.is_object()) fail(where, ": ", kMetadataKey, ": expected an object of strings");
    for (const auto& [key, value] : entry.items()) {
      if (!value.is_string()) fail(where, ": ", kMetadataKey, ": ", key, ": expected a string");
      metadata->emplace(key, value.get<std::string>());
    }
  }
  std::stable_sort(tensors->begin(), tensors->end(), [](const TensorView& a, const TensorView& b) {
    return a.offset != b.offset ? a.offset < b.offset : a.bytes.size() < b.bytes.size();
  });
  uint64_t next = data_offset;
  for (const TensorView& tensor : *tensors) {
    if (tensor.offset != next) {
      fail(where, ": tensor ", tensor.name, ": starts at offset ", tensor.offset, ", expected ", next,
           " (data must be without holes or overlap)");
    }
    next += tensor.bytes.size();
  }
  if (next != file.size()) fail(where, ": bytes behind the last tensor: expected ", next, ", found ", file.size());
}

SafetensorsFile::SafetensorsFile(const std::string& path) : file_(path) {
  parse_safetensors(file_.bytes(), path, &tensors_, &metadata_);
}

const TensorView* SafetensorsFile::find(const std::string& name) const {
  for (const TensorView& tensor : tensors_) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

const TensorView& SafetensorsFile::at(const std::string& name) const {
  const TensorView* tensor = find(name);
  if (tensor == nullptr) fail(path(), ": tensor ", name, " is missing");
  return *tensor;
}

// uncounted: begin
void write_safetensors(const std::string& path, std::span<const TensorView> tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::string header = build_header(tensors, metadata);
  const uint64_t header_bytes = header.size();
  OutputFile file(path);
  file.write(&header_bytes, kLengthBytes);
  file.write(header);
  for (const TensorView& tensor : tensors) file.write(tensor.bytes.data(), tensor.bytes.size());
  file.commit();
}
// uncounted: end

std::string content_hash(std::span<const TensorView> tensors, const std::map<std::string, std::string>& metadata) {
  Sha256Stream stream;
  // Every field is preceded by its length, so that no two contents feed the same bytes.
  const auto feed = [&stream](std::span<const std::byte> bytes) {
    const uint64_t size = bytes.size();
    stream.update(std::as_bytes(std::span(&size, 1)));
    stream.update(bytes);
  };
  const auto feed_text = [&feed](std::string_view text) { feed(std::as_bytes(std::span(text))); };
  feed_text(std::to_string(tensors.size()));
  for (const auto& [key, value] : metadata) {
    if (key == kHashKey) continue;
    feed_text(key);
    feed_text(value);
  }
  std::map<std::string_view, const TensorView*> by_name;
  for (const TensorView& tensor : tensors) by_name[tensor.name] = &tensor;
  CHECK(by_name.size() == tensors.size());
  for (const auto& [name, tensor] : by_name) {
    feed_text(name);
    feed_text(dtype_name(tensor->dtype));
    feed(std::as_bytes(std::span(tensor->shape)));
    feed(tensor->bytes);
  }
  return to_hex(stream.finish());
}

void copy_as_float(const TensorView& tensor, std::span<float> out) {
  const std::span<const std::byte> bytes = tensor.bytes;
  if (out.size() * dtype_bytes(tensor.dtype) != bytes.size()) {
    fail("tensor ", tensor.name, ": expected ", out.size(), " elements, found ", tensor.numel());
  }
  switch (tensor.dtype) {
    case DType::kF64: return cast_elements<double>(bytes, out);
    case DType::kF32: return cast_elements<float>(bytes, out);
    case DType::kF16: return convert_elements<uint16_t>(bytes, out, f16_to_float);
    case DType::kBF16: return convert_elements<uint16_t>(bytes, out, bf16_to_float);
    case DType::kI64: return cast_elements<int64_t>(bytes, out);
    case DType::kI32: return cast_elements<int32_t>(bytes, out);
    case DType::kI16: return cast_elements<int16_t>(bytes, out);
    case DType::kI8: return cast_elements<int8_t>(bytes, out);
    case DType::kU8: return cast_elements<uint8_t>(bytes, out);
    case DType::kBool: fail("tensor ", tensor.name, ": expected numbers, found BOOL");
  }
}

}  // namespace sixteen
