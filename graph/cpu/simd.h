// Lanes<T>: sixteen numbers that one expression works on, with the same bits on every instruction set.
//
// Lanes<float> is one AVX-512 register, two AVX2 registers or an array; Lanes<double> is always an array with loops
// that the compiler vectorises (gradient checks only). Every operation is one IEEE operation a lane, sum() adds in one
// fixed tree, so a kernel written with Lanes gives the same bits wherever it is compiled. How a kernel source is
// compiled three times and what it must not use stands in isa.h; exp, log, tanh and sigmoid are in vecmath.h.
//
//   Lanes<T>::zero() all(x) load(p) load(p, n) store(p) store(p, n)   n < 16 lanes: the rest read as 0, not written
//   + - * / unary-   fma(a, b, c) = a * b + c rounded once   fnma(a, b, c) = c - a * b rounded once   sqrt(a)  abs(a)
//   max(a, b) = a > b ? a : b    min(a, b) = a < b ? a : b            (so b when either is NaN)
//   a < b, a <= b, a == b -> Mask<T>; & | on masks; select(mask, a, b) = mask ? a : b
//   sum(a), max_lane(a): one number; sum adds lane i + 8 to lane i, then i + 4, i + 2, i + 1
//   Ints, for bit tricks on Lanes<float>: see the end.
//
// A loop over a row, the tail included: for (int64_t i = 0; i < n; i += kLanes) { x = Lanes<T>::load(p + i, n - i); ... }
// Bites: load(p, n) fills with 0: exp of it is 1 and a maximum over it may be 0; use select with first(n) there.
// Bites: a + b + c is (a + b) + c; the compiler may not reorder (no -ffast-math) nor contract (-ffp-contract=off).
#pragma once

#include <cstdint>

#ifndef SIXTEEN_ISA
#error "simd.h is for sources in GRAPH_ISA_SOURCES, compiled once per instruction set (isa.h)"
#endif

namespace sixteen::cpu::SIXTEEN_ISA {

constexpr int kLanes = 16;

template <class T>
struct Mask {
  bool v[kLanes];
};

template <class T>
struct Lanes {
  T v[kLanes];

  static Lanes all(T x) {
    Lanes r;
    for (int i = 0; i < kLanes; ++i) r.v[i] = x;
    return r;
  }
  static Lanes zero() { return all(T(0)); }
  static Lanes load(const T* p) {
    Lanes r;
    for (int i = 0; i < kLanes; ++i) r.v[i] = p[i];
    return r;
  }
  static Lanes load(const T* p, int64_t n) {
    Lanes r;
    for (int i = 0; i < kLanes; ++i) r.v[i] = i < n ? p[i] : T(0);
    return r;
  }
  void store(T* p) const {
    for (int i = 0; i < kLanes; ++i) p[i] = v[i];
  }
  void store(T* p, int64_t n) const {
    for (int i = 0; i < kLanes && i < n; ++i) p[i] = v[i];
  }
};

namespace lanes_detail {
inline float fma1(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double fma1(double a, double b, double c) { return __builtin_fma(a, b, c); }
inline float sqrt1(float a) { return __builtin_sqrtf(a); }
inline double sqrt1(double a) { return __builtin_sqrt(a); }
inline float abs1(float a) { return __builtin_fabsf(a); }
inline double abs1(double a) { return __builtin_fabs(a); }
}  // namespace lanes_detail

// The array versions; the expression is lane i of the result.
#define SIXTEEN_EACH_LANE(Result, expression)             \
  {                                                       \
    Result r;                                             \
    for (int i = 0; i < kLanes; ++i) r.v[i] = expression; \
    return r;                                             \
  }
// clang-format off
template <class T> Lanes<T> operator+(Lanes<T> a, Lanes<T> b) SIXTEEN_EACH_LANE(Lanes<T>, a.v[i] + b.v[i])
template <class T> Lanes<T> operator-(Lanes<T> a, Lanes<T> b) SIXTEEN_EACH_LANE(Lanes<T>, a.v[i] - b.v[i])
template <class T> Lanes<T> operator*(Lanes<T> a, Lanes<T> b) SIXTEEN_EACH_LANE(Lanes<T>, a.v[i] * b.v[i])
template <class T> Lanes<T> operator/(Lanes<T> a, Lanes<T> b) SIXTEEN_EACH_LANE(Lanes<T>, a.v[i] / b.v[i])
template <class T> Lanes<T> operator-(Lanes<T> a) SIXTEEN_EACH_LANE(Lanes<T>, -a.v[i])
template <class T> Lanes<T> fma(Lanes<T> a, Lanes<T> b, Lanes<T> c)
    SIXTEEN_EACH_LANE(Lanes<T>, lanes_detail::fma1(a.v[i], b.v[i], c.v[i]))
template <class T> Lanes<T> fnma(Lanes<T> a, Lanes<T> b, Lanes<T> c)
    SIXTEEN_EACH_LANE(Lanes<T>, lanes_detail::fma1(-a.v[i], b.v[i], c.v[i]))
template <class T> Lanes<T> sqrt(Lanes<T> a) SIXTEEN_EACH_LANE(Lanes<T>, lanes_detail::sqrt1(a.v[i]))
template <class T> Lanes<T> abs(Lanes<T> a) SIXTEEN_EACH_LANE(Lanes<T>, lanes_detail::abs1(a.v[i]))
template <class T> Lanes<T> max(Lanes<T> a, Lanes<T> b) SIXTEEN_EACH_LANE(Lanes<T>, a.v[i] > b.v[i] ? a.v[i] : b.v[i])
template <class T> Lanes<T> min(Lanes<T> a, Lanes<T> b) SIXTEEN_EACH_LANE(Lanes<T>, a.v[i] < b.v[i] ? a.v[i] : b.v[i])
template <class T> Mask<T> operator<(Lanes<T> a, Lanes<T> b) SIXTEEN_EACH_LANE(Mask<T>, a.v[i] < b.v[i])
template <class T> Mask<T> operator<=(Lanes<T> a, Lanes<T> b) SIXTEEN_EACH_LANE(Mask<T>, a.v[i] <= b.v[i])
template <class T> Mask<T> operator==(Lanes<T> a, Lanes<T> b) SIXTEEN_EACH_LANE(Mask<T>, a.v[i] == b.v[i])
template <class T> Mask<T> operator&(Mask<T> a, Mask<T> b) SIXTEEN_EACH_LANE(Mask<T>, a.v[i] && b.v[i])
template <class T> Mask<T> operator|(Mask<T> a, Mask<T> b) SIXTEEN_EACH_LANE(Mask<T>, a.v[i] || b.v[i])
template <class T> Lanes<T> select(Mask<T> m, Lanes<T> a, Lanes<T> b)
    SIXTEEN_EACH_LANE(Lanes<T>, m.v[i] ? a.v[i] : b.v[i])

template <class T>
T sum(Lanes<T> a) {
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) a.v[i] += a.v[i + half];
  }
  return a.v[0];
}
// clang-format on

