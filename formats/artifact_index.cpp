// Header of .s16: canonical JSON in both directions, and the rules that every artifact's tensors obey.
#include "formats/artifact_index.h"

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "formats/check.h"
#include "formats/error.h"
#include "formats/json.h"

namespace sixteen {
namespace {

using nlohmann::json;

constexpr size_t kMaxRank = 8;
constexpr std::string_view kRoundedSuffix = ":BF16";  // of the kind of a tensor with round_bf16
constexpr char kTrellisSuffix = 'T';                  // of the bits of a tensor with trellis

// numel of a valid shape: 1 to 8 dimensions of at least 1 (plain tensors: also a scalar), product within the size limit.
uint64_t checked_numel(const PackedTensor& tensor, const std::string& what) {
  const size_t least = tensor.bits > 0 ? 1 : 0;
  if (tensor.shape.size() < least || tensor.shape.size() > kMaxRank) {
    fail(what, ": expected ", least, " to ", kMaxRank, " dimensions, found ", tensor.shape.size());
  }
  uint64_t numel = 1;
  for (const int64_t dim : tensor.shape) {
    if (dim < 1 || static_cast<uint64_t>(dim) > kMaxDecodedBytes / numel) {
      fail(what, ": a dimension of ", dim, " makes no tensor of 1 to ", kMaxDecodedBytes, " elements");
    }
    numel *= static_cast<uint64_t>(dim);
  }
  return numel;
}

void check_kind(const PackedTensor& tensor, const std::string& what) {
  if (tensor.bits != 0 && (tensor.bits < 2 || tensor.bits > 8)) {
    fail(what, ": expected 2 to 8 bits, or 0 for plain values, found ", tensor.bits);
  }
  const DType dtype = tensor.plain_dtype;
  if (tensor.bits == 0 && dtype != DType::kF16 && dtype != DType::kF32 && dtype != DType::kBF16) {
    fail(what, ": plain values are F16, F32 or BF16, found ", dtype_name(dtype));
  }
  if (tensor.trellis && tensor.bits == 0) fail(what, ": a trellis is for codes, found ", dtype_name(dtype));
  if (tensor.round_bf16 && tensor.bits == 0 && dtype != DType::kF16) {
    fail(what, ": codes and F16 can be marked for rounding to bf16, found ", dtype_name(dtype));
  }
}

// Refuses what nlohmann would convert (4.5, true); a value that wraps is caught by the comparison with canonical text.
template <class Integer>
Integer take_integer(const json& value) {
  if (!value.is_number_integer()) fail("expected an integer, found ", print_json(value));
  return value.get<Integer>();
}

// 6, "F16", "6T", "6:BF16", "6T:BF16", "F16:BF16"
json print_kind(const PackedTensor& tensor) {
  if (tensor.bits > 0 && !tensor.round_bf16 && !tensor.trellis) return tensor.bits;
  std::string kind = tensor.bits > 0 ? std::to_string(tensor.bits) : std::string(dtype_name(tensor.plain_dtype));
  if (tensor.trellis) kind += kTrellisSuffix;
  return tensor.round_bf16 ? kind.append(kRoundedSuffix) : kind;
}

void parse_kind(const json& entry, PackedTensor* tensor) {
  if (!entry.is_string()) {
    tensor->bits = take_integer<int>(entry);
    return;
  }
  std::string kind = entry.get<std::string>();
  tensor->round_bf16 = kind.ends_with(kRoundedSuffix);
  if (tensor->round_bf16) kind.resize(kind.size() - kRoundedSuffix.size());
  tensor->trellis = kind.size() == 2 && kind[1] == kTrellisSuffix;
  if (tensor->trellis) kind.resize(1);
  if ((tensor->round_bf16 || tensor->trellis) && kind.size() == 1 && kind[0] >= '2' && kind[0] <= '8') {
    tensor->bits = kind[0] - '0';
  } else if (!parse_dtype(kind, &tensor->plain_dtype)) {
    fail("unknown dtype ", print_json(entry));
  }
}

// [name, kind, shape...]
json print_tensor(const PackedTensor& tensor) {
  json entry = json::array({tensor.name, print_kind(tensor)});
  for (const int64_t dim : tensor.shape) entry.push_back(dim);
  return entry;
}

// Accessors of nlohmann throw json::exception on a wrong type, which parse_index turns into an Error.
PackedTensor parse_tensor(const json& entry) {
  PackedTensor tensor;
  tensor.name = entry.at(0).get<std::string>();
  parse_kind(entry.at(1), &tensor);
  for (size_t i = 2; i < entry.size(); ++i) tensor.shape.push_back(take_integer<int64_t>(entry.at(i)));
  return tensor;
}

// coded bytes under our own codec; [coded bytes, codec, level, stride] under another
json print_stream(const StreamInfo& stream) {
  if (stream.options.codec == Codec::kSixteen) return stream.coded_bytes;
  return json::array(
      {stream.coded_bytes, codec_name(stream.options.codec), stream.options.level, stream.options.shuffle_stride});
}

// Into a stream of the plan, which knows everything else.
void parse_stream(const json& entry, StreamInfo* stream) {
  stream->options = kOwnCodec;
  stream->coded_bytes = take_integer<uint64_t>(entry.is_array() ? entry.at(0) : entry);
  if (!entry.is_array()) return;
  stream->options.codec = parse_codec(entry.at(1).get<std::string>());
  stream->options.level = take_integer<int>(entry.at(2));
  stream->options.shuffle_stride = take_integer<int>(entry.at(3));
  if (stream->options.codec == Codec::kAuto) fail("stream ", stream->name, ": \"auto\" is no codec of a file");
  check_level(stream->options.codec, stream->options.level);
  if (stream->options.shuffle_stride < 1 || stream->options.shuffle_stride > kMaxShuffleStride) {
    fail("stream ", stream->name, ": expected a shuffle stride of 1 to 255, found ", stream->options.shuffle_stride);
  }
}

}  // namespace

std::string stream_name(const PackedTensor& tensor) {
  return tensor.bits > 0 ? "codes" + std::to_string(tensor.bits) : "plain";
}

std::vector<StreamInfo> plan_streams(std::span<const PackedTensor> tensors, const std::string& where) {
  std::vector<StreamInfo> streams;
  StreamInfo scales, plain;
  scales.name = "scales";
  plain.name = "plain";
  std::set<std::string> names;
  uint64_t total = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const PackedTensor& tensor = tensors[i];
    const std::string what = where + ": tensor " + tensor.name;
    if (tensor.name.empty() || !names.insert(tensor.name).second) fail(what, ": names must be unique and not empty");
    check_kind(tensor, what);
    const uint64_t numel = checked_numel(tensor, what);
    if (tensor.bits == 0) {
      plain.raw_bytes += numel * dtype_bytes(tensor.plain_dtype);
    } else {
      StreamInfo& codes = streams.emplace_back();
      codes.name = stream_name(tensor);
      codes.tensor = static_cast<int>(i);
      codes.raw_bytes = numel;
      scales.raw_bytes += static_cast<uint64_t>(tensor.rows()) * sizeof(uint16_t);
      total += numel;
    }
  }
  if (scales.raw_bytes > 0) streams.push_back(scales);
  if (plain.raw_bytes > 0) streams.push_back(plain);
  total += scales.raw_bytes + plain.raw_bytes;
  if (total > kMaxDecodedBytes) {
    fail(where, ": the tensors take ", total, " bytes, expected at most ", kMaxDecodedBytes);
  }
  return streams;
}

