// See torch_file.h.
#include "formats/torch_file.h"

#include <algorithm>
#include <cstring>

#include "formats/error.h"

namespace sixteen {
namespace {

using Kind = PickleValue::Kind;

constexpr std::string_view kRebuildTensor = "torch._utils._rebuild_tensor_v2";
constexpr std::string_view kRebuildParameter = "torch._utils._rebuild_parameter";
constexpr std::string_view kPickleName = "data.pkl";
constexpr int64_t kMaxRank = 8;

struct StorageType {
  std::string_view name;
  DType dtype;
};
constexpr StorageType kStorageTypes[] = {
    {"torch.DoubleStorage", DType::kF64},  {"torch.FloatStorage", DType::kF32}, {"torch.HalfStorage", DType::kF16},
    {"torch.BFloat16Storage", DType::kBF16}, {"torch.LongStorage", DType::kI64},  {"torch.IntStorage", DType::kI32},
    {"torch.ShortStorage", DType::kI16},   {"torch.CharStorage", DType::kI8},   {"torch.ByteStorage", DType::kU8},
    {"torch.BoolStorage", DType::kBool},   {"torch.storage.UntypedStorage", DType::kU8}, {"torch.UntypedStorage", DType::kU8}};

// Everything that a state dict may name. dtypes occur as plain values.
std::vector<PickleGlobal> known_globals() {
  std::vector<PickleGlobal> globals = {{kRebuildTensor, true}, {kRebuildParameter, true}};
  for (const StorageType& type : kStorageTypes) globals.push_back({type.name, false});
  for (const std::string_view dtype : {"torch.float64", "torch.float32", "torch.float16", "torch.bfloat16", "torch.int64",
                                       "torch.int32", "torch.int16", "torch.int8", "torch.uint8", "torch.bool"}) {
    globals.push_back({dtype, false});
  }
  return globals;
}

bool starts_with(std::span<const std::byte> file, std::string_view magic) {
  return file.size() >= magic.size() && std::memcmp(file.data(), magic.data(), magic.size()) == 0;
}

// Header byte 0x78 and the check over the first two bytes. Starts no .ptz of Brotli's usual windows.
bool looks_like_zlib(std::span<const std::byte> file) {
  return file.size() >= 2 && file[0] == std::byte{0x78} && (0x78 * 256 + static_cast<int>(file[1])) % 31 == 0;
}

// Brotli has no magic, so it is what is left.
Bytes decompress(Codec codec, std::span<const std::byte> file, const std::string& where) {
  try {
    return decode_up_to(codec, file, kMaxTorchFileBytes, std::string(codec_name(codec)));
  } catch (const Error& error) {
    fail(where, codec == Codec::kBrotli ? ": no PyTorch file: neither zip, xz nor zstd, so taken for Brotli: " : ": ", error.what(),
         "; was it copied whole?");
  }
}

}  // namespace

Bytes open_torch_container(std::span<const std::byte> file, const std::string& where) {
  Bytes bytes;
  if (file.empty()) {
    fail(where, ": no PyTorch file: it is empty");
  } else if (file.size() > kMaxTorchFileBytes) {
    fail(where, ": expected at most ", kMaxTorchFileBytes, " bytes, found ", file.size());
  } else if (starts_with(file, "\x80\x02\x8a\x0al\xfc\x9c" "F\xf9 j\xa8P\x19")) {
    fail(where, ": a PyTorch file of the old format, before 1.6, which is not read; load it in PyTorch and torch.save it again");
  } else if (looks_like_zlib(file)) {
    fail(where, ": compressed with zlib, which is not read; decompress it first: python3 -c \"import sys, zlib; "
         "sys.stdout.buffer.write(zlib.decompress(sys.stdin.buffer.read()))\" < IN > OUT");
  } else if (is_zip(file) || starts_with(file, "BSHF")) {
    bytes.assign(file.begin(), file.end());
  } else if (starts_with(file, {"\xfd" "7zXZ\0", 6})) {
    bytes = decompress(Codec::kXz, file, where);
  } else if (starts_with(file, "\x28\xb5\x2f\xfd")) {
    bytes = decompress(Codec::kZstd, file, where);
  } else {
    bytes = decompress(Codec::kBrotli, file, where);
  }
  bytes = unshuffle_with_header(bytes);
  if (!is_zip(bytes)) fail(where, ": no PyTorch file: expected a zip archive inside, found something else");
  return bytes;
}

int64_t TorchTensor::numel() const {
  int64_t product = 1;
  for (const int64_t dim : shape) product *= dim;
  return product;
}

Bytes TorchTensor::contiguous() const {
  const size_t unit = dtype_bytes(dtype);
  Bytes bytes(static_cast<size_t>(numel()) * unit);
  std::vector<int64_t> index(shape.size(), 0);
  int64_t element = offset;
  for (size_t at = 0; at < bytes.size(); at += unit) {
    std::memcpy(bytes.data() + at, storage.data() + static_cast<size_t>(element) * unit, unit);
    for (size_t d = shape.size(); d-- > 0;) {  // an odometer: the last dimension turns fastest
      if (shape[d] == 1) continue;  // its stride says nothing
      element += strides[d];
      if (++index[d] < shape[d]) break;
      element -= strides[d] * shape[d];
      index[d] = 0;
    }
  }
  return bytes;
}

TorchFile::TorchFile(Bytes zip, std::string where) : zip_(std::move(zip)), where_(std::move(where)) {
  std::span<const std::byte> data;
  for (const ZipEntry& entry : parse_zip(zip_, where_)) {
    entries_.emplace(entry.name, entry.bytes);
    const size_t slash = entry.name.find('/');
    if (slash == std::string::npos || entry.name.substr(slash + 1) != kPickleName) continue;
    if (!prefix_.empty()) fail(where_, ": both ", prefix_, kPickleName, " and ", entry.name, ", expected one pickle");
    prefix_ = entry.name.substr(0, slash + 1);
    data = entry.bytes;
  }
  if (prefix_.empty()) fail(where_, ": a zip archive without ", kPickleName, ", so no PyTorch file");
  const auto order = entries_.find(prefix_ + "byteorder");
  if (order != entries_.end() && !starts_with(order->second, "little")) {
    fail(where_, ": written on a big-endian machine, which is not read");
  }
  static const std::vector<PickleGlobal> globals = known_globals();
  pickle_ = parse_pickle(data, globals, where_);
}

bool TorchFile::is_tensor(const PickleValue& value) {
  return value.is(Kind::kCall) && (value.text == kRebuildTensor || value.text == kRebuildParameter);
}

// The persistent id ("storage", type, key, location, elements).
std::span<const std::byte> TorchFile::storage_of(const PickleValue& value, const std::string& what, DType* dtype) const {
  const PickleValue* id = value.is(Kind::kPersistent) ? value.items[0] : nullptr;
  if (id == nullptr || !id->is(Kind::kTuple) || id->items.size() != 5 || !id->items[0]->is(Kind::kString) ||
      id->items[0]->text != "storage" || !id->items[1]->is(Kind::kGlobal) || !id->items[2]->is(Kind::kString) ||
      !id->items[4]->is(Kind::kInt)) {
    fail(what, ": expected a storage, found ", describe(value));
  }
  const auto type = std::find_if(std::begin(kStorageTypes), std::end(kStorageTypes),
                                 [&](const StorageType& t) { return t.name == id->items[1]->text; });
  if (type == std::end(kStorageTypes)) fail(what, ": ", id->items[1]->text, " is no storage type");
  *dtype = type->dtype;
  const std::string name = prefix_ + "data/" + id->items[2]->text;
  const auto entry = entries_.find(name);
  if (entry == entries_.end()) fail(what, ": storage ", name, " is missing");
  const std::span<const std::byte> bytes = entry->second;
  const int64_t elements = id->items[4]->integer;
  const size_t unit = dtype_bytes(*dtype);
  if (elements < 0 || bytes.size() % unit != 0 || static_cast<uint64_t>(elements) != bytes.size() / unit) {
    fail(what, ": storage ", name, ": expected ", elements, " elements of ", unit, " bytes, found ", bytes.size(), " bytes");
  }
  return bytes;
}

namespace {

std::vector<int64_t> integers(const PickleValue& tuple, const std::string& what) {
  if (!tuple.is(Kind::kTuple) || tuple.items.size() > kMaxRank) fail(what, ": expected up to ", kMaxRank, " integers, found ", describe(tuple));
  std::vector<int64_t> values;
  for (const PickleValue* item : tuple.items) {
    if (!item->is(Kind::kInt) || item->integer < 0) fail(what, ": expected integers from 0, found ", describe(*item));
    values.push_back(item->integer);
  }
  return values;
}

// Refuses a view that leaves its storage of `elements`, or that shows elements more than once so that it outgrows it.
void check_view(const TorchTensor& t, int64_t elements, const std::string& what) {
  int64_t numel = 1, last = t.offset;
  bool overflow = t.offset < 0;
  for (size_t d = 0; d < t.shape.size(); ++d) {
    int64_t reach = 0;
    if (t.shape[d] == 0) fail(what, ": has no elements");
    overflow = overflow || __builtin_mul_overflow(numel, t.shape[d], &numel) ||
               __builtin_mul_overflow(t.shape[d] - 1, t.strides[d], &reach) || __builtin_add_overflow(last, reach, &last);
  }
  if (overflow || last >= elements || numel > elements) {
    fail(what, ": its shape, strides and offset leave its storage of ", elements, " elements");
  }
}

}  // namespace

TorchTensor TorchFile::tensor(const PickleValue& value, const std::string& name) const {
  const std::string what = where_ + ": tensor " + name;
  const PickleValue* call = &value;
  if (call->is(Kind::kCall) && call->text == kRebuildParameter) {  // (tensor, requires_grad, hooks)
    const auto& arguments = call->items[0]->items;
    if (arguments.size() != 3) fail(what, ": ", kRebuildParameter, " with ", arguments.size(), " arguments, expected 3");
    call = arguments[0];
  }
  if (!call->is(Kind::kCall) || call->text != kRebuildTensor) fail(what, ": expected a tensor, found ", describe(*call));
  const auto& a = call->items[0]->items;  // storage, offset, shape, strides, requires_grad, hooks[, metadata]
  if (a.size() < 6 || a.size() > 7) fail(what, ": ", kRebuildTensor, " with ", a.size(), " arguments, expected 6 or 7");
  TorchTensor tensor;
  tensor.storage = storage_of(*a[0], what, &tensor.dtype);
  if (!a[1]->is(Kind::kInt)) fail(what, ": expected an offset, found ", describe(*a[1]));
  tensor.offset = a[1]->integer;
  tensor.shape = integers(*a[2], what + ": shape");
  tensor.strides = integers(*a[3], what + ": strides");
  if (tensor.shape.size() != tensor.strides.size()) {
    fail(what, ": ", tensor.shape.size(), " dimensions, but ", tensor.strides.size(), " strides");
  }
  check_view(tensor, static_cast<int64_t>(tensor.storage.size() / dtype_bytes(tensor.dtype)), what);
  return tensor;
}

}  // namespace sixteen