template <class T>
T max_lane(Lanes<T> a) {
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) a.v[i] = a.v[i] > a.v[i + half] ? a.v[i] : a.v[i + half];
  }
  return a.v[0];
}

// The mask of the first n lanes.
template <class T>
struct FirstLanes {
  static Mask<T> of(int64_t n) SIXTEEN_EACH_LANE(Mask<T>, i < n)
};
template <class T>
Mask<T> first(int64_t n) {
  return FirstLanes<T>::of(n);
}

}  // namespace sixteen::cpu::SIXTEEN_ISA

#if defined(__AVX512F__) && defined(__AVX512DQ__)
#include "graph/cpu/simd_avx512.h"
#elif defined(__AVX2__) && defined(__FMA__)
#include "graph/cpu/simd_avx2.h"
#else

namespace sixteen::cpu::SIXTEEN_ISA {

// Sixteen int32: bits() and from_bits() reinterpret, to_ints() rounds to nearest (|x| < 2^31), shifts are by a constant
// and shift_right keeps the sign.
struct Ints {
  int32_t v[kLanes];
  static Ints all(int32_t x) SIXTEEN_EACH_LANE(Ints, x)
};

// clang-format off
inline Ints operator+(Ints a, Ints b) SIXTEEN_EACH_LANE(Ints, int32_t(uint32_t(a.v[i]) + uint32_t(b.v[i])))
inline Ints operator-(Ints a, Ints b) SIXTEEN_EACH_LANE(Ints, int32_t(uint32_t(a.v[i]) - uint32_t(b.v[i])))
inline Ints operator&(Ints a, Ints b) SIXTEEN_EACH_LANE(Ints, a.v[i] & b.v[i])
inline Ints operator|(Ints a, Ints b) SIXTEEN_EACH_LANE(Ints, a.v[i] | b.v[i])
template <int n> Ints shift_left(Ints a) SIXTEEN_EACH_LANE(Ints, int32_t(uint32_t(a.v[i]) << n))
template <int n> Ints shift_right(Ints a) SIXTEEN_EACH_LANE(Ints, a.v[i] >> n)
inline Ints bits(Lanes<float> a) SIXTEEN_EACH_LANE(Ints, __builtin_bit_cast(int32_t, a.v[i]))
inline Lanes<float> from_bits(Ints a) SIXTEEN_EACH_LANE(Lanes<float>, __builtin_bit_cast(float, a.v[i]))
inline Ints to_ints(Lanes<float> a) SIXTEEN_EACH_LANE(Ints, int32_t(__builtin_rintf(a.v[i])))
inline Lanes<float> to_floats(Ints a) SIXTEEN_EACH_LANE(Lanes<float>, float(a.v[i]))
// clang-format on

}  // namespace sixteen::cpu::SIXTEEN_ISA

#endif
#undef SIXTEEN_EACH_LANE
