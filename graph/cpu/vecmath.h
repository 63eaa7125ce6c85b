// exp, log, tanh and sigmoid of Lanes<T>, with the same bits on every instruction set (only + - * / fma and bit
// operations).
//
// fp32: measured against double libm by tests/graph/vecmath_test.cpp: exp and log err by less than 1 ulp, tanh and
// sigmoid by less than 2, subnormal results included. exp(-inf) = 0, exp(inf) = inf, log(0) = -inf, log(x < 0) = NaN,
// NaN stays NaN. The coefficients are minimax fits of our own, rounded to fp32 one by one with the later ones refitted.
// fp64 calls the C library lane by lane.
// Bites: tanh(-0) = -0 and sigmoid keeps its relative precision far left (it is not 1 - sigmoid(-x)).
#pragma once

#include "graph/cpu/simd.h"

namespace sixteen::cpu::SIXTEEN_ISA {

// x 2^n for integral n in [-252, 254], in two steps so that results may be subnormal or overflow; one rounding.
inline Lanes<float> scale_by_power(Lanes<float> x, Ints n) {
  const Ints half = shift_right<1>(n);
  const Ints rest = n - half;
  const Ints bias = Ints::all(127);
  return x * from_bits(shift_left<23>(half + bias)) * from_bits(shift_left<23>(rest + bias));
}

// exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln 2 / 2; exp(r) = 1 + r + r^2 q(r) with relative error 3.1e-9.
inline Lanes<float> exp(Lanes<float> x) {
  using V = Lanes<float>;
  const V clamped = min(V::all(89.0f), max(V::all(-105.0f), x));  // exact results beyond: inf and 0; NaN passes
  const V magic = V::all(12582912.0f);                            // 1.5 * 2^23: adding it rounds to an integer
  const V shifted = fma(clamped, V::all(1.44269504088896340736f), magic);
  const V n = shifted - magic;
  V r = fnma(n, V::all(0x1.62e4p-1f), clamped);  // ln 2 in two parts: the first has 15 bits, so n times it is exact
  r = fnma(n, V::all(0x1.7f7d1cp-20f), r);
  V q = V::all(0x1.6a4f6ap-10f);
  q = fma(q, r, V::all(0x1.123982p-7f));
  q = fma(q, r, V::all(0x1.5558aep-5f));
  q = fma(q, r, V::all(0x1.555492p-3f));
  q = fma(q, r, V::all(0x1.fffffcp-2f));
  const V p = fma(r * r, q, r) + V::all(1.0f);
  return scale_by_power(p, bits(shifted) - bits(magic));
}

// log(x) = e ln 2 + log(1 + f), f in [-1/3, 1/3]; log(1 + f) = f - f^2 / 2 + f^3 p(f) with relative error 4.7e-9.
inline Lanes<float> log(Lanes<float> x) {
  using V = Lanes<float>;
  const V infinity = V::all(__builtin_inff());
  const Mask<float> subnormal = x < V::all(0x1p-126f);
  const V scaled = select(subnormal, x * V::all(0x1p23f), x);
  const Ints e = (bits(scaled) - bits(V::all(0x1.555556p-1f))) & Ints::all(static_cast<int32_t>(0xff800000u));
  const V f = from_bits(bits(scaled) - e) - V::all(1.0f);
  const V exponent = fma(to_floats(e), V::all(0x1p-23f), select(subnormal, V::all(-23.0f), V::zero()));
  V p = V::all(-0x1.07e37ep-3f);
  p = fma(p, f, V::all(0x1.1e737ap-3f));
  p = fma(p, f, V::all(-0x1.f32170p-4f));
  p = fma(p, f, V::all(0x1.1ed428p-3f));
  p = fma(p, f, V::all(-0x1.559d30p-3f));
  p = fma(p, f, V::all(0x1.99d05ep-3f));
  p = fma(p, f, V::all(-0x1.fffef4p-3f));
  p = fma(p, f, V::all(0x1.555506p-2f));
  p = fma(p, f, V::all(-0.5f));
  const V log1p = fma(f * f, p, f);
  V result = fma(exponent, V::all(0x1.62e430p-1f), log1p);
  result = select(x == V::zero(), -infinity, result);
  result = select(x < V::zero(), V::all(__builtin_nanf("")), result);
  return select(x < infinity, result, x);  // inf stays inf, NaN stays NaN
}

// On |x|: x + x^3 p(x^2) below 0.55 (relative error 1.2e-9), else 1 - 2 / (exp(2x) + 1); then the sign of x.
inline Lanes<float> tanh(Lanes<float> x) {
  using V = Lanes<float>;
  const V a = abs(x);
  const V u = a * a;
  V p = V::all(-0x1.9847dcp-8f);
  p = fma(p, u, V::all(0x1.58c3f6p-6f));
  p = fma(p, u, V::all(-0x1.b91b52p-5f));
  p = fma(p, u, V::all(0x1.110ce2p-3f));
  p = fma(p, u, V::all(-0x1.55554ap-2f));
  const V small = fma(a * u, p, a);
  const V large = V::all(1.0f) - V::all(2.0f) / (exp(a + a) + V::all(1.0f));
  const Ints sign = bits(x) & bits(V::all(-0.0f));
  return from_bits(bits(select(a < V::all(0.55f), small, large)) | sign);
}

// 1 / (1 + exp(-x)), for x < 0 as exp(x) / (1 + exp(x)); one correction takes back the roundings of 1 + e and the
// division.
inline Lanes<float> sigmoid(Lanes<float> x) {
  using V = Lanes<float>;
  const V one = V::all(1.0f);
  const V e = exp(-abs(x));
  const V denominator = one + e;
  const V lost = e - (denominator - one);  // exact: e <= 1
  const V numerator = select(x < V::zero(), e, one);
  const V inverse = one / denominator;
  const V quotient = numerator * inverse;
  const V residual = fnma(quotient, lost, fnma(quotient, denominator, numerator));
  return fma(residual, inverse, quotient);
}

inline Lanes<double> exp(Lanes<double> x) {
  for (double& lane : x.v) lane = __builtin_exp(lane);
  return x;
}
inline Lanes<double> log(Lanes<double> x) {
  for (double& lane : x.v) lane = __builtin_log(lane);
  return x;
}
inline Lanes<double> tanh(Lanes<double> x) {
  for (double& lane : x.v) lane = __builtin_tanh(lane);
  return x;
}
inline Lanes<double> sigmoid(Lanes<double> x) {
  for (double& lane : x.v) {
    const double e = __builtin_exp(-__builtin_fabs(lane));
    lane = (lane < 0 ? e : 1.0) / (1.0 + e);
  }
  return x;
}

}  // namespace sixteen::cpu::SIXTEEN_ISA
