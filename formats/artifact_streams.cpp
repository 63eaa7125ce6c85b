// See artifact_streams.h.
#include "formats/artifact_streams.h"

#include <cstring>
#include <utility>

#include "formats/artifact_index.h"
#include "formats/check.h"
#include "formats/error.h"
#include "formats/matrix_coder.h"
#include "formats/value_coder.h"

namespace sixteen {
namespace {

constexpr size_t kSmallStream = 65536;  // kAuto tries everything on these
constexpr StreamOptions kProbe{.codec = Codec::kZstd, .level = 1, .shuffle_stride = 1};

CodeKind code_kind(const PackedTensor& tensor) {
  return {.cols = tensor.numel() / tensor.rows(), .bits = tensor.bits, .trellis = tensor.trellis};
}

bool is_scales(const StreamInfo& stream) { return stream.name == "scales"; }

// uncounted: begin
void append(Bytes* bytes, const void* data, size_t size) {
  const size_t begin = bytes->size();
  bytes->resize(begin + size);
  if (size > 0) std::memcpy(bytes->data() + begin, data, size);
}

Bytes raw_bytes(std::span<const PackedTensor> tensors, const StreamInfo& stream) {
  Bytes raw;
  raw.reserve(stream.raw_bytes);
  if (stream.tensor >= 0) {
    const PackedTensor& tensor = tensors[static_cast<size_t>(stream.tensor)];
    append(&raw, tensor.codes.data(), tensor.codes.size());
    return raw;
  }
  for (const PackedTensor& tensor : tensors) {
    if (is_scales(stream)) append(&raw, tensor.scales.data(), tensor.scales.size() * sizeof(uint16_t));
    if (!is_scales(stream)) append(&raw, tensor.plain.data(), tensor.plain.size());
  }
  return raw;
}

// uncounted: end
void fill_from_raw(const Bytes& raw, const StreamInfo& stream, std::span<PackedTensor> tensors) {
  CHECK(raw.size() == stream.raw_bytes);  // parse_index has compared the sums
  const std::byte* next = raw.data();
  const auto take = [&next](void* target, size_t bytes) {
    if (bytes > 0) std::memcpy(target, next, bytes);
    next += bytes;
  };
  if (stream.tensor >= 0) {
    PackedTensor& tensor = tensors[static_cast<size_t>(stream.tensor)];
    tensor.codes.resize(raw.size());
    return take(tensor.codes.data(), raw.size());
  }
  for (PackedTensor& tensor : tensors) {
    if (is_scales(stream) != (tensor.bits > 0)) continue;
    if (tensor.bits > 0) {
      tensor.scales.resize(static_cast<size_t>(tensor.rows()));
      take(tensor.scales.data(), tensor.scales.size() * sizeof(uint16_t));
    } else {
      tensor.plain.resize(static_cast<size_t>(tensor.numel()) * dtype_bytes(tensor.plain_dtype));
      take(tensor.plain.data(), tensor.plain.size());
    }
  }
}

// What the value coder sees of raw bytes of 16- and 32-bit values: fp32 as its high halves, then its low ones.
std::vector<ValueTensor> value_tensors(std::span<const PackedTensor> tensors, const StreamInfo& stream,
                                       const Bytes* raw) {
  std::vector<ValueTensor> result;
  size_t begin = 0;
  for (const PackedTensor& tensor : tensors) {
    if (is_scales(stream) != (tensor.bits > 0)) continue;
    const size_t count = static_cast<size_t>(tensor.bits > 0 ? tensor.rows() : tensor.numel());
    const size_t width = tensor.bits > 0 ? sizeof(uint16_t) : dtype_bytes(tensor.plain_dtype);
    for (size_t half = 0; half < width / 2; ++half) {
      ValueTensor& values = result.emplace_back();
      values.values.resize(count);
      values.low_halves = half > 0;
      if (raw == nullptr) continue;
      const size_t from = begin + (half == 0 ? width - 2 : 0);  // little-endian
      for (size_t i = 0; i < count; ++i) std::memcpy(&values.values[i], raw->data() + from + i * width, 2);
    }
    begin += count * width;
  }
  return result;
}

Bytes raw_of_values(std::span<const PackedTensor> tensors, const StreamInfo& stream,
                    std::span<const ValueTensor> values) {
  Bytes raw(stream.raw_bytes);
  size_t begin = 0, next = 0;
  for (const PackedTensor& tensor : tensors) {
    if (is_scales(stream) != (tensor.bits > 0)) continue;
    const size_t width = tensor.bits > 0 ? sizeof(uint16_t) : dtype_bytes(tensor.plain_dtype);
    const size_t count = values[next].values.size();
    for (size_t half = 0; half < width / 2; ++half, ++next) {
      const size_t from = begin + (half == 0 ? width - 2 : 0);
      for (size_t i = 0; i < count; ++i) std::memcpy(raw.data() + from + i * width, &values[next].values[i], 2);
    }
    begin += count * width;
  }
  return raw;
}

// uncounted: begin
Bytes encode_own(std::span<const PackedTensor> tensors, const StreamInfo& stream, const Bytes& raw) {
  if (stream.tensor < 0) return encode_values(value_tensors(tensors, stream, &raw));
  const PackedTensor& tensor = tensors[static_cast<size_t>(stream.tensor)];
  return encode_codes(tensor.codes, code_kind(tensor));
}

Bytes encode_general(const StreamOptions& options, const Bytes& raw) {
  return encode(options.codec, options.level, shuffle_bytes(raw, static_cast<size_t>(options.shuffle_stride)));
}

Bytes encode_auto(std::span<const PackedTensor> tensors, StreamInfo* stream, const Bytes& raw) {
  stream->options = kOwnCodec;
  Bytes best = encode_own(tensors, *stream, raw);
  if (raw.size() > kSmallStream && encode_general(kProbe, raw).size() > best.size()) return best;
  for (const Codec codec : {Codec::kBrotli, Codec::kXz, Codec::kZstd}) {
    for (const int stride : {1, 2}) {
      const StreamOptions options{codec, default_level(codec), stride};
      Bytes other = encode_general(options, raw);
      if (other.size() >= best.size()) continue;
      best = std::move(other);
      stream->options = options;
    }
  }
  return best;
}

// uncounted: end
void check_values(const PackedTensor& tensor, const StreamInfo& stream) {
  const int limit = (1 << tensor.bits >> 1) - 1;  // tensors without codes come here too
  for (size_t i = 0; stream.tensor >= 0 && i < tensor.codes.size(); ++i) {
    if (tensor.codes[i] < -limit || tensor.codes[i] > limit) {
      fail("tensor ", tensor.name, ": code ", i, ": expected -", limit, " to ", limit, ", found ",
           static_cast<int>(tensor.codes[i]));
    }
  }
  for (size_t row = 0; is_scales(stream) && row < tensor.scales.size(); ++row) {
    const bool finite = (tensor.scales[row] & 0x7c00u) != 0x7c00u;
    if (!finite) fail("tensor ", tensor.name, ": row ", row, ": expected a finite scale");
  }
}

}  // namespace

// uncounted: begin
Bytes encode_stream(std::span<const PackedTensor> tensors, StreamInfo* stream) {
  const Bytes raw = raw_bytes(tensors, *stream);
  CHECK(raw.size() == stream->raw_bytes);
  if (stream->options.codec == Codec::kAuto) return encode_auto(tensors, stream, raw);
  if (stream->options.codec != Codec::kSixteen) return encode_general(stream->options, raw);
  stream->options = kOwnCodec;
  return encode_own(tensors, *stream, raw);
}
// uncounted: end

void decode_stream(std::span<const std::byte> coded, const StreamInfo& stream, std::span<PackedTensor> tensors) {
  const std::string what =
      stream.tensor < 0 ? stream.name : stream.name + " of " + tensors[static_cast<size_t>(stream.tensor)].name;
  if (stream.options.codec != Codec::kSixteen) {
    const Bytes raw = decode(stream.options.codec, coded, stream.raw_bytes, what);
    fill_from_raw(unshuffle_bytes(raw, static_cast<size_t>(stream.options.shuffle_stride)), stream, tensors);
  } else if (stream.tensor >= 0) {
    PackedTensor& tensor = tensors[static_cast<size_t>(stream.tensor)];
    check_code_count(coded, what, stream.raw_bytes);
    tensor.codes.resize(stream.raw_bytes);
    decode_codes(coded, code_kind(tensor), what, tensor.codes);
  } else {
    check_value_count(coded, what, stream.raw_bytes / sizeof(uint16_t));
    std::vector<ValueTensor> values = value_tensors(tensors, stream, nullptr);
    decode_values(coded, what, values);
    fill_from_raw(raw_of_values(tensors, stream, values), stream, tensors);
  }
  if (stream.tensor >= 0) return check_values(tensors[static_cast<size_t>(stream.tensor)], stream);
  for (const PackedTensor& tensor : tensors) check_values(tensor, stream);
}

}  // namespace sixteen
