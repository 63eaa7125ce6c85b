// Transposes 16 rows of 16 floats in registers: what packing a transposed B costs, so worth its intrinsics.
//
// Each register gathers four-column pieces of the rows r, 4 + r, 8 + r, ... with loads alone (a masked broadcast is no
// shuffle); a 4 x 4 transposition inside the 128-bit parts then leaves every result in row order.
#pragma once

#include "graph/cpu/simd.h"

namespace sixteen::cpu::SIXTEEN_ISA {

// to[j * to_stride + i] = from[i * from_stride + j] for i, j < 16.
template <class T>
inline void transpose16(const T* from, int64_t from_stride, T* to, int64_t to_stride) {
  for (int j = 0; j < kLanes; ++j) {
    for (int i = 0; i < kLanes; ++i) to[j * to_stride + i] = from[i * from_stride + j];
  }
}

#if defined(__AVX512F__) && defined(__AVX512DQ__)

template <>
inline void transpose16<float>(const float* from, int64_t from_stride, float* to, int64_t to_stride) {
  for (int j = 0; j < kLanes; j += 4) {
    __m512 t[4];
    for (int r = 0; r < 4; ++r) {
      const float* p = from + r * from_stride + j;
      const int64_t step = 4 * from_stride;
      __m512 v = _mm512_maskz_broadcast_f32x4(0xffff, _mm_loadu_ps(p));
      v = _mm512_mask_broadcast_f32x4(v, 0x00f0, _mm_loadu_ps(p + step));
      v = _mm512_mask_broadcast_f32x4(v, 0x0f00, _mm_loadu_ps(p + 2 * step));
      t[r] = _mm512_mask_broadcast_f32x4(v, 0xf000, _mm_loadu_ps(p + 3 * step));
    }
    const __m512d a = _mm512_castps_pd(_mm512_maskz_unpacklo_ps(0xffff, t[0], t[1]));
    const __m512d b = _mm512_castps_pd(_mm512_maskz_unpackhi_ps(0xffff, t[0], t[1]));
    const __m512d c = _mm512_castps_pd(_mm512_maskz_unpacklo_ps(0xffff, t[2], t[3]));
    const __m512d d = _mm512_castps_pd(_mm512_maskz_unpackhi_ps(0xffff, t[2], t[3]));
    _mm512_storeu_pd(to + j * to_stride, _mm512_maskz_unpacklo_pd(0xff, a, c));
    _mm512_storeu_pd(to + (j + 1) * to_stride, _mm512_maskz_unpackhi_pd(0xff, a, c));
    _mm512_storeu_pd(to + (j + 2) * to_stride, _mm512_maskz_unpacklo_pd(0xff, b, d));
    _mm512_storeu_pd(to + (j + 3) * to_stride, _mm512_maskz_unpackhi_pd(0xff, b, d));
  }
}

#elif defined(__AVX2__) && defined(__FMA__)

template <>
inline void transpose16<float>(const float* from, int64_t from_stride, float* to, int64_t to_stride) {
  for (int half = 0; half < 2; ++half, from += 8 * from_stride, to += 8) {
    for (int j = 0; j < kLanes; j += 4) {
      __m256 t[4];
      for (int r = 0; r < 4; ++r) {
        const float* p = from + r * from_stride + j;
        t[r] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + 4 * from_stride), 1);
      }
      const __m256d a = _mm256_castps_pd(_mm256_unpacklo_ps(t[0], t[1]));
      const __m256d b = _mm256_castps_pd(_mm256_unpackhi_ps(t[0], t[1]));
      const __m256d c = _mm256_castps_pd(_mm256_unpacklo_ps(t[2], t[3]));
      const __m256d d = _mm256_castps_pd(_mm256_unpackhi_ps(t[2], t[3]));
      _mm256_storeu_ps(to + j * to_stride, _mm256_castpd_ps(_mm256_unpacklo_pd(a, c)));
      _mm256_storeu_ps(to + (j + 1) * to_stride, _mm256_castpd_ps(_mm256_unpackhi_pd(a, c)));
      _mm256_storeu_ps(to + (j + 2) * to_stride, _mm256_castpd_ps(_mm256_unpacklo_pd(b, d)));
      _mm256_storeu_ps(to + (j + 3) * to_stride, _mm256_castpd_ps(_mm256_unpackhi_pd(b, d)));
    }
  }
}

#endif

}  // namespace sixteen::cpu::SIXTEEN_ISA
