// Our coder of codes and what it is made of: every shape comes back, bell curves cost what they should, golden bytes, and any
// bytes at all decode to codes in range or to an Error.
#include "formats/matrix_coder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "formats/bit_model.h"
#include "formats/code_priors.h"
#include "formats/range_coder.h"
#include "tests/support/bytes.h"
#include "tests/support/drawn_codes.h"

namespace sixteen {
namespace {

using testing::draw_codes;
using testing::error_of;
using testing::expect_error;

std::vector<int8_t> decoded(const Bytes& coded, int64_t cols, int bits, size_t count) {
  std::vector<int8_t> codes(count, 77);
  decode_codes(coded, cols, bits, "t", codes);
  return codes;
}

double ideal_bytes(double deviation,
                   size_t codes) {  // of a rounded normal draw: its differential entropy, for deviations of 1 and more
  return static_cast<double>(codes) * std::log2(deviation * std::sqrt(2 * M_PI * std::exp(1.0))) / 8;
}

TEST(RangeCoder, BitsComeBackAndCostWhatTheyShould) {
  std::mt19937 random(5);
  for (const uint32_t one : {1u, 300u, 32768u, 60000u, 65535u}) {
    std::vector<int> bits(20000);
    double ideal = 0;
    RangeEncoder encoder;
    for (int& bit : bits) {
      bit = random() % 65536 < one ? 1 : 0;
      ideal -= std::log2((bit != 0 ? one : 65536 - one) / 65536.0) / 8;
      encoder.code(one, bit);
    }
    const Bytes coded = encoder.finish();
    // range / 2^16 is cut by less than 2^-16 of itself; at its end the code names a number in a range of 2^32 or more.
    EXPECT_NEAR(static_cast<double>(coded.size()), ideal, 8 + ideal / 32768);
    RangeDecoder decoder(coded);
    for (const int bit : bits) ASSERT_EQ(decoder.code(one, 0), bit);
    EXPECT_TRUE(decoder.at_end());
  }
}

TEST(RangeCoder, EndsAndCarries) {
  EXPECT_TRUE(RangeEncoder().finish().empty());
  std::mt19937 random(6);
  for (int length = 1; length < 400;
       ++length) {  // of likely bits, which leave long runs of 0xff for carries to walk through
    RangeEncoder encoder;
    std::vector<int> bits(static_cast<size_t>(length));
    for (int& bit : bits) encoder.code(65535, bit = random() % 64 == 0 ? 0 : 1);
    Bytes coded = encoder.finish();
    EXPECT_TRUE(coded.empty() || coded.back() != std::byte{0});
    RangeDecoder decoder(coded);
    for (const int bit : bits) ASSERT_EQ(decoder.code(65535, 0), bit) << length;
    EXPECT_TRUE(decoder.at_end());
    coded.resize(coded.size() + 400, std::byte{1});
    RangeDecoder longer(coded);
    for (size_t i = 0; i < bits.size(); ++i) longer.code(65535, 0);
    EXPECT_FALSE(longer.at_end());
  }
}

// The integer tables against the functions that they stand for.
TEST(BitModel, TablesAreTheLogisticFunction) {
  const LogitTables& tables = logit_tables();
  for (int x = -kLogitLimit; x <= kLogitLimit; ++x) {
    const double exact = 65536 / (1 + std::exp(-x / 256.0));
    EXPECT_NEAR(tables.squash[static_cast<size_t>(x + 2048)], exact, 1) << x;  // one unit: rounded down
  }
  for (size_t p = 1; p < 4096; ++p) {
    const double one = (16.0 * static_cast<double>(p) + 8) / 65536;
    const double exact = std::clamp(256 * std::log(one / (1 - one)), -2047.0, 2047.0);
    // a unit of log-odds, and what a unit of probability is worth near the ends
    EXPECT_NEAR(tables.stretch[p], exact, 1.5 + 256 / (65536 * one * (1 - one))) << p;
  }
}

TEST(BitModel, CountersLearn) {
  BitCounter counter(32768, 0);
  for (int i = 0; i < 3000; ++i) counter.update(i % 10 == 0 ? 1 : 0, 1000, counter_rates());
  EXPECT_NEAR(counter.one(), 6554, 200);  // a tenth; the last thousand bits hold it to 1 in 30
  for (int i = 0; i < 100000; ++i) counter.update(1, 255, counter_rates());
  EXPECT_GT(counter.one(), 65000u);
  for (int i = 0; i < 100000; ++i) counter.update(0, 255, counter_rates());
  EXPECT_LT(counter.one(), 500u);
}

// The priors against the sums that they stand for: a discrete Gaussian of the class's mean square.
TEST(CodePriors, AreDiscreteGaussians) {
  EXPECT_EQ(square_class(0), square_class(7));
  for (uint32_t square = 8; square < (1u << 22); square += square / 16 + 1) {
    EXPECT_LE(square_class(square), square_class(square + 1));
    EXPECT_LT(square_class(square), kSquareClasses);
  }
  for (const uint32_t square : {64u, 1500u, 10000u, 300000u}) {
    const int index = square_class(square);
    uint32_t low_edge = square, high_edge = square;
    while (square_class(low_edge - 1) == index) --low_edge;
    while (square_class(high_edge) == index) ++high_edge;
    const double middle = (low_edge + high_edge) / 512.0;
    const int low = code_priors().low_bits[static_cast<size_t>(index)];
    std::vector<double> weights(256);
    // where the mean square is not tiny it is the Gaussian's own parameter, to 1 in 1000 for 0.25 and more; 20 steps find it
    double least = 1e-3, most = 1e5;
    for (int step = 0; step < 100; ++step) {
      const double parameter = std::sqrt(least * most);
      double sum = 0, squares = 0;
      for (int m = 0; m < 256; ++m) {
        weights[static_cast<size_t>(m)] = std::exp(-m * m / (2 * parameter)) * (m > 0 ? 2 : 1) * (m < 128 ? 1 : 0);
        sum += weights[static_cast<size_t>(m)];
        squares += weights[static_cast<size_t>(m)] * m * m;
      }
      (squares / sum > middle ? most : least) = parameter;
    }
    const auto total = [&](int begin, int end) {
      double sum = 0;
      for (int m = begin; m < std::min(end, 128); ++m) sum += weights[static_cast<size_t>(m)];
      return sum;
    };
    for (int run = 0; run < 3; ++run) {
      const int begin = run << low, width = 1 << low;
      const auto& one = code_priors().one[static_cast<size_t>(index)];
      const double more = total(begin + width, 128) / total(begin, 128);
      EXPECT_NEAR(one[static_cast<size_t>(run_node(run))] / 65536.0, std::clamp(more, 1 / 128.0, 127 / 128.0), 0.003)
          << square << " " << run;
      if (low == 0) continue;
      const double high = total(begin + width / 2, begin + width) / total(begin, begin + width);
      EXPECT_NEAR(one[static_cast<size_t>(first_low_node(run))] / 65536.0, high, 0.003) << square << " " << run;
    }
  }
}

TEST(MatrixCoder, EveryShapeAndWidthComesBack) {
  for (int bits = 2; bits <= 8; ++bits) {
    const int limit = (1 << (bits - 1)) - 1;
    for (const int64_t cols : {1, 2, 3, 17, 64, 300}) {
      for (const size_t rows : {1, 2, 40}) {
        for (const double deviation : {0.05, 1.0, 0.4 * limit, 3.0 * limit}) {
          const std::vector<int8_t> codes = draw_codes(rows, static_cast<size_t>(cols), bits, deviation, 0.3, 11);
          const Bytes coded = encode_codes(codes, cols, bits);
          EXPECT_EQ(decoded(coded, cols, bits, codes.size()), codes)
              << bits << " " << cols << " " << rows << " " << deviation;
        }
      }
    }
    for (const int value : {0, 1, -limit, limit}) {
      const std::vector<int8_t> codes(5000, static_cast<int8_t>(value));
      const Bytes coded = encode_codes(codes, 50, bits);
      EXPECT_EQ(decoded(coded, 50, bits, codes.size()), codes);
    }
  }
  EXPECT_TRUE(encode_codes({}, 3, 6).empty());
}

// More rows than a column's sum holds, at the largest codes there are.
TEST(MatrixCoder, LongColumns) {
  const std::vector<int8_t> codes = draw_codes(40000, 2, 8, 200, 0, 3);
  EXPECT_EQ(decoded(encode_codes(codes, 2, 8), 2, 8, codes.size()), codes);
}

// Where every column has its own width, the coder pays for knowing them all: within 1 % of the sum of ideals, and well below what a
// coder without context would need (seen: 0.6 % and -3.4 %).
TEST(MatrixCoder, FindsTheWidthsOfColumns) {
  const size_t rows = 512, cols = 256;
  const std::vector<int8_t> codes = draw_codes(rows, cols, 6, 2.5, 0.35, 1);
  std::vector<double> squares(cols);
  std::vector<double> counts(256);
  for (size_t i = 0; i < codes.size(); ++i) {
    squares[i % cols] += codes[i] * codes[i];
    ++counts[static_cast<uint8_t>(codes[i])];
  }
  double ideal = 0, order0 = 0;
  for (const double s : squares) ideal += ideal_bytes(std::sqrt(s / rows), rows);
  for (const double n : counts) order0 -= n > 0 ? n * std::log2(n / static_cast<double>(codes.size())) / 8 : 0;
  const double coded = static_cast<double>(encode_codes(codes, cols, 6).size());
  EXPECT_LT(coded, 1.01 * ideal);
  EXPECT_LT(coded, 0.975 * order0);
}

// docs/FORMATS.md names these bytes: a second implementation must reproduce them.
TEST(MatrixCoder, GoldenBytes) {
  std::vector<int8_t> codes;
  uint32_t state = 1;
  for (int i = 0; i < 60; ++i) {
    state = state * 1664525 + 1013904223;
    codes.push_back(static_cast<int8_t>(static_cast<int>(state >> 28) + static_cast<int>(state >> 24 & 15) - 15));
  }
  const std::vector<int8_t> first = {0, 4, -6, 0};
  EXPECT_TRUE(std::equal(first.begin(), first.end(), codes.begin()));
  const Bytes golden = testing::from_hex(
      "dfd5b1c31b357dd025acf5e3cc0f6356168b70fc509c4e4c59562c4949b9071d0b3e4e84"
      "9fdfb2f1a015");
  EXPECT_EQ(encode_codes(codes, 12, 6), golden);
  EXPECT_EQ(decoded(golden, 12, 6, 60), codes);
}

TEST(MatrixCoder, AnyBytesDecodeToCodesInRangeOrToAnError) {
  std::mt19937 random(8);
  for (int bits = 2; bits <= 8; ++bits) {
    const int limit = (1 << (bits - 1)) - 1;
    const Bytes coded = encode_codes(draw_codes(20, 30, bits, limit / 3.0, 0.2, 2), 30, bits);
    for (size_t size = 0; size <= coded.size() + 12; ++size) {
      Bytes damaged = coded;
      damaged.resize(size, std::byte{0x5a});
      if (size % 2 == 0 && size > 0) damaged[random() % size] ^= static_cast<std::byte>(1u << random() % 8);
      std::vector<int8_t> codes(600);
      const std::string message = error_of([&] { decode_codes(damaged, 30, bits, "t", codes); });
      for (const int8_t code : codes) ASSERT_LE(std::abs(code), limit);
      EXPECT_TRUE(message.empty() || message.find("stream t: more coded bytes") == 0) << message;
      EXPECT_TRUE(size % 2 == 0 || size <= coded.size() + 8 || !message.empty()) << size;
    }
  }
  std::vector<int8_t> many(1 << 20);
  expect_error("0 coded bytes cannot hold", [&] { decode_codes({}, 1024, 6, "t", many); });
}

}  // namespace
}  // namespace sixteen
