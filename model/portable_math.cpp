// Polynomials of Taylor and of atanh, after the usual reductions. See portable_math.h.
#include "model/portable_math.h"

#include <algorithm>
#include <bit>
#include <cstdint>

namespace sixteen {
namespace {

constexpr double kMagic = 0x1.8p52;                  // adding it rounds to an integer
constexpr double kLn2High = 0x1.62e42feep-1;         // 32 bits: an exponent times it is exact
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;    // the rest
constexpr double kSmallestExponent = -700;

// x = n pi / 2 + r, |r| <= pi / 4; n modulo 4 comes back.
int64_t reduce(double x, double* r) {
  const double n = (x * 0x1.45f306dc9c883p-1 + kMagic) - kMagic;
  *r = ((x - n * 0x1.921fb544p+0) - n * 0x1.0b4611ap-34) - n * 0x1.898cc51701b84p-64;  // pi / 2 in three parts
  return static_cast<int64_t>(n) & 3;
}

// 1 - r^2 / 2 + ..., or r - r^3 / 6 + ...; what is left out is below 2^-60.
double cos_of(double r) {
  const double u = r * r;
  double p = 1;
  for (int k = 18; k >= 2; k -= 2) p = 1 - p * u / (k * (k - 1));
  return p;
}
double sin_of(double r) {
  const double u = r * r;
  double p = 1;
  for (int k = 19; k >= 3; k -= 2) p = 1 - p * u / (k * (k - 1));
  return r * p;
}

// cos(x + quarters pi / 2).
double turned_cos(double x, int64_t quarters) {
  double r = 0;
  switch ((reduce(x, &r) + quarters) & 3) {
    case 0: return cos_of(r);
    case 1: return -sin_of(r);
    case 2: return -cos_of(r);
    default: return sin_of(r);
  }
}

}  // namespace

// exp(x) = 2^n exp(r), |r| <= ln 2 / 2, by the Taylor polynomial, whose remainder is below 2^-57.
double portable_exp(double x) {
  constexpr double kInverseFactorials[] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880,
                                           1.0 / 40320,      1.0 / 5040,      1.0 / 720,      1.0 / 120,     1.0 / 24,
                                           1.0 / 6,          0.5,             1.0,            1.0};
  const double clamped = std::max(x, kSmallestExponent);
  const double shifted = clamped * 0x1.71547652b82fep+0 + kMagic, n = shifted - kMagic;
  const double r = (clamped - n * kLn2High) - n * kLn2Low;
  double p = 0;
  for (const double coefficient : kInverseFactorials) p = p * r + coefficient;
  const uint64_t exponent = std::bit_cast<uint64_t>(shifted) - std::bit_cast<uint64_t>(kMagic);
  return x < kSmallestExponent ? 0 : p * std::bit_cast<double>((exponent + 1023) << 52);
}

// log(x) = e ln 2 + 2 atanh(s), s = (m - 1) / (m + 1), m in [0.7, 1.4]; the series ends at s^21 / 21, below 2^-57.
double portable_log(double x) {
  const uint64_t bits = std::bit_cast<uint64_t>(x), least = std::bit_cast<uint64_t>(0x1.6a09e667f3bcdp-1);
  const int64_t e = static_cast<int64_t>(bits - least) >> 52;
  const double m = std::bit_cast<double>(bits - (static_cast<uint64_t>(e) << 52)), s = (m - 1) / (m + 1), u = s * s;
  double p = 0;
  for (int k = 21; k >= 1; k -= 2) p = p * u + 1.0 / k;
  const double exponent = static_cast<double>(e);
  return exponent * kLn2High + (exponent * kLn2Low + 2 * s * p);
}

double portable_cos(double x) { return turned_cos(x, 0); }
double portable_sin(double x) { return turned_cos(x, 3); }

}  // namespace sixteen
