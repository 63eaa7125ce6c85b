// Our coder of codes and what it is made of: every shape comes back, bell curves cost what they should, golden bytes, and any
// bytes at all decode to codes in range or to an Error.
#include "formats/matrix_coder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "formats/bit_model.h"
#include "formats/code_priors.h"
#include "formats/column_predictor.h"
#include "formats/range_coder.h"
#include "formats/sha256.h"
#include "formats/trellis.h"
#include "tests/support/bytes.h"
#include "tests/support/drawn_codes.h"

namespace sixteen {
namespace {

using testing::draw_codes;
using testing::error_of;
using testing::expect_error;

std::vector<int8_t> decoded(const Bytes& coded, int64_t cols, int bits, size_t count, bool trellis = false) {
  std::vector<int8_t> codes(count, 77);
  decode_codes(coded, {cols, bits, trellis}, "t", codes);
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
    const int low = code_priors()[0].low_bits[static_cast<size_t>(index)];
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
      const auto& one = code_priors()[0].one[static_cast<size_t>(index)];
      const double more = total(begin + width, 128) / total(begin, 128);
      EXPECT_NEAR(one[static_cast<size_t>(run_node(run))] / 65536.0, std::clamp(more, 1 / 128.0, 127 / 128.0), 0.003)
          << square << " " << run;
      if (low == 0) continue;
      const double high = total(begin + width / 2, begin + width) / total(begin, begin + width);
      EXPECT_NEAR(one[static_cast<size_t>(first_low_node(run))] / 65536.0, high, 0.003) << square << " " << run;
    }
  }
}

// Halves: the same curve at 1/2, 3/2, ...; where it is wide its parameter is the class's mean square.
TEST(CodePriors, OfHalves) {
  for (const uint32_t square : {1500u, 10000u}) {
    const auto index = static_cast<size_t>(square_class(square));
    const int low = code_priors()[1].low_bits[index], width = 1 << low;
    const auto total = [&](int begin) {
      double sum = 0;
      for (int m = begin; m < 128; ++m) sum += std::exp(-(m + 0.5) * (m + 0.5) / (2 * square / 256.0));
      return sum;
    };
    for (int run = 0; run < 3; ++run) {
      EXPECT_NEAR(code_priors()[1].one[index][static_cast<size_t>(run_node(run))] / 65536.0, total((run + 1) * width) / total(run * width), 0.02)
          << square << " " << run;  // a class is 9 to 12 % wide
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
          for (const bool trellis : {false, true}) {
            const Bytes coded = encode_codes(codes, {cols, bits, trellis});
            EXPECT_EQ(decoded(coded, cols, bits, codes.size(), trellis), codes)
                << bits << " " << cols << " " << rows << " " << deviation << " " << trellis;
          }
        }
      }
    }
    for (const int value : {0, 1, -limit, limit}) {
      const std::vector<int8_t> codes(5000, static_cast<int8_t>(value));
      const Bytes coded = encode_codes(codes, {50, bits});
      EXPECT_EQ(decoded(coded, 50, bits, codes.size()), codes);
    }
  }
}

// More rows than a column's sum holds, at the largest codes there are.
TEST(MatrixCoder, LongColumns) {
  const std::vector<int8_t> codes = draw_codes(40000, 2, 8, 200, 0, 3);
  EXPECT_EQ(decoded(encode_codes(codes, {2, 8}), 2, 8, codes.size()), codes);
}

// Codes of a trellis, each the nearest to a normal draw among those of its half.
std::vector<int8_t> trellis_codes(size_t rows, size_t cols, double deviation, double correlation) {
  std::mt19937 random(31);
  std::normal_distribution<double> normal(0, 1);
  std::vector<uint16_t> states(cols);
  std::vector<int8_t> codes;
  for (size_t i = 0; i < rows; ++i) {
    const double shared = normal(random);
    for (uint16_t& state : states) {
      const double x = deviation * (correlation * shared + std::sqrt(1 - correlation * correlation) * normal(random));
      codes.push_back(static_cast<int8_t>(std::lround(x + 0.5 * trellis_half(state))));
      state = next_trellis_state(state, codes.back());
    }
  }
  return codes;
}

// Half of the codes stand for odd multiples of half a step; told so, the coder needs what the values' own entropy is, rounded to steps.
// Told nothing it cannot see which half a code is of (seen: 0.04 % and 0.49 % above).
TEST(MatrixCoder, ATrellisCostsNoMore) {
  const size_t rows = 2000, cols = 64;
  const std::vector<int8_t> codes = trellis_codes(rows, cols, 2.4, 0);
  const double ideal = ideal_bytes(2.4, codes.size()), with = static_cast<double>(encode_codes(codes, {cols, 6, true}).size());
  EXPECT_NEAR(with, ideal, 0.005 * ideal);
  EXPECT_LT(with, 0.997 * static_cast<double>(encode_codes(codes, {cols, 6}).size()));
}

