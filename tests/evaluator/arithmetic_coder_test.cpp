// The range coder and its frequencies: round trips, carries, the price of rounding, damaged codes.
#include "evaluator/arithmetic_coder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "formats/error.h"
#include "tests/support/tiny_model.h"

namespace sixteen::testing {
namespace {

std::vector<float> some_logits(size_t vocab, uint64_t seed, float scale) {
  std::vector<float> logits(vocab);
  for (size_t i = 0; i < vocab; ++i) logits[i] = scale * noise(seed * 1000003 + i);
  return logits;
}

TEST(Frequencies, AddUpAndAreNeverZero) {
  for (const size_t vocab : {size_t{2}, size_t{97}, size_t{8192}, size_t{65536}}) {
    for (const float scale : {0.0f, 1.0f, 30.0f, 3000.0f}) {
      Frequencies f;
      const std::vector<float> logits = some_logits(vocab, vocab, scale);
      f.set(logits);
      EXPECT_EQ(f.below(static_cast<int32_t>(vocab)), uint64_t{1} << 32);
      double exact = 0;
      const double highest = *std::max_element(logits.begin(), logits.end());
      for (const float logit : logits) exact += std::exp(logit - highest);
      for (size_t i = 0; i < vocab; i += 1 + vocab / 50) {
        const int32_t symbol = static_cast<int32_t>(i);
        EXPECT_GE(f.of(symbol), 1u);
        const double p = std::exp(logits[i] - highest) / exact;
        EXPECT_NEAR(static_cast<double>(f.of(symbol)) * 0x1p-32, p, static_cast<double>(vocab) * 0x1p-32) << scale;
        if (p > 1e-200) {
          EXPECT_NEAR(f.nats(symbol), -std::log(p), 1e-9);
        }
        uint64_t below = 0;
        EXPECT_EQ(f.find(f.below(symbol), &below), symbol);
        EXPECT_EQ(f.find(f.below(symbol) + f.of(symbol) - 1, &below), symbol);
        EXPECT_EQ(below, f.below(symbol));
      }
    }
  }
}

TEST(Frequencies, RefuseWhatIsNotFinite) {
  for (const float bad : {NAN, INFINITY}) {
    std::vector<float> logits = some_logits(50, 1, 3);
    logits[7] = bad;
    EXPECT_THROW(Frequencies().set(logits), Error);
  }
}

struct Shares {
  std::vector<std::pair<uint64_t, uint64_t>> of;  // below, count
};

// Codes symbols by their shares, decodes them, returns the code's bytes.
size_t round_trip(const Shares& shares) {
  ArithmeticEncoder encoder;
  for (const auto& [below, count] : shares.of) encoder.encode(below, count);
  const Bytes code = encoder.finish();
  ArithmeticDecoder decoder(code);
  for (const auto& [below, count] : shares.of) {
    const uint64_t at = decoder.peek();
    EXPECT_TRUE(at >= below && at < below + count);
    decoder.consume(below, count);
  }
  EXPECT_TRUE(decoder.finished());
  return code.size();
}

TEST(ArithmeticCoder, CodesAnyShares) {
  const uint64_t total = uint64_t{1} << 32;
  EXPECT_EQ(round_trip({}), 0u);
  EXPECT_EQ(round_trip({{{0, total}}}), 0u);
  EXPECT_LE(round_trip({std::vector(1000, std::pair{uint64_t{0}, uint64_t{1}})}), 4001u);           // low never moves
  EXPECT_LE(round_trip({std::vector(1000, std::pair{total - 1, uint64_t{1}})}), 4001u);             // runs of 0xff
  EXPECT_LE(round_trip({std::vector(1000, std::pair{uint64_t{1}, total - 1})}), 2u);                // nearly free
  Shares carry{std::vector(200, std::pair{total / 2 - 1, uint64_t{2}})};                            // straddles one half
  carry.of.push_back({total / 2, total / 2});
  EXPECT_LE(round_trip(carry), 200u * 4);
}

// A text coded by changing distributions is as long as its probability says.
TEST(ArithmeticCoder, CostsWhatTheDistributionsSay) {
  ArithmeticEncoder encoder;
  Frequencies f;
  const int count = 4000, vocab = 300;
  std::vector<int32_t> text;
  double nats = 0;
  for (int i = 0; i < count; ++i) {
    f.set(some_logits(vocab, static_cast<uint64_t>(i), 8));
    text.push_back(static_cast<int32_t>((noise(static_cast<uint64_t>(i)) + 1) / 2 * vocab));
    nats += f.nats(text.back());
    encoder.encode(f.below(text.back()), f.of(text.back()));
  }
  const Bytes code = encoder.finish();
  EXPECT_NEAR(static_cast<double>(code.size()), nats / std::log(2.0) / 8, 1.5);  // the last byte, and 2^-24 of a bit a symbol
  ArithmeticDecoder decoder(code);
  for (int i = 0; i < count; ++i) {
    f.set(some_logits(vocab, static_cast<uint64_t>(i), 8));
    uint64_t below = 0;
    const int32_t symbol = f.find(decoder.peek(), &below);
    ASSERT_EQ(symbol, text[static_cast<size_t>(i)]) << i;
    decoder.consume(below, f.of(symbol));
  }
  EXPECT_TRUE(decoder.finished());
}

// Whatever the bytes, decoding yields symbols; leftover bytes are told.
TEST(ArithmeticCoder, DecodesAnyBytes) {
  Frequencies f;
  f.set(some_logits(50, 1, 20));
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Bytes code(seed % 23);
    for (size_t i = 0; i < code.size(); ++i) code[i] = static_cast<std::byte>((noise(seed * 31 + i) + 1) * 127.5f);
    if (seed % 5 == 0) std::fill(code.begin(), code.end(), std::byte{0xff});
    ArithmeticDecoder decoder(code);
    for (int i = 0; i < 60; ++i) {
      uint64_t below = 0;
      const int32_t symbol = f.find(decoder.peek(), &below);
      ASSERT_TRUE(symbol >= 0 && symbol < 50);
      decoder.consume(below, f.of(symbol));
    }
  }
  ArithmeticDecoder unread(Bytes(100, std::byte{1}));
  EXPECT_FALSE(unread.finished());
}

}  // namespace
}  // namespace sixteen::testing
