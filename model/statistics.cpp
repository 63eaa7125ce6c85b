// See statistics.h.
#include "model/statistics.h"

#include <cmath>

#include "formats/check.h"

namespace sixteen {
namespace {

constexpr int kMostSteps = 500;
constexpr double kPrecision = 1e-15, kTiny = 1e-300;

// The continued fraction of I_x(a, b); converges fast for x < (a + 1) / (a + b + 2).
double beta_fraction(double a, double b, double x) {
  const auto away_from_zero = [](double v) { return std::abs(v) < kTiny ? kTiny : v; };
  double c = 1, d = 1 / away_from_zero(1 - (a + b) * x / (a + 1)), h = d;
  for (int m = 1; m <= kMostSteps; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away_from_zero(1 + even * d);
    c = away_from_zero(1 + even / c);
    h *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away_from_zero(1 + odd * d);
    c = away_from_zero(1 + odd / c);
    h *= d * c;
    if (std::abs(d * c - 1) < kPrecision) break;
  }
  return h;
}

double incomplete_beta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double front = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x));
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
  return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

TestResult from_difference(double difference, double error, double df) {
  if (error == 0) return {.t = difference > 0 ? INFINITY : -INFINITY, .df = df, .p = difference > 0 ? 0.0 : 1.0};
  const double t = difference / error;
  return {.t = t, .df = df, .p = student_upper_tail(t, df)};
}

}  // namespace

Sample describe(std::span<const double> values) {
  Sample sample{.n = static_cast<int64_t>(values.size())};
  for (const double value : values) sample.mean += value / static_cast<double>(values.size());
  double squares = 0;
  for (const double value : values) squares += (value - sample.mean) * (value - sample.mean);
  if (sample.n > 1) sample.deviation = std::sqrt(squares / static_cast<double>(sample.n - 1));
  return sample;
}

double student_upper_tail(double t, double df) {
  CHECK(df > 0);
  const double tail = 0.5 * incomplete_beta(df / 2, 0.5, df / (df + t * t));
  return t >= 0 ? tail : 1 - tail;
}

TestResult welch_test(const Sample& a, const Sample& b, double delta) {
  CHECK(a.n >= 2 && b.n >= 2);
  const double na = static_cast<double>(a.n), nb = static_cast<double>(b.n);
  const double va = a.deviation * a.deviation / na, vb = b.deviation * b.deviation / nb;
  const double df = va + vb == 0 ? na + nb - 2 : (va + vb) * (va + vb) / (va * va / (na - 1) + vb * vb / (nb - 1));
  return from_difference(b.mean - a.mean - delta, std::sqrt(va + vb), df);
}

TestResult one_sample_test(const Sample& sample, double delta) {
  CHECK(sample.n >= 2);
  const double n = static_cast<double>(sample.n);
  return from_difference(sample.mean - delta, sample.deviation / std::sqrt(n), n - 1);
}

}  // namespace sixteen
