// Ops that are others in one (kernels.h), put together from the same loops: here they save no memory passes worth naming, but
// give the bits that graphs of the parts would give.
//
// Bites: attention_xsa keeps z and y . vhat instead of y, so its gradient's bits are not those of the parts. mix_norm_grad and the
// adding form of matmul_leaky_relu_sq_grad work block by block through scratch memory.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "formats/check.h"
#include "graph/cpu/gemm.h"
#include "graph/cpu/kernels.h"
#include "graph/cpu/row_blocks.h"

namespace sixteen::cpu {

namespace {

constexpr int kBlockSlot = 43, kGradientSlot = 44, kOutputSlot = 45, kOutputGradientSlot = 46;  // of ThreadPool::scratch

template <class T>
T* block_scratch(int64_t width, int slot) {
  return static_cast<T*>(ThreadPool::scratch(static_cast<size_t>(kRowBlock * width) * sizeof(T), slot));
}

}  // namespace

template <class T>
void linear_add(ThreadPool& pool, const T* a, const T* w, const T* x, T* y, int64_t rows, int64_t n, int64_t k) {
  scale<T>(pool, x, nullptr, T(1), y, false, rows * n);
  gemm(pool, false, true, rows, n, k, a, k, w, k, y, n, true);
}

template <class T>
void linear_leaky_relu_sq(ThreadPool& pool, const T* x, const T* w, T* y, T* h, T slope, int64_t rows, int64_t n, int64_t k) {
  T* input = h != nullptr ? h : y;
  gemm(pool, false, true, rows, n, k, x, k, w, k, input, n, false);
  leaky_relu_sq<T>(pool, input, y, slope, rows * n);
}

template <class T>
void matmul_leaky_relu_sq_grad(ThreadPool& pool, const T* dy, const T* w, const T* h, T* dh, bool add_dh, T slope, int64_t rows,
                               int64_t n, int64_t k) {
  if (!add_dh) {
    gemm(pool, false, false, rows, n, k, dy, k, w, n, dh, n, false);
    return leaky_relu_sq_grad<T>(pool, h, dh, dh, false, slope, rows * n);
  }
  T* product = block_scratch<T>(n, kBlockSlot);
  for (int64_t first = 0; first < rows; first += kRowBlock) {
    const int64_t count = std::min(kRowBlock, rows - first);
    gemm(pool, false, false, count, n, k, dy + first * k, k, w, n, product, n, false);
    leaky_relu_sq_grad<T>(pool, h + first * n, product, dh + first * n, true, slope, count * n);
  }
}

template <class T>
void mix_norm(ThreadPool& pool, const T* x, const T* x0, const T* mix, T* y, T* m, int64_t rows, int64_t dim, T alpha, T eps) {
  T* mixed = m != nullptr ? m : y;
  residual_mix<T>(pool, x, x0, mix, mixed, rows, dim);
  rms_norm<T>(pool, mixed, y, rows, dim, alpha, eps);
}

template <class T>
void mix_norm_grad(ThreadPool& pool, const T* x, const T* x0, const T* mix, const T* dy, const T* dm, T* dx, bool add_dx, T* dx0,
                   bool add_dx0, T* dmix, int64_t rows, int64_t dim, T alpha, T eps) {
  const RowKernels<T>& kernels = row_kernels<T>();
  const T* sums = sum_over_rows<T>(pool, rows, 2 * dim, [&](int64_t begin, int64_t end, T* own) {
    const int64_t at = begin * dim, count = end - begin;
    T *mixed = block_scratch<T>(dim, kBlockSlot), *d = block_scratch<T>(dim, kGradientSlot);
    kernels.residual_mix(x + at, x0 + at, mix, mixed, count, dim);
    if (dm != nullptr) std::memcpy(d, dm + at, static_cast<size_t>(count * dim) * sizeof(T));
    kernels.rms_norm_grad(mixed, dy + at, d, dm != nullptr, count, dim, alpha, eps);
    kernels.residual_mix_grad(x + at, x0 + at, mix, d, dx + at, add_dx, dx0 + at, add_dx0, own, count, dim);
  });
  for (int64_t i = 0; i < 2 * dim; ++i) dmix[i] += sums[i];
}

namespace {

// f(y's head, v's head, index of the head) for every head of every query.
template <class F>
void each_query_head(ThreadPool& pool, const AttentionDims& d, F f) {
  const int64_t group = d.heads / d.kv_heads;
  pool.parallel_for(d.windows * d.query_rows, row_grain(d.heads * d.head_dim), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t position = d.seq - d.query_rows + row % d.query_rows, value_row = row / d.query_rows * d.seq + position;
      for (int64_t h = 0; h < d.heads; ++h) {
        f((row * d.heads + h) * d.head_dim, (value_row * d.kv_heads + h / group) * d.head_dim, row * d.heads + h);
      }
    }
  });
}

// 1 / max(|v|, 1e-12)
template <class T>
T inverse_length(const T* v, int64_t head_dim) {
  T squares = 0;
  for (int64_t i = 0; i < head_dim; ++i) squares += v[i] * v[i];
  return T(1) / std::max(std::sqrt(squares), T(1e-12));
}

}  // namespace

