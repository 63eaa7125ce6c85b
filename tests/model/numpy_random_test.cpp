// Against NumPy's own numbers (spec_1584_1555 11.1); the loader's golden data exercises all of it together.
#include "model/numpy_random.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace sixteen
