// .s16z files: an Error, or a file that is written again as it was read. The code is decoded by fixed distributions, since any bytes
// are a code of something. The input is also taken for a body and given the right check, which a fuzzer cannot find.
#include <cstdint>
#include <vector>

#include "evaluator/arithmetic_coder.h"
#include "formats/check.h"
#include "formats/error.h"
#include "formats/proof_file.h"
#include "tests/support/sealed_proof.h"

namespace {

void parse(std::span<const std::byte> file) {
  try {
    const sixteen::ProofFile proof = sixteen::parse_proof(file, "fuzz.s16z");
    CHECK(proof.tokens() <= sixteen::kMaxProofTokens);
    const sixteen::Bytes again = sixteen::serialise_proof(proof);
    CHECK(std::equal(again.begin(), again.end(), file.begin(), file.end()));
    sixteen::ArithmeticDecoder decoder(proof.code);
    sixteen::Frequencies frequencies;
    std::vector<float> logits(50);
    for (int i = 0; i < 100; ++i) {
      for (size_t j = 0; j < logits.size(); ++j) logits[j] = static_cast<float>((i * j) % 40);
      frequencies.set(logits);
      uint64_t below = 0;
      const int32_t symbol = frequencies.find(decoder.peek(), &below);
      decoder.consume(below, frequencies.of(symbol));
    }
  } catch (const sixteen::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> input = std::as_bytes(std::span(data, size));
  parse(input);
  parse(sixteen::testing::seal_proof({input.begin(), input.end()}));
  return 0;
}
