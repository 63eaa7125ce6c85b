// Lanes<float> as one AVX-512 register. Included by simd.h, which says what each operation means.
#pragma once

#include <immintrin.h>  // g++ 12 warns of unmasked forms of some intrinsics ("uninitialized"): hence maskz, all bits set

namespace sixteen::cpu::SIXTEEN_ISA {

template <>
struct Mask<float> {
  __mmask16 v;
};

template <>
struct FirstLanes<float> {
  static Mask<float> of(int64_t n) {
    return {static_cast<__mmask16>(n >= kLanes ? 0xffffu : n <= 0 ? 0u : (1u << n) - 1u)};
  }
};

template <>
struct Lanes<float> {
  __m512 v;

  static Lanes all(float x) { return {_mm512_set1_ps(x)}; }
  static Lanes zero() { return {_mm512_setzero_ps()}; }
  static Lanes load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static Lanes load(const float* p, int64_t n) { return {_mm512_maskz_loadu_ps(FirstLanes<float>::of(n).v, p)}; }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  void store(float* p, int64_t n) const { _mm512_mask_storeu_ps(p, FirstLanes<float>::of(n).v, v); }
};

struct Ints {
  __m512i v;
  static Ints all(int32_t x) { return {_mm512_set1_epi32(x)}; }
};

// clang-format off
inline Lanes<float> operator+(Lanes<float> a, Lanes<float> b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Lanes<float> operator-(Lanes<float> a, Lanes<float> b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Lanes<float> operator*(Lanes<float> a, Lanes<float> b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Lanes<float> operator/(Lanes<float> a, Lanes<float> b) { return {_mm512_div_ps(a.v, b.v)}; }
inline Lanes<float> operator-(Lanes<float> a) { return {_mm512_xor_ps(a.v, _mm512_set1_ps(-0.0f))}; }
inline Lanes<float> fma(Lanes<float> a, Lanes<float> b, Lanes<float> c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline Lanes<float> fnma(Lanes<float> a, Lanes<float> b, Lanes<float> c) { return {_mm512_fnmadd_ps(a.v, b.v, c.v)}; }
inline Lanes<float> sqrt(Lanes<float> a) { return {_mm512_maskz_sqrt_ps(0xffff, a.v)}; }
inline Lanes<float> abs(Lanes<float> a) {
  return {_mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(a.v), _mm512_set1_epi32(0x7fffffff)))};
}
inline Lanes<float> max(Lanes<float> a, Lanes<float> b) { return {_mm512_maskz_max_ps(0xffff, a.v, b.v)}; }
inline Lanes<float> min(Lanes<float> a, Lanes<float> b) { return {_mm512_maskz_min_ps(0xffff, a.v, b.v)}; }
inline Mask<float> operator<(Lanes<float> a, Lanes<float> b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
inline Mask<float> operator<=(Lanes<float> a, Lanes<float> b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ)}; }
inline Mask<float> operator==(Lanes<float> a, Lanes<float> b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)}; }
inline Mask<float> operator&(Mask<float> a, Mask<float> b) { return {static_cast<__mmask16>(a.v & b.v)}; }
inline Mask<float> operator|(Mask<float> a, Mask<float> b) { return {static_cast<__mmask16>(a.v | b.v)}; }
inline Lanes<float> select(Mask<float> m, Lanes<float> a, Lanes<float> b) {
  return {_mm512_mask_blend_ps(m.v, b.v, a.v)};
}

inline Ints operator+(Ints a, Ints b) { return {_mm512_add_epi32(a.v, b.v)}; }
inline Ints operator-(Ints a, Ints b) { return {_mm512_sub_epi32(a.v, b.v)}; }
inline Ints operator&(Ints a, Ints b) { return {_mm512_and_si512(a.v, b.v)}; }
inline Ints operator|(Ints a, Ints b) { return {_mm512_or_si512(a.v, b.v)}; }
template <int n> Ints shift_left(Ints a) { return {_mm512_maskz_slli_epi32(0xffff, a.v, n)}; }
template <int n> Ints shift_right(Ints a) { return {_mm512_maskz_srai_epi32(0xffff, a.v, n)}; }
inline Ints bits(Lanes<float> a) { return {_mm512_castps_si512(a.v)}; }
inline Lanes<float> from_bits(Ints a) { return {_mm512_castsi512_ps(a.v)}; }
inline Ints to_ints(Lanes<float> a) { return {_mm512_maskz_cvtps_epi32(0xffff, a.v)}; }
inline Lanes<float> to_floats(Ints a) { return {_mm512_maskz_cvtepi32_ps(0xffff, a.v)}; }
// clang-format on

template <>
inline float sum<float>(Lanes<float> a) {
  const __m256 e =
      _mm256_add_ps(_mm512_maskz_extractf32x8_ps(0xff, a.v, 0), _mm512_maskz_extractf32x8_ps(0xff, a.v, 1));
  __m128 q = _mm_add_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));
  q = _mm_add_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_add_ss(q, _mm_shuffle_ps(q, q, 1)));
}

template <>
inline float max_lane<float>(Lanes<float> a) {
  const __m256 e =
      _mm256_max_ps(_mm512_maskz_extractf32x8_ps(0xff, a.v, 0), _mm512_maskz_extractf32x8_ps(0xff, a.v, 1));
  __m128 q = _mm_max_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));
  q = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(q, _mm_shuffle_ps(q, q, 1)));
}

}  // namespace sixteen::cpu::SIXTEEN_ISA
