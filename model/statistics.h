// Small samples: mean, sample deviation, Student's t, Welch's test.
//
// Bites: s is the sample's deviation (n - 1 below the line), as tests of means need it; a population's (n) makes a claim look
// stronger than it is. Everything in fp64.
#pragma once

#include <cstdint>
#include <span>

namespace sixteen {

struct Sample {
  int64_t n = 0;
  double mean = 0, deviation = 0;  // deviation 0 for n < 2
};
Sample describe(std::span<const double> values);

// P(T >= t) of Student's t with df > 0 degrees of freedom, any real number. By the incomplete beta function's continued fraction
// (Numerical Recipes 6.4, Lentz's method).
double student_upper_tail(double t, double df);

struct TestResult {
  double t = 0, df = 0, p = 1;  // p: one-sided, that the difference is not above the threshold
};
// One-sided Welch test of mean(b) - mean(a) > delta (legality: D9). Both need n >= 2; with no deviation at all, p is 0 or 1.
TestResult welch_test(const Sample& a, const Sample& b, double delta);
// One-sided test of mean(sample) > delta; n >= 2. Of paired differences: the paired test.
TestResult one_sample_test(const Sample& sample, double delta);

}  // namespace sixteen