// With columns that share 0.9 of their deviation predictions are of values: told of the halves it saves what half a step more or less
// adds to a deviation of 2.6, 0.6 % of the variance or 0.15 % of the bits (seen: 0.15 %).
TEST(MatrixCoder, PredictsTheValuesOfATrellis) {
  const std::vector<int8_t> codes = trellis_codes(3000, 32, 6, 0.9);
  ASSERT_TRUE(columns_correlate(codes, 32));
  const Bytes coded = encode_codes(codes, {32, 8, true});
  EXPECT_EQ(decoded(coded, 32, 8, codes.size(), true), codes);
  EXPECT_LT(static_cast<double>(coded.size()), 0.9993 * static_cast<double>(encode_codes(codes, {32, 8}).size()));
}

// Where every column has its own width, the coder pays for knowing them all: within 1 % of the sum of ideals, and well below what a
// coder without context would need (seen: 0.29 % and -3.65 %).
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
  const double coded = static_cast<double>(encode_codes(codes, {cols, 6}).size());
  EXPECT_LT(coded, 1.01 * ideal);
  EXPECT_LT(coded, 0.975 * order0);
}

// Rows of a token table: every column a mixture of few hidden values and noise of its own.
std::vector<int8_t> correlated_codes(size_t rows, size_t cols, size_t hidden, uint32_t seed) {
  const std::vector<int8_t> values = draw_codes(rows, hidden, 8, 20, 0, seed), noise = draw_codes(rows, cols, 8, 3, 0.2, seed + 1);
  const std::vector<int8_t> loads = draw_codes(cols, hidden, 8, 10, 0, seed + 2);
  std::vector<int8_t> codes(rows * cols);
  for (size_t i = 0; i < codes.size(); ++i) {
    int sum = 0;
    for (size_t k = 0; k < hidden; ++k) sum += int{values[i / cols * hidden + k]} * loads[i % cols * hidden + k];
    codes[i] = static_cast<int8_t>(std::clamp(sum / 40 + noise[i], -127, 127));
  }
  return codes;
}

// With 6 hidden values of deviation 20 a column has a deviation of about 12 and one of 3 once they are known: 2 bits of 5.7, a
// third. Shrunk as if 1,024 rows more had no correlation, 4,000 rows reach two thirds of that (seen: 0.78).
TEST(MatrixCoder, PredictsCorrelatedColumns) {
  const size_t rows = 4000, cols = 60;
  const std::vector<int8_t> codes = correlated_codes(rows, cols, 6, 20);
  ASSERT_TRUE(columns_correlate(codes, cols));
  const Bytes coded = encode_codes(codes, {cols, 8});
  EXPECT_EQ(decoded(coded, cols, 8, codes.size()), codes);
  std::vector<int8_t> mixed = codes;  // the same columns, rows shuffled column by column: nothing to predict
  std::mt19937 random(21);
  for (size_t j = 0; j < cols; ++j) {
    for (size_t i = rows - 1; i > 0; --i) std::swap(mixed[i * cols + j], mixed[random() % (i + 1) * cols + j]);
  }
  EXPECT_FALSE(columns_correlate(mixed, cols));
  EXPECT_LT(static_cast<double>(coded.size()), 0.8 * static_cast<double>(encode_codes(mixed, {cols, 8}).size()));
}

// Whether the first bit, of even odds, is 1: the code then begins in the lower half.
bool says_predicted(const Bytes& coded) { return coded[0] < std::byte{0x80}; }

// Every eighth of 512 columns, those that are looked at, shares a quarter of its variance with the others: 0.2 bits of a code there, an eighth of that in
// all, which is less than prediction has to learn in 1,024 rows (1 % of 4.6 bits and more).
TEST(MatrixCoder, PredictsOnlyWhatPays) {
  const size_t rows = 1024, cols = 512;
  std::vector<int8_t> codes = draw_codes(rows, cols, 6, 6, 0, 40);
  const std::vector<int8_t> shared = draw_codes(rows, 1, 6, 6, 0, 41);
  for (size_t i = 0; i < codes.size(); i += 8) {
    const double mixed = std::sqrt(0.75) * codes[i] + 0.5 * shared[i / cols];
    codes[i] = static_cast<int8_t>(std::clamp<long>(std::lround(mixed), -31, 31));
  }
  ASSERT_TRUE(columns_correlate(codes, cols));
  const Bytes coded = encode_codes(codes, {cols, 6});
  EXPECT_FALSE(says_predicted(coded));
  EXPECT_EQ(decoded(coded, cols, 6, codes.size()), codes);
  EXPECT_TRUE(says_predicted(encode_codes(correlated_codes(4000, 60, 6, 20), {60, 8})));
}

