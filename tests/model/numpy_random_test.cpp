// Against NumPy's own numbers (spec_1584_1555 11.1, spec_726_754 A.7; the distributions: NumPy 2.4.6, whose PCG64 streams are
// those of 2.2); the loaders' golden data exercise all of it together.
#include "model/numpy_random.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace sixteen {
namespace {

TEST(NumpyRandom, FirstDoubles) {
  EXPECT_EQ(NumpyRandom(0).next_double(), 0.6369616873214543);
  EXPECT_EQ(NumpyRandom(42).next_double(), 0.7739560485559633);
}

TEST(NumpyRandom, IntegersBelowTen) {
  NumpyRandom random(0);
  std::vector<uint32_t> drawn;
  for (int i = 0; i < 10; ++i) drawn.push_back(random.integers(10));
  EXPECT_EQ(drawn, (std::vector<uint32_t>{8, 6, 5, 2, 3, 0, 0, 0, 1, 8}));
}

TEST(NumpyRandom, PermutationOfTen) {
  NumpyRandom random(0);
  std::vector<int32_t> order(10);
  random.permutation(order);
  EXPECT_EQ(order, (std::vector<int32_t>{4, 6, 2, 7, 3, 5, 9, 0, 8, 1}));
}

TEST(NumpyRandom, HalfWordWaitsThroughDoubles) {
  NumpyRandom plain(7), mixed(7);
  const uint64_t first = plain.next64();
  const double second = plain.next_double();
  EXPECT_EQ(mixed.next32(), static_cast<uint32_t>(first));
  EXPECT_EQ(mixed.next_double(), second);
  EXPECT_EQ(mixed.next32(), static_cast<uint32_t>(first >> 32));
}

TEST(NumpyRandom, OneChoiceDrawsNothingAndSmallPermutationsWork) {
  NumpyRandom random(3), untouched(3);
  EXPECT_EQ(random.integers(1), 0u);
  std::vector<int32_t> none, one(1, 9);
  random.permutation(none);
  random.permutation(one);
  EXPECT_EQ(one, std::vector<int32_t>{0});
  EXPECT_EQ(random.next64(), untouched.next64());
}

TEST(NumpyRandom, ChoiceNeverTakesAnEmptyWeight) {
  NumpyRandom random(5);
  const std::vector<double> weights = {0, 3, 0, 1, 0};
  std::vector<double> cdf(5);
  int count[5] = {};
  for (int i = 0; i < 4000; ++i) ++count[random.choice(weights, cdf)];
  EXPECT_EQ(count[0] + count[2] + count[4], 0);
  EXPECT_NEAR(count[1], 3000, 150);  // 5.5 standard deviations of a binomial(4000, 3/4)
}

TEST(NumpyRandom, SixtyFourBitSeed) {  // spec_726_754 A.7
  NumpyRandom random(0x1c4ef7d1e32f71f5), tiny(0x71f0e90761e7e4bb);
  EXPECT_EQ(random.next64(), 0x6cafde93fb0dcae5u);
  EXPECT_EQ(random.next64(), 0xb202fa091a72325au);
  EXPECT_EQ(random.next64(), 0x04407693f08c674au);
  for (const uint32_t expected : {43, 30, 56, 49, 3, 98, 2, 17}) EXPECT_EQ(tiny.integers(100), expected);
}

// Generator(PCG64(11)).binomial: inversion, BTPE, BTPE's bounds and Stirling series (n = 100000), both flipped.
TEST(NumpyRandom, Binomial) {
  struct Case {
    int64_t n;
    double p;
    std::vector<int64_t> drawn;
  };
  const std::vector<Case> cases = {
      {5, 0.3, {0, 1, 2, 0, 0, 3, 0, 0, 3, 2, 1, 1}},
      {100, 0.02, {2, 1, 1, 3, 2, 2, 3, 2, 5, 1, 2, 2}},
      {376, 0.125, {49, 44, 38, 40, 56, 46, 50, 55, 40, 48, 35, 51}},
      {376, 0.5, {187, 173, 199, 184, 179, 204, 192, 190, 183, 187, 189, 178}},
      {400, 0.9, {346, 368, 354, 362, 362, 363, 361, 354, 353, 358, 367, 366}},
      {3000, 0.5, {1535, 1496, 1507, 1488, 1520, 1502, 1537, 1474, 1441, 1551, 1481, 1485}},
      {100000, 0.3, {29768, 30047, 29706, 29935, 30118, 30063, 29904, 29918, 29870, 29999, 30118, 29799}},
      {10, 1.0, {10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10}}};
  NumpyRandom random(11);
  for (const Case& c : cases) {
    for (const int64_t expected : c.drawn) ASSERT_EQ(random.binomial(c.n, c.p), expected) << c.n << " " << c.p;
  }
  EXPECT_EQ(random.next_double(), 0.34008236435920547);  // no draw more, no draw less
}

TEST(NumpyRandom, ChoiceWithoutReplacementAndMultinomial) {
  NumpyRandom random(12);
  const std::vector<double> p = {.05, .3, .02, .13, .2, .1, .15, .05};
  EXPECT_EQ(random.choose(p, 6), (std::vector<int32_t>{1, 6, 4, 2, 5, 0}));
  EXPECT_EQ(random.choose(p, 8), (std::vector<int32_t>{4, 1, 3, 6, 0, 5, 7, 2}));
  EXPECT_EQ(random.multinomial(376, p), (std::vector<int64_t>{13, 127, 5, 54, 65, 30, 66, 16}));
  EXPECT_EQ(random.next_double(), 0.600110285529601);
}

// numpy.sum([0.1 * i * i + 1/3 for i in range(n)]).
TEST(NumpyRandom, PairwiseSum) {
  const std::vector<std::pair<int, double>> cases = {
      {7, 11.433333333333334}, {8, 16.666666666666668},  {30, 865.5000000000002},  {128, 69130.66666666667},
      {129, 70769.4},          {300, 895605.0000000001}, {1000, 33283683.33333334}};
  int differing = 0;
  for (const auto& [n, expected] : cases) {
    std::vector<double> values;
    double sequential = 0;
    for (int i = 0; i < n; ++i) sequential += values.emplace_back(0.1 * i * i + 1.0 / 3);
    EXPECT_EQ(numpy_sum(values), expected) << n;
    differing += sequential != expected;
  }
  EXPECT_GT(differing, 2);  // else the order is not tested
}

}  // namespace
}  // namespace sixteen