std::string print_index(const Artifact& artifact) {
  json index = {{"config", artifact.config_json}, {"metadata", artifact.metadata}};
  index["tensors"] = json::array();
  index["streams"] = json::array();
  for (const PackedTensor& tensor : artifact.tensors) index["tensors"].push_back(print_tensor(tensor));
  for (const StreamInfo& stream : artifact.streams) index["streams"].push_back(print_stream(stream));
  return print_json(index);
}

Artifact parse_index(std::string_view text, const std::string& where) {
  const json index = parse_json_object(text, where + ": header");
  Artifact artifact;
  try {
    artifact.config_json = index.at("config").get<std::string>();
    artifact.metadata = index.at("metadata").get<std::map<std::string, std::string>>();
    for (const json& entry : index.at("tensors")) artifact.tensors.push_back(parse_tensor(entry));
    artifact.streams = plan_streams(artifact.tensors, "index");
    const json& streams = index.at("streams");
    if (streams.size() != artifact.streams.size()) {
      fail("index: expected ", artifact.streams.size(), " streams for its tensors, found ", streams.size());
    }
    for (size_t i = 0; i < streams.size(); ++i) parse_stream(streams.at(i), &artifact.streams[i]);
  } catch (const json::exception& error) {
    fail(where, ": header: unexpected structure: ", error.what());
  } catch (const Error& error) {
    fail(where, ": header: ", error.what());
  }
  parse_json_object(artifact.config_json, where + ": header: config");
  if (print_index(artifact) != text) fail(where, ": header: not in canonical form (unknown keys or another writer?)");
  return artifact;
}

}  // namespace sixteen