// At the limits: predictions beyond it, columns that are always 0 or equal, few and many columns.
TEST(MatrixCoder, PredictionAtItsLimits) {
  for (const size_t cols : {2, 3, 16, 17, 40}) {
    std::vector<int8_t> codes = correlated_codes(700, cols, 1, 30);
    for (size_t i = 0; i < codes.size(); ++i) {
      const size_t j = i % cols;
      if (j % 5 == 1) codes[i] = codes[i - 1];
      if (j % 5 == 2) codes[i] = codes[i - j] > 0 ? 127 : -127;
      if (j % 5 == 3) codes[i] = 0;
    }
    ASSERT_TRUE(columns_correlate(codes, static_cast<int64_t>(cols)));
    const Bytes coded = encode_codes(codes, {static_cast<int64_t>(cols), 8});
    EXPECT_TRUE(says_predicted(coded)) << cols;
    EXPECT_EQ(decoded(coded, static_cast<int64_t>(cols), 8, codes.size()), codes) << cols;
    for (size_t bit = 0; bit < 8 * coded.size(); bit += 997) {  // damaged, it stays within the limit
      Bytes damaged = coded;
      damaged[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
      std::vector<int8_t> other(codes.size());
      error_of([&] { decode_codes(damaged, {static_cast<int64_t>(cols), 8}, "t", other); });
      for (const int8_t code : other) ASSERT_GE(code, -127);
    }
  }
  EXPECT_FALSE(columns_correlate(std::vector<int8_t>(4096, 3), 1));
  EXPECT_FALSE(columns_correlate(std::vector<int8_t>(2 * 4096, 3), 4096));
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
      "eddd2416230434da5b2a03d5abf8ba0ad568eac3765b54d61ac7cb5d4f2b27008a674733"
      "11796dd047fd775d0ade6880");
  EXPECT_EQ(encode_codes(codes, {12, 6}), golden);
  EXPECT_EQ(decoded(golden, 12, 6, 60), codes);
  EXPECT_EQ(encode_codes(codes, {12, 6, true}), testing::from_hex("eddd2416230434da5b2a03d5abf8ba0ad568fc1715ae40b73f88affbf603cb6df68c079fb88377a0950eabc10a8757a0"));
  // Two columns, 400 rows, the second the first one's equal but for a step now and then: prediction and all its tables.
  codes.clear();
  for (int i = 0; i < 400; ++i) {
    state = state * 1664525 + 1013904223;
    codes.push_back(static_cast<int8_t>(static_cast<int>(state >> 27) + static_cast<int>(state >> 22 & 31) - 31));
    codes.push_back(static_cast<int8_t>(std::min(codes.back() + static_cast<int>(state >> 8 & 3), 31)));
  }
  const Bytes predicted = encode_codes(codes, {2, 6});
  const Sha256 digest = sha256(predicted);
  EXPECT_EQ(to_hex(digest), "c65b7d663eb4b0f44f56b09e2af24c703d05dfa7c6b36ecb77793a62c195b708");
  EXPECT_EQ(decoded(predicted, 2, 6, 800), codes);
}

TEST(MatrixCoder, AnyBytesDecodeToCodesInRangeOrToAnError) {
  std::mt19937 random(8);
  for (int bits = 2; bits <= 8; ++bits) {
    const int limit = (1 << (bits - 1)) - 1;
    const bool trellis = bits % 2 == 0;
    const Bytes coded = encode_codes(draw_codes(20, 30, bits, limit / 3.0, 0.2, 2), {30, bits, trellis});
    for (size_t size = 0; size <= coded.size() + 12; ++size) {
      Bytes damaged = coded;
      damaged.resize(size, std::byte{0x5a});
      if (size % 2 == 0 && size > 0) damaged[random() % size] ^= static_cast<std::byte>(1u << random() % 8);
      std::vector<int8_t> codes(600);
      const std::string message = error_of([&] { decode_codes(damaged, {30, bits, trellis}, "t", codes); });
      for (const int8_t code : codes) ASSERT_LE(std::abs(code), limit);
      EXPECT_TRUE(message.empty() || message.find("stream t: more coded bytes") == 0) << message;
      EXPECT_TRUE(size % 2 == 0 || size <= coded.size() + 8 || !message.empty()) << size;
    }
  }
  std::vector<int8_t> many(1 << 20);
  expect_error("0 coded bytes cannot hold", [&] { decode_codes({}, {1024, 6}, "t", many); });
}

}  // namespace
}  // namespace sixteen
