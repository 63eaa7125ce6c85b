// Ops that are others in one (kernels.h), put together from the same loops: here they save no memory passes worth naming, but
// give the bits that graphs of the parts would give.
//
// Bites: mix_norm_grad and the adding form of matmul_leaky_relu_sq_grad work block by block through scratch memory.
#include <algorithm>
#include <cstring>

#include "graph/cpu/gemm.h"
#include "graph/cpu/kernels.h"
#include "graph/cpu/row_blocks.h"

namespace sixteen::cpu {

namespace {

constexpr int kBlockSlot = 43, kGradientSlot = 44;  // of ThreadPool::scratch

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
  template void scale_rows(ThreadPool&, const T*, const T*, T*, int64_t, int64_t);                                          \
  template void scale_rows_grad(ThreadPool&, const T*, const T*, const T*, T*, bool, T*, int64_t, int64_t);
SIXTEEN_INSTANTIATE(float)
SIXTEEN_INSTANTIATE(double)
#undef SIXTEEN_INSTANTIATE

}  // namespace sixteen::cpu
