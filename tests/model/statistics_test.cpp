// Student's t and Welch's test against printed tables and values worked out by hand.
#include "model/statistics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sixteen {
namespace {

TEST(Statistics, StudentAgreesWithTheTables) {
  // df, t, upper tail: printed tables of the t distribution; half a unit of the third decimal of t moves p by up to 0.1 %.
  const double table[][3] = {{1, 3.078, 0.10}, {1, 31.821, 0.01}, {2, 6.965, 0.01}, {2, 9.925, 0.005}, {4, 3.747, 0.01},
                             {10, 1.812, 0.05}, {30, 2.457, 0.01}, {120, 2.358, 0.01}};
  for (const auto& [df, t, p] : table) {
    EXPECT_NEAR(student_upper_tail(t, df), p, 2e-3 * p) << df << " " << t;
    EXPECT_NEAR(student_upper_tail(-t, df), 1 - p, 2e-3 * p);
  }
  EXPECT_DOUBLE_EQ(student_upper_tail(0, 7.5), 0.5);
  // df = 1 is Cauchy's law, df = 2 has a closed form: exact at any t.
  for (const double t : {0.1, 1.0, 17.67, 1000.0}) {
    EXPECT_NEAR(student_upper_tail(t, 1), std::atan2(1, t) / M_PI, 1e-13);
    EXPECT_NEAR(student_upper_tail(t, 2), 1 / (t * t + 2 + t * std::sqrt(t * t + 2)), 1e-13);
  }
}

TEST(Statistics, TheSampleDeviationHasNMinusOne) {
  const double values[] = {1, 2, 3, 4};
  const Sample sample = describe(values);
  EXPECT_DOUBLE_EQ(sample.mean, 2.5);
  EXPECT_DOUBLE_EQ(sample.deviation, std::sqrt(5.0 / 3));
  EXPECT_EQ(describe(std::span(values).first(1)).deviation, 0);
}

TEST(Statistics, WelchByHand) {
  // a: 1.0, 1.1, 1.2 (variance 0.01); b: 1.5, 1.9 (variance 0.08). se^2 = 0.01/3 + 0.04; df = se^4 / ((0.01/3)^2/2 + 0.04^2).
  const double a[] = {1.0, 1.1, 1.2}, b[] = {1.5, 1.9};
  const TestResult r = welch_test(describe(a), describe(b), 0.1);
  const double se2 = 0.01 / 3 + 0.04;
  EXPECT_NEAR(r.t, 0.5 / std::sqrt(se2), 1e-12);
  EXPECT_NEAR(r.df, se2 * se2 / (0.01 / 3 * 0.01 / 3 / 2 + 0.04 * 0.04), 1e-9);
  EXPECT_NEAR(r.p, student_upper_tail(r.t, r.df), 1e-15);
  const double differences[] = {0.2, 0.3, 0.4};
  EXPECT_NEAR(one_sample_test(describe(differences), 0).t, 0.3 / (0.1 / std::sqrt(3)), 1e-12);
  const double equal[] = {1, 1};
  EXPECT_EQ(welch_test(describe(equal), describe(equal), 0).p, 1);
}

}  // namespace
}  // namespace sixteen
