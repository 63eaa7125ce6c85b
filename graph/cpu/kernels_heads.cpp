// Row ops that see one head at a time: the norm, rotation and gain of queries and keys, and the removal of a row's own
// value direction (XSA). Here the split over threads; the loops are head_norm_kernels.cpp's.
#include "formats/check.h"
#include "graph/cpu/head_norm_kernels.h"
#include "graph/cpu/kernels.h"
#include "graph/cpu/row_blocks.h"

namespace sixteen::cpu {

namespace {

constexpr int kXsaSlot = 8;  // of ThreadPool::scratch

const HeadNormFunctions<float>& functions(const float*) { return head_norm_kernels().f32; }
const HeadNormFunctions<double>& functions(const double*) { return head_norm_kernels().f64; }

}  // namespace

template <class T>
void head_norm(ThreadPool& pool, const T* x, const T* cos, const T* sin, const T* gain, T* y, const HeadNormShape& s,
               T eps) {
  CHECK(2 * s.rope_half <= s.head_dim);
  pool.parallel_for(s.rows, row_grain(s.heads * s.head_dim), [&, &f = functions(x)](int64_t begin, int64_t end) {
    f.norm({x, cos, sin, gain, s, eps}, y, begin, end);
  });
}

template <class T>
void head_norm_grad(ThreadPool& pool, const T* x, const T* cos, const T* sin, const T* gain, const T* dy, T* dx,
                    bool add_dx, T* dgain, const HeadNormShape& s, T eps) {
  CHECK(2 * s.rope_half <= s.head_dim);
  const T* sums = sum_over_rows<T>(pool, s.rows, s.heads, [&, &f = functions(x)](int64_t begin, int64_t end, T* own) {
    f.norm_grad({x, cos, sin, gain, s, eps}, dy, dx, add_dx, own, begin, end);
  });
  for (int64_t h = 0; h < s.heads && dgain != nullptr; ++h) dgain[h] += sums[h];
}

template <class T>
void xsa(ThreadPool& pool, const T* y, const T* v, T* out, int64_t rows, int64_t heads, int64_t kv_heads,
         int64_t head_dim) {
  CHECK(heads % kv_heads == 0);
  const int64_t group = heads / kv_heads;
  pool.parallel_for(rows * kv_heads, row_grain(group * head_dim), [&, &f = functions(y)](int64_t begin, int64_t end) {
    f.xsa(y, v, out, group, head_dim, begin, end);
  });
}

template <class T>
void xsa_grad(ThreadPool& pool, const T* y, const T* v, const T* dout, T* dy, bool add_dy, T* dv, bool add_dv,
              int64_t rows, int64_t heads, int64_t kv_heads, int64_t head_dim) {
  CHECK(heads % kv_heads == 0);
  const int64_t group = heads / kv_heads;
  pool.parallel_for(rows * kv_heads, row_grain(group * head_dim), [&, &f = functions(y)](int64_t begin, int64_t end) {
    T* scratch = static_cast<T*>(ThreadPool::scratch(sizeof(T) * static_cast<size_t>(head_dim), kXsaSlot));
    f.xsa_grad(y, v, dout, dy, add_dy, dv, add_dv, group, head_dim, scratch, begin, end);
  });
}

#define SIXTEEN_INSTANTIATE(T)                                                                                     \
  template void head_norm(ThreadPool&, const T*, const T*, const T*, const T*, T*, const HeadNormShape&, T);       \
  template void head_norm_grad(ThreadPool&, const T*, const T*, const T*, const T*, const T*, T*, bool, T*,        \
                               const HeadNormShape&, T);                                                           \
  template void xsa(ThreadPool&, const T*, const T*, T*, int64_t, int64_t, int64_t, int64_t);                      \
  template void xsa_grad(ThreadPool&, const T*, const T*, const T*, T*, bool, T*, bool, int64_t, int64_t, int64_t, \
                         int64_t);
SIXTEEN_INSTANTIATE(float)
SIXTEEN_INSTANTIATE(double)
#undef SIXTEEN_INSTANTIATE

}  // namespace sixteen::cpu
