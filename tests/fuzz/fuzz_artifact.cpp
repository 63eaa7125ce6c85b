// .s16 artifacts. A fuzzer cannot find a SHA-256 or write Brotli, so the input is also taken for a header's text, a NUL and
// the streams, and sealed with the right lengths and hash.
#include <algorithm>
#include <cstdint>

#include "formats/artifact.h"
#include "formats/check.h"
#include "formats/error.h"
#include "model/corrections.h"
#include "tests/support/sealed_artifact.h"

namespace {

void parse(std::span<const std::byte> file) {
  try {
    const sixteen::Artifact artifact = sixteen::parse_artifact(file, "fuzz.s16");
    CHECK(artifact.file_bytes == file.size());
    for (const sixteen::PackedTensor* tensor : sixteen::corrected_tensors(artifact, "fuzz.s16")) {
      CHECK(static_cast<int64_t>(sixteen::corrected_values(artifact, *tensor).size()) == tensor->numel());
    }
  } catch (const sixteen::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> input = std::as_bytes(std::span(data, size));
  parse(input);
  const uint8_t* nul = std::find(data, data + size, uint8_t{0});
  const size_t header = static_cast<size_t>(nul - data);
  const std::string_view index(reinterpret_cast<const char*>(data), header);
  parse(sixteen::testing::seal_artifact(index, input.subspan(std::min(size, header + 1))));
  return 0;
}
