// Writer of .s16. Deterministic: equal tensors, options and codec libraries give equal bytes.
//
// Bites: Brotli at level 11 takes about 5 s a megabyte on one core; nothing else here takes time.
#include <cstring>
#include <nlohmann/json.hpp>

#include "formats/artifact.h"
#include "formats/artifact_index.h"
#include "formats/check.h"
#include "formats/error.h"
#include "formats/json.h"

namespace sixteen {
namespace {

constexpr const char* kWhere = "artifact";

void append(Bytes* bytes, const void* data, size_t size) {
  const size_t begin = bytes->size();
  bytes->resize(begin + size);
  if (size > 0) std::memcpy(bytes->data() + begin, data, size);
}

void append_u64(Bytes* bytes, uint64_t value) { append(bytes, &value, sizeof value); }

// Sizes and code range: what the packer computed must be what the reader will accept.
void check_contents(const PackedTensor& tensor) {
  const size_t numel = static_cast<size_t>(tensor.numel());
  if (tensor.bits == 0) {
    CHECK(tensor.plain.size() == numel * dtype_bytes(tensor.plain_dtype));
    return;
  }
  CHECK(tensor.codes.size() == numel && tensor.scales.size() == static_cast<size_t>(tensor.rows()));
  const int limit = (1 << (tensor.bits - 1)) - 1;
  for (const int8_t code : tensor.codes) CHECK(code >= -limit && code <= limit);
  for (const uint16_t scale : tensor.scales) {
    if ((scale & 0x7c00u) == 0x7c00u) fail(kWhere, ": tensor ", tensor.name, ": a scale is not finite in fp16");
  }
}

std::map<std::string, Bytes> gather_streams(std::span<const PackedTensor> tensors) {
  std::map<std::string, Bytes> streams;
  for (const PackedTensor& tensor : tensors) {
    check_contents(tensor);
    if (tensor.bits == 0) {
      append(&streams["plain"], tensor.plain.data(), tensor.plain.size());
      continue;
    }
    append(&streams[stream_name(tensor)], tensor.codes.data(), tensor.codes.size());
    append(&streams["scales"], tensor.scales.data(), tensor.scales.size() * sizeof(uint16_t));
  }
  return streams;
}

StreamOptions checked_options(const StreamOptions& options, const std::string& stream) {
  check_level(options.codec, options.level);
  if (options.shuffle_stride < 1 || options.shuffle_stride > kMaxShuffleStride) {
    fail("stream ", stream, ": expected a shuffle stride of 1 to 255, found ", options.shuffle_stride);
  }
  return options;
}

}  // namespace

Bytes serialise_artifact(Artifact* artifact, const std::map<std::string, StreamOptions>& options,
                         const StreamOptions& fallback) {
  parse_json_object(artifact->config_json, "artifact: config");
  artifact->streams = plan_streams(artifact->tensors, kWhere);
  const std::map<std::string, Bytes> raw = gather_streams(artifact->tensors);
  Bytes coded;
  for (StreamInfo& stream : artifact->streams) {
    const auto chosen = options.find(stream.name);
    stream.options = checked_options(chosen == options.end() ? fallback : chosen->second, stream.name);
    const Bytes shuffled = shuffle_bytes(raw.at(stream.name), static_cast<size_t>(stream.options.shuffle_stride));
    const Bytes bytes = encode(stream.options.codec, stream.options.level, shuffled);
    stream.offset = coded.size();  // within the streams until the header's size is known
    stream.coded_bytes = bytes.size();
    append(&coded, bytes.data(), bytes.size());
  }
  const std::string index = print_index(*artifact);
  if (index.size() > kMaxHeaderBytes) fail(kWhere, ": a header of ", index.size(), " bytes: expected at most 16 MiB");
  const Bytes header = encode(Codec::kBrotli, default_level(Codec::kBrotli), std::as_bytes(std::span(index)));
  Bytes file;
  append(&file, kArtifactMagic.data(), kArtifactMagic.size());
  append(&file, &kArtifactVersion, sizeof kArtifactVersion);
  append_u64(&file, header.size());
  append_u64(&file, index.size());
  append(&file, header.data(), header.size());
  for (StreamInfo& stream : artifact->streams) stream.offset += file.size();
  append(&file, coded.data(), coded.size());
  artifact->digest = sha256(file);
  append(&file, artifact->digest.data(), artifact->digest.size());
  artifact->file_bytes = file.size();
  return file;
}

}  // namespace sixteen
