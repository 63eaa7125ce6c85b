// Reader of .s16: hash, lengths, index, then the streams, each back into its tensors.
#include "formats/artifact.h"

#include <cstring>

#include "formats/artifact_index.h"
#include "formats/artifact_streams.h"
#include "formats/check.h"
#include "formats/error.h"
#include "formats/file.h"
#include "formats/jobs.h"
#include "formats/trellis.h"

namespace sixteen {
namespace {

uint32_t read_u32(std::span<const std::byte> file, size_t offset) {
  uint32_t value = 0;
  std::memcpy(&value, file.data() + offset, sizeof value);
  return value;
}

// Magic, version and digest; returns all before the digest.
std::span<const std::byte> verify_envelope(std::span<const std::byte> file, const std::string& where, Sha256* digest) {
  if (file.size() < kArtifactMagic.size() ||
      std::memcmp(file.data(), kArtifactMagic.data(), kArtifactMagic.size()) != 0) {
    fail(where, ": no .s16 artifact: offset 0: expected \"", kArtifactMagic, "\"");
  }
  if (file.size() < kArtifactPrefixBytes + digest->size()) {
    fail(where, ": truncated: expected at least ", kArtifactPrefixBytes + digest->size(), " bytes, found ",
         file.size());
  }
  const uint32_t version = read_u32(file, kArtifactMagic.size());
  if (version != kArtifactVersion) {
    fail(where, ": offset 4: expected artifact version ", kArtifactVersion, ", found ", version);
  }
  const std::span<const std::byte> body = file.first(file.size() - digest->size());
  std::memcpy(digest->data(), file.data() + body.size(), digest->size());
  const Sha256 computed = sha256(body);
  if (computed != *digest) {
    fail(where, ": damaged or truncated: offset ", body.size(), ": expected SHA-256 ", to_hex(computed), ", found ",
         to_hex(*digest));
  }
  return body;
}

// Sets the streams' offsets and checks that they fill the body exactly.
void place_streams(std::span<const std::byte> body, uint64_t offset, const std::string& where,
                   std::vector<StreamInfo>* streams) {
  for (StreamInfo& stream : *streams) {
    stream.offset = offset;
    if (stream.coded_bytes > body.size() - offset) {
      fail(where, ": stream ", stream.name, ": offset ", offset, ": expected ", stream.coded_bytes, " bytes, found ",
           body.size() - offset);
    }
    offset += stream.coded_bytes;
  }
  if (offset != body.size()) {
    fail(where, ": offset ", offset, ": expected the digest, found ", body.size() - offset, " bytes more");
  }
}

void fill_plain(const PackedTensor& tensor, std::vector<float>* values) {
  CHECK(tensor.plain.size() == values->size() * dtype_bytes(tensor.plain_dtype));
  if (tensor.plain_dtype == DType::kF32) {
    std::memcpy(values->data(), tensor.plain.data(), tensor.plain.size());
    return;
  }
  for (size_t i = 0; i < values->size(); ++i) {
    uint16_t half = 0;
    std::memcpy(&half, tensor.plain.data() + 2 * i, 2);
    (*values)[i] = tensor.plain_dtype == DType::kF16 ? f16_to_float(half) : bf16_to_float(half);
  }
}

}  // namespace

int64_t PackedTensor::numel() const {
  int64_t product = 1;
  for (const int64_t dim : shape) product *= dim;
  return product;
}

std::vector<float> PackedTensor::unrounded() const {
  std::vector<float> values(static_cast<size_t>(numel()));
  if (bits == 0) {
    fill_plain(*this, &values);
  } else {
    CHECK(codes.size() == values.size() && scales.size() == static_cast<size_t>(rows()));
    const size_t cols = values.size() / scales.size();
    std::vector<uint16_t> states(cols);  // which stay 0, where codes are whole steps, without a trellis
    for (size_t row = 0; row < scales.size(); ++row) {
      const float scale = f16_to_float(scales[row]);
      for (size_t j = 0; j < cols; ++j) {
        const int code = codes[row * cols + j];
        values[row * cols + j] = trellis_value(code, states[j]) * scale;
        if (trellis) states[j] = next_trellis_state(states[j], code);
      }
    }
  }
  return values;
}

std::vector<float> PackedTensor::dequantise() const {
  std::vector<float> values = unrounded();
  if (round_bf16) {
    for (float& value : values) value = round_to_bf16(value);
  }
  return values;
}

Artifact parse_artifact(std::span<const std::byte> file, const std::string& where) {
  Sha256 digest{};
  const std::span<const std::byte> body = verify_envelope(file, where, &digest);
  const uint64_t coded_header = read_u32(body, 8);
  const uint64_t raw_header = read_u32(body, 12);
  if (coded_header > body.size() - kArtifactPrefixBytes || raw_header > kMaxHeaderBytes) {
    fail(where, ": offset 8: a header of ", coded_header, " coded and ", raw_header, " decoded bytes fits neither the ",
         body.size() - kArtifactPrefixBytes, " bytes left nor the limit of ", kMaxHeaderBytes);
  }
  try {
    const Bytes header = decode(Codec::kBrotli, body.subspan(kArtifactPrefixBytes, coded_header), raw_header, "header");
    Artifact artifact = parse_index({reinterpret_cast<const char*>(header.data()), header.size()}, where);
    const uint64_t begin = kArtifactPrefixBytes + coded_header;
    place_streams(body, begin, where, &artifact.streams);
    run_jobs(artifact.streams.size(), 0, [&](size_t i) {
      const StreamInfo& stream = artifact.streams[i];
      decode_stream(body.subspan(stream.offset, stream.coded_bytes), stream, artifact.tensors);
    });
    artifact.digest = digest;
    artifact.file_bytes = file.size();
    return artifact;
  } catch (const Error& error) {
    const std::string message = error.what();
    if (message.starts_with(where)) throw;
    fail(where, ": ", message);
  }
}

Artifact read_artifact(const std::string& path) {
  const MappedFile file(path);
  return parse_artifact(file.bytes(), path);
}

bool is_artifact(const std::string& path) {
  const MappedFile file(path);
  const std::span<const std::byte> bytes = file.bytes();
  return bytes.size() >= kArtifactMagic.size() &&
         std::memcmp(bytes.data(), kArtifactMagic.data(), kArtifactMagic.size()) == 0;
}

}  // namespace sixteen
