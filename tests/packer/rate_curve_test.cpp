// Curves go through their points, and the best division of bytes is the known one where theory gives it.
#include "packer/rate_curve.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sixteen {
namespace {

// Error weight * 4^x, bits offset - x: what a fine uniform quantiser does.
RateClass ideal(double numel, double weight, double offset) {
  std::vector<RatePoint> points;
  for (double x = 0; x <= 6; x += 0.5) points.push_back({x, offset - x, weight * std::exp2(2 * x)});
  return {numel, RateCurve(points)};
}

TEST(RateCurve, GoesThroughItsPointsAndStaysBetweenNeighbours) {
  const std::vector<RatePoint> points = {{1, 5, 4}, {1.5, 4.4, 1}, {2.5, 3.1, 3}, {3, 3.0, 20}};
  const RateCurve curve(points);
  for (const RatePoint& p : points) {
    EXPECT_DOUBLE_EQ(curve.bits(p.x), p.bits);
    EXPECT_NEAR(curve.error(p.x), p.error, 1e-12 * p.error);  // through log2 and back
  }
  for (size_t i = 1; i < points.size(); ++i) {
    const RatePoint &a = points[i - 1], &b = points[i];
    for (double t = 0.1; t < 1; t += 0.1) {
      const double x = a.x + t * (b.x - a.x);
      EXPECT_LE(curve.bits(x), a.bits);
      EXPECT_GE(curve.bits(x), b.bits);
      EXPECT_GE(curve.error(x), std::min(a.error, b.error) * (1 - 1e-12));
      EXPECT_LE(curve.error(x), std::max(a.error, b.error) * (1 + 1e-12));
    }
  }
  EXPECT_NEAR(ideal(1, 3, 8).curve.error(2.3), 3 * std::exp2(4.6), 1e-9);  // a straight line in the logarithm stays one
  EXPECT_NEAR(ideal(1, 3, 8).curve.bits(2.3), 5.7, 1e-12);
}

// Equal slopes: weight * 4^x / numel is the same in all classes.
TEST(RateCurve, AllocatesWithEqualSlopes) {
  const std::vector<RateClass> classes = {ideal(1e6, 1, 8), ideal(4e6, 9, 8), ideal(2e5, 0.2, 8.5)};
  for (const double bytes : {1.9e6, 2.6e6, 3.3e6}) {
    const Allocation found = allocate(classes, bytes);
    EXPECT_NEAR(found.bytes, bytes, 1e-6 * bytes);
    const double slope = std::exp2(2 * found.x[0]) / 1e6;
    // Places are 1/128 apart before they are joined: 4^(1/128) is 1.1 %.
    EXPECT_NEAR(9 * std::exp2(2 * found.x[1]) / 4e6, slope, 0.012 * slope);
    EXPECT_NEAR(0.2 * std::exp2(2 * found.x[2]) / 2e5, slope, 0.012 * slope);
    const Allocation together = shift(classes, std::vector<double>{2, 2, 2}, bytes);
    EXPECT_NEAR(together.bytes, bytes, 1e-6 * bytes);
    EXPECT_DOUBLE_EQ(together.x[0], together.x[1]);
    EXPECT_LT(found.error, together.error);
    EXPECT_NEAR(allocation_at(classes, found.x).error, found.error, 1e-12 * found.error);
  }
}

TEST(RateCurve, EndsWhereTheCurvesEnd) {
  const std::vector<RateClass> classes = {ideal(8e6, 1, 8), ideal(8e6, 2, 8)};
  EXPECT_EQ(allocate(classes, 1e9).x, (std::vector<double>{0, 0}));
  EXPECT_EQ(allocate(classes, 1).x, (std::vector<double>{6, 6}));
  EXPECT_EQ(allocate(classes, 1).bytes, 4e6);
  EXPECT_EQ(shift(classes, std::vector<double>{1, 2}, 1).x, (std::vector<double>{6, 6}));
  EXPECT_EQ(shift(classes, std::vector<double>{1, 2}, 1e9).x, (std::vector<double>{0, 0}));
  // Finer is worse where codes run out: the least error is inside, however many bytes there are.
  const std::vector<RateClass> clipped = {{8, RateCurve({{0, 6, 9}, {1, 5, 2}, {2, 4, 5}})}};
  EXPECT_DOUBLE_EQ(allocate(clipped, 1e9).x[0], 1);
}

}  // namespace
}  // namespace sixteen
