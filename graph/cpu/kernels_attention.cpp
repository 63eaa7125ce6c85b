// Causal attention with grouped keys and values.
#include <cmath>

#include "graph/cpu/kernels.h"

namespace sixteen::cpu {

namespace {

template <class T>
T dot(const T* a, const T* b, int64_t n) {
  T sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

template <class T>
void attention(ThreadPool& pool, const T* q, const T* k, const T* v, T* y, T* lse, const AttentionDims& d, T scale) {
  const int64_t dh = d.head_dim, q_row = d.heads * dh, kv_row = d.kv_heads * dh, group = d.heads / d.kv_heads;
  pool.parallel_for(d.windows * d.heads, 1, [&](int64_t begin, int64_t end) {
    T* p = static_cast<T*>(pool.scratch(sizeof(T) * static_cast<size_t>(d.seq), 0));
    for (int64_t task = begin; task < end; ++task) {
      const int64_t w = task / d.heads, h = task % d.heads;
      const T* kw = k + w * d.seq * kv_row + h / group * dh;
      const T* vw = v + w * d.seq * kv_row + h / group * dh;
      for (int64_t i = 0; i < d.query_rows; ++i) {
        const int64_t keys = d.seq - d.query_rows + i + 1;
        const T* qi = q + (w * d.query_rows + i) * q_row + h * dh;
        T* yi = y + (w * d.query_rows + i) * q_row + h * dh;
        T max = -INFINITY, sum = 0;
        for (int64_t j = 0; j < keys; ++j) {
          p[j] = scale * dot(qi, kw + j * kv_row, dh);
          max = std::fmax(max, p[j]);
        }
        for (int64_t c = 0; c < dh; ++c) yi[c] = 0;
        for (int64_t j = 0; j < keys; ++j) {
          const T e = std::exp(p[j] - max);
          sum += e;
          for (int64_t c = 0; c < dh; ++c) yi[c] += e * vw[j * kv_row + c];
        }
        for (int64_t c = 0; c < dh; ++c) yi[c] /= sum;
        lse[task * d.query_rows + i] = max + std::log(sum);
      }
    }
  });
}

template <class T>
void attention_grad(ThreadPool& pool, const T* q, const T* k, const T* v, const T* y, const T* lse, const T* dy, T* dq, bool add_dq,
                    T* dk, bool add_dk, T* dv, bool add_dv, const AttentionDims& d, T scale) {
  const int64_t dh = d.head_dim, q_row = d.heads * dh, kv_row = d.kv_heads * dh, group = d.heads / d.kv_heads;
  pool.parallel_for(d.windows * d.kv_heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t w = task / d.kv_heads, g = task % d.kv_heads, kv0 = w * d.seq * kv_row + g * dh;
      for (int64_t j = 0; j < d.seq; ++j) {
        for (int64_t c = 0; c < dh; ++c) {
          if (!add_dk) dk[kv0 + j * kv_row + c] = 0;
          if (!add_dv) dv[kv0 + j * kv_row + c] = 0;
        }
      }
      for (int64_t h = g * group; h < (g + 1) * group; ++h) {
        for (int64_t i = 0; i < d.seq; ++i) {
          const int64_t row = (w * d.seq + i) * q_row + h * dh;
          const T lse_i = lse[(w * d.heads + h) * d.seq + i], along = dot(dy + row, y + row, dh);
          for (int64_t c = 0; c < dh && !add_dq; ++c) dq[row + c] = 0;
          for (int64_t j = 0; j <= i; ++j) {
            const int64_t kv = kv0 + j * kv_row;
            const T p = std::exp(scale * dot(q + row, k + kv, dh) - lse_i);
            const T ds = scale * p * (dot(dy + row, v + kv, dh) - along);
            for (int64_t c = 0; c < dh; ++c) {
              dq[row + c] += ds * k[kv + c];
              dk[kv + c] += ds * q[row + c];
              dv[kv + c] += p * dy[row + c];
            }
          }
        }
      }
    }
  });
}

#define SIXTEEN_INSTANTIATE(T)                                                                                             \
  template void attention(ThreadPool&, const T*, const T*, const T*, T*, T*, const AttentionDims&, T);                     \
  template void attention_grad(ThreadPool&, const T*, const T*, const T*, const T*, const T*, const T*, T*, bool, T*, bool, \
                               T*, bool, const AttentionDims&, T);
SIXTEEN_INSTANTIATE(float)
SIXTEEN_INSTANTIATE(double)
#undef SIXTEEN_INSTANTIATE

}  // namespace sixteen::cpu
