// Lanes<float> as two AVX2 registers, lanes 0-7 and 8-15. Included by simd.h, which says what each operation means.
#pragma once

#include <immintrin.h>

namespace sixteen::cpu::SIXTEEN_ISA {

template <>
struct Mask<float> {
  __m256 lo, hi;
};

template <>
struct FirstLanes<float> {
  static Mask<float> of(int64_t n) {
    const __m256i count = _mm256_set1_epi32(static_cast<int>(n > kLanes ? kLanes : n < 0 ? 0 : n));
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return {_mm256_castsi256_ps(_mm256_cmpgt_epi32(count, lane)),
            _mm256_castsi256_ps(_mm256_cmpgt_epi32(count, _mm256_add_epi32(lane, _mm256_set1_epi32(8))))};
  }
};

template <>
struct Lanes<float> {
  __m256 lo, hi;

  static Lanes all(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
  static Lanes zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static Lanes load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static Lanes load(const float* p, int64_t n) {
    if (n >= kLanes) return load(p);
    const Mask<float> m = FirstLanes<float>::of(n);
    return {_mm256_maskload_ps(p, _mm256_castps_si256(m.lo)), _mm256_maskload_ps(p + 8, _mm256_castps_si256(m.hi))};
  }
  void store(float* p) const {
    _mm256_storeu_ps(p, lo);
    _mm256_storeu_ps(p + 8, hi);
  }
  void store(float* p, int64_t n) const {
    if (n >= kLanes) return store(p);
    const Mask<float> m = FirstLanes<float>::of(n);
    _mm256_maskstore_ps(p, _mm256_castps_si256(m.lo), lo);
    _mm256_maskstore_ps(p + 8, _mm256_castps_si256(m.hi), hi);
  }
};

struct Ints {
  __m256i lo, hi;
  static Ints all(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
};

#define SIXTEEN_BOTH(Result, f) \
  { return Result{f(a.lo, b.lo), f(a.hi, b.hi)}; }
#define SIXTEEN_COMPARE(code) \
  { return {_mm256_cmp_ps(a.lo, b.lo, code), _mm256_cmp_ps(a.hi, b.hi, code)}; }
// clang-format off
inline Lanes<float> operator+(Lanes<float> a, Lanes<float> b) SIXTEEN_BOTH(Lanes<float>, _mm256_add_ps)
inline Lanes<float> operator-(Lanes<float> a, Lanes<float> b) SIXTEEN_BOTH(Lanes<float>, _mm256_sub_ps)
inline Lanes<float> operator*(Lanes<float> a, Lanes<float> b) SIXTEEN_BOTH(Lanes<float>, _mm256_mul_ps)
inline Lanes<float> operator/(Lanes<float> a, Lanes<float> b) SIXTEEN_BOTH(Lanes<float>, _mm256_div_ps)
inline Lanes<float> max(Lanes<float> a, Lanes<float> b) SIXTEEN_BOTH(Lanes<float>, _mm256_max_ps)
inline Lanes<float> min(Lanes<float> a, Lanes<float> b) SIXTEEN_BOTH(Lanes<float>, _mm256_min_ps)
inline Lanes<float> operator-(Lanes<float> a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_xor_ps(a.lo, sign), _mm256_xor_ps(a.hi, sign)};
}
inline Lanes<float> abs(Lanes<float> a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}
inline Lanes<float> fma(Lanes<float> a, Lanes<float> b, Lanes<float> c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
inline Lanes<float> fnma(Lanes<float> a, Lanes<float> b, Lanes<float> c) {
  return {_mm256_fnmadd_ps(a.lo, b.lo, c.lo), _mm256_fnmadd_ps(a.hi, b.hi, c.hi)};
}
inline Lanes<float> sqrt(Lanes<float> a) { return {_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)}; }
inline Mask<float> operator<(Lanes<float> a, Lanes<float> b) SIXTEEN_COMPARE(_CMP_LT_OQ)
inline Mask<float> operator<=(Lanes<float> a, Lanes<float> b) SIXTEEN_COMPARE(_CMP_LE_OQ)
inline Mask<float> operator==(Lanes<float> a, Lanes<float> b) SIXTEEN_COMPARE(_CMP_EQ_OQ)
inline Mask<float> operator&(Mask<float> a, Mask<float> b) SIXTEEN_BOTH(Mask<float>, _mm256_and_ps)
inline Mask<float> operator|(Mask<float> a, Mask<float> b) SIXTEEN_BOTH(Mask<float>, _mm256_or_ps)
inline Lanes<float> select(Mask<float> m, Lanes<float> a, Lanes<float> b) {
  return {_mm256_blendv_ps(b.lo, a.lo, m.lo), _mm256_blendv_ps(b.hi, a.hi, m.hi)};
}

inline Ints operator+(Ints a, Ints b) SIXTEEN_BOTH(Ints, _mm256_add_epi32)
inline Ints operator-(Ints a, Ints b) SIXTEEN_BOTH(Ints, _mm256_sub_epi32)
inline Ints operator&(Ints a, Ints b) SIXTEEN_BOTH(Ints, _mm256_and_si256)
inline Ints operator|(Ints a, Ints b) SIXTEEN_BOTH(Ints, _mm256_or_si256)
template <int n> Ints shift_left(Ints a) { return {_mm256_slli_epi32(a.lo, n), _mm256_slli_epi32(a.hi, n)}; }
template <int n> Ints shift_right(Ints a) { return {_mm256_srai_epi32(a.lo, n), _mm256_srai_epi32(a.hi, n)}; }
inline Ints bits(Lanes<float> a) { return {_mm256_castps_si256(a.lo), _mm256_castps_si256(a.hi)}; }
inline Lanes<float> from_bits(Ints a) { return {_mm256_castsi256_ps(a.lo), _mm256_castsi256_ps(a.hi)}; }
inline Ints to_ints(Lanes<float> a) { return {_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi)}; }
inline Lanes<float> to_floats(Ints a) { return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)}; }
// clang-format on
#undef SIXTEEN_BOTH
#undef SIXTEEN_COMPARE

template <>
inline float sum<float>(Lanes<float> a) {
  const __m256 e = _mm256_add_ps(a.lo, a.hi);
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_shuffle_ps(q, q, 1)));
}

template <>
inline float max_lane<float>(Lanes<float> a) {
  const __m256 e = _mm256_max_ps(a.lo, a.hi);
  __m128 q = _mm_max_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));
  q = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(q, _mm_shuffle_ps(q, q, 1)));
}

}  // namespace sixteen::cpu::SIXTEEN_ISA
