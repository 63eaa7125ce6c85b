// Writer of .s16. Deterministic: equal tensors, options and codec libraries give equal bytes.
//
// Bites: Brotli at level 11 takes about 1.3 s a megabyte on one core, our own codec 0.06 s; nothing else here takes time.
#include <cstring>
#include <nlohmann/json.hpp>

#include "formats/artifact.h"
#include "formats/artifact_index.h"
#include "formats/artifact_streams.h"
#include "formats/check.h"
#include "formats/error.h"
#include "formats/jobs.h"
#include "formats/json.h"

namespace sixteen {
namespace {

constexpr const char* kWhere = "artifact";

void append(Bytes* bytes, const void* data, size_t size) {
  const size_t begin = bytes->size();
  bytes->resize(begin + size);
  if (size > 0) std::memcpy(bytes->data() + begin, data, size);
}

void append_u32(Bytes* bytes, size_t value) {
  const uint32_t word = static_cast<uint32_t>(value);
  append(bytes, &word, sizeof word);
}

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
  for (const PackedTensor& tensor : artifact->tensors) check_contents(tensor);
  for (StreamInfo& stream : artifact->streams) {
    const auto chosen = options.find(stream.name);
    stream.options = checked_options(chosen == options.end() ? fallback : chosen->second, stream.name);
  }
  std::vector<Bytes> coded(artifact->streams.size());
  run_jobs(coded.size(), 0, [&](size_t i) { coded[i] = encode_stream(artifact->tensors, &artifact->streams[i]); });
  for (size_t i = 0; i < coded.size(); ++i) artifact->streams[i].coded_bytes = coded[i].size();
  const std::string index = print_index(*artifact);
  if (index.size() > kMaxHeaderBytes) fail(kWhere, ": a header of ", index.size(), " bytes: expected at most 16 MiB");
  const Bytes header = encode(Codec::kBrotli, default_level(Codec::kBrotli), std::as_bytes(std::span(index)));
  Bytes file;
  append(&file, kArtifactMagic.data(), kArtifactMagic.size());
  append(&file, &kArtifactVersion, sizeof kArtifactVersion);
  append_u32(&file, header.size());
  append_u32(&file, index.size());
  append(&file, header.data(), header.size());
  for (size_t i = 0; i < coded.size(); ++i) {
    artifact->streams[i].offset = file.size();
    append(&file, coded[i].data(), coded[i].size());
  }
  artifact->digest = sha256(file);
  append(&file, artifact->digest.data(), artifact->digest.size());
  artifact->file_bytes = file.size();
  return file;
}

}  // namespace sixteen
