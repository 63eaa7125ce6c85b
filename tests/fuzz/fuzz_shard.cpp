// Token shards and byte sidecars from any bytes: an Error or tokens that all lie within the input.
#include <cstdint>
#include <vector>

#include "formats/check.h"
#include "formats/error.h"
#include "formats/shard.h"

namespace {

void parse(std::span<const std::byte> input, int32_t magic) {
  try {
    const std::span<const uint16_t> tokens = sixteen::parse_shard(input, "fuzz.bin", magic);
    CHECK(tokens.size_bytes() + sixteen::kShardHeaderBytes == input.size());
    uint64_t sum = 0;
    for (const uint16_t token : tokens) sum += token;
    CHECK(sum <= 65535 * tokens.size());
  } catch (const sixteen::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Shards start at an even address; so does a fresh allocation.
  const std::vector<uint8_t> input(data, data + size);
  parse(std::as_bytes(std::span(input)), sixteen::kShardMagic);
  parse(std::as_bytes(std::span(input)), sixteen::kSidecarMagic);
  return 0;
}