template <class T>
void attention_xsa(ThreadPool& pool, const T* q, const T* k, const T* v, T* z, T* lse, T* along, const AttentionDims& d, T scale) {
  attention<T>(pool, q, k, v, z, lse, d, scale);
  if (along != nullptr) {
    each_query_head(pool, d, [&](int64_t y, int64_t value, int64_t head) {
      T dot = 0;
      for (int64_t i = 0; i < d.head_dim; ++i) dot += z[y + i] * v[value + i];
      along[head] = dot * inverse_length(v + value, d.head_dim);
    });
  }
  for (int64_t w = 0; w < d.windows; ++w) {
    T* y = z + w * d.query_rows * d.heads * d.head_dim;
    xsa<T>(pool, y, v + ((w + 1) * d.seq - d.query_rows) * d.kv_heads * d.head_dim, y, d.query_rows, d.heads, d.kv_heads, d.head_dim);
  }
}

template <class T>
void attention_xsa_grad(ThreadPool& pool, const T* q, const T* k, const T* v, const T* z, const T* lse, const T* dz, const T* along,
                        T* dq, bool add_dq, T* dk, bool add_dk, T* dv, bool add_dv, const AttentionDims& d, T scale) {
  CHECK(d.query_rows == d.seq);
  const int64_t rows = d.windows * d.seq;
  const auto scratch = [&](int slot) {
    return static_cast<T*>(ThreadPool::scratch(static_cast<size_t>(rows * d.heads * d.head_dim) * sizeof(T), slot));
  };
  T *y = scratch(kOutputSlot), *dy = scratch(kOutputGradientSlot);
  each_query_head(pool, d, [&](int64_t at, int64_t value, int64_t head) {
    const T factor = along[head] * inverse_length(v + value, d.head_dim);
    for (int64_t i = 0; i < d.head_dim; ++i) y[at + i] = z[at + i] + factor * v[value + i];
  });
  xsa_grad<T>(pool, y, v, dz, dy, false, dv, add_dv, rows, d.heads, d.kv_heads, d.head_dim);
  attention_grad<T>(pool, q, k, v, y, lse, dy, dq, add_dq, dk, add_dk, dv, true, d, scale);
}

template <class T>
void scale_rows(ThreadPool& pool, const T* w, const T* s, T* y, int64_t rows, int64_t dim) {
  const RowKernels<T>& kernels = row_kernels<T>();
  pool.parallel_for(rows, row_grain(dim), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) kernels.scale(w + row * dim, s[row], y + row * dim, false, dim);
  });
}

template <class T>
void scale_rows_grad(ThreadPool& pool, const T* w, const T* s, const T* dy, T* dw, bool add_dw, T* ds, int64_t rows, int64_t dim) {
  const RowKernels<T>& kernels = row_kernels<T>();
  pool.parallel_for(rows, row_grain(dim), [&](int64_t begin, int64_t end) {
    T* products = static_cast<T*>(ThreadPool::scratch(static_cast<size_t>(dim) * sizeof(T), kBlockSlot));
    for (int64_t row = begin; row < end; ++row) {
      const int64_t at = row * dim;
      std::fill(products, products + dim, T(0));
      kernels.scale_by_grad(w + at, s[row], dy + at, dw + at, add_dw, products, 1, dim);
      double total = 0;  // double: many terms of both signs
      for (int64_t i = 0; i < dim; ++i) total += products[i];
      ds[row] += static_cast<T>(total);
    }
  });
}

#define SIXTEEN_INSTANTIATE(T)                                                                                              \
  template void linear_add(ThreadPool&, const T*, const T*, const T*, T*, int64_t, int64_t, int64_t);                       \
  template void linear_leaky_relu_sq(ThreadPool&, const T*, const T*, T*, T*, T, int64_t, int64_t, int64_t);                \
  template void matmul_leaky_relu_sq_grad(ThreadPool&, const T*, const T*, const T*, T*, bool, T, int64_t, int64_t, int64_t); \
  template void mix_norm(ThreadPool&, const T*, const T*, const T*, T*, T*, int64_t, int64_t, T, T);                        \
  template void mix_norm_grad(ThreadPool&, const T*, const T*, const T*, const T*, const T*, T*, bool, T*, bool, T*,        \
                              int64_t, int64_t, T, T);                                                                      \
  template void attention_xsa(ThreadPool&, const T*, const T*, const T*, T*, T*, T*, const AttentionDims&, T);              \
  template void attention_xsa_grad(ThreadPool&, const T*, const T*, const T*, const T*, const T*, const T*, const T*, T*,   \
                                   bool, T*, bool, T*, bool, const AttentionDims&, T);                                      \
  template void scale_rows(ThreadPool&, const T*, const T*, T*, int64_t, int64_t);                                          \
  template void scale_rows_grad(ThreadPool&, const T*, const T*, const T*, T*, bool, T*, int64_t, int64_t);
SIXTEEN_INSTANTIATE(float)
SIXTEEN_INSTANTIATE(double)
#undef SIXTEEN_INSTANTIATE

}  // namespace sixteen::cpu
