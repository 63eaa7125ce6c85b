// 2^x for softmax weights, at half the cost of vecmath.h's exp: for x <= 0 (or above 0 by rounding), 0 below -126, NaN
// stays.
//
// 2^x = 2^n (1 + r q(r)), n = round(x), relative error 3e-9 plus one rounding; q's coefficients are a minimax fit,
// rounded to fp32 one by one with the later ones refitted. For sources in GRAPH_ISA_SOURCES (isa.h).
// Bites: x = 127 or more is garbage.
#pragma once

#include "graph/cpu/simd.h"

namespace sixteen::cpu::SIXTEEN_ISA {

constexpr double kLog2E = 1.44269504088896340736, kLn2 = 0.693147180559945309417;

inline Lanes<float> weight_exp2(Lanes<float> x) {
  using V = Lanes<float>;
  const V magic = V::all(12582912.0f + 127.0f);  // adding it rounds to an integer, whose lowest bits are the exponent's
  const V clamped = max(V::all(-126.0f), x);
  const V shifted = clamped + magic;
  const V r = clamped - (shifted - magic);
  V q = V::all(0x1.416b5ep-13f);
  q = fma(q, r, V::all(0x1.5f082ep-10f));
  q = fma(q, r, V::all(0x1.3b2de0p-7f));
  q = fma(q, r, V::all(0x1.c6af7cp-5f));
  q = fma(q, r, V::all(0x1.ebfbdcp-3f));
  q = fma(q, r, V::all(0x1.62e430p-1f));
  const V p = fma(q, r, V::all(1.0f)) * from_bits(shift_left<23>(bits(shifted)));
  return select(x < V::all(-126.0f), V::zero(), p);
}

inline Lanes<double> weight_exp2(Lanes<double> x) {
  for (double& lane : x.v) lane = __builtin_exp2(lane);
  return x;
}

}  // namespace sixteen::cpu::SIXTEEN_ISA
