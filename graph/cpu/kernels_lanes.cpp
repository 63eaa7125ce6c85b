// The gated U-Net skip and the dual-lane residual of PR 1584 (kernels.h): threads and sums; the loops are row_kernels.cpp's.
//
// Bites: gradients of the gates and of the single factors r, pa, pf come from column sums, one pass over the rows:
// dr = sum lane dy, dpa = sum_d sa_d (sum_rows a dy)_d and so on.
#include "graph/cpu/kernels.h"
#include "graph/cpu/row_blocks.h"
#include "graph/cpu/row_kernels.h"

namespace sixteen::cpu {

template <class T>
void skip_gate(ThreadPool& pool, const T* x, const T* skip, const T* w, const T* gate, T* y, int64_t rows, int64_t dim) {
  const RowKernels<T>& kernels = row_kernels<T>();
  const T* g = open_gate(pool, gate, dim);
  pool.parallel_for(rows, row_grain(dim), [&](int64_t begin, int64_t end) {
    const int64_t at = begin * dim;
    kernels.skip_gate(x + at, skip + at, w, g, y + at, end - begin, dim);
  });
}

// y = g x + (1 - g) w skip: dw = (1 - g) sum skip dy, dgate = g (1 - g) sum (x - w skip) dy
template <class T>
void skip_gate_grad(ThreadPool& pool, const T* x, const T* skip, const T* w, const T* gate, const T* dy, T* dx, bool add_dx,
                    T* dskip, bool add_dskip, T* dw, T* dgate, int64_t rows, int64_t dim) {
  const RowKernels<T>& kernels = row_kernels<T>();
  const T* g = open_gate(pool, gate, dim);
  const T* sums = sum_over_rows<T>(pool, rows, 2 * dim, [&](int64_t begin, int64_t end, T* own) {
    const int64_t at = begin * dim;
    kernels.skip_gate_grad(x + at, skip + at, w, g, dy + at, dx + at, add_dx, dskip + at, add_dskip, own, end - begin, dim);
  });
  for (int64_t i = 0; i < dim; ++i) {
    dw[i] += (T(1) - g[i]) * sums[i];
    dgate[i] += g[i] * (T(1) - g[i]) * sums[dim + i];
  }
}

template <class T>
void lane_mix(ThreadPool& pool, const LaneMix<T>& in, T* y, int64_t rows, int64_t dim) {
  const RowKernels<T>& kernels = row_kernels<T>();
  pool.parallel_for(rows, row_grain(dim), [&](int64_t begin, int64_t end) {
    LaneMix<T> part = in;
    part.lane += begin * dim;
    part.a += begin * dim;
    part.f += begin * dim;
    kernels.lane_mix(part, y + begin * dim, end - begin, dim);
  });
}

template <class T>
void lane_mix_grad(ThreadPool& pool, const LaneMix<T>& in, const T* dy, const LaneMixGrad<T>& out, int64_t rows, int64_t dim) {
  const RowKernels<T>& kernels = row_kernels<T>();
  const T* sums = sum_over_rows<T>(pool, rows, 3 * dim, [&](int64_t begin, int64_t end, T* own) {
    const int64_t at = begin * dim;
    LaneMix<T> part = in;
    LaneMixGrad<T> part_out = out;
    part.lane += at, part.a += at, part.f += at;
    part_out.lane += at, part_out.a += at, part_out.f += at;
    kernels.lane_mix_grad(part, dy + at, part_out, own, end - begin, dim);
  });
  double dr = 0, dpa = 0, dpf = 0;  // double: sums of many entries with mixed signs
  for (int64_t i = 0; i < dim; ++i) {
    out.sa[i] += *in.pa * sums[dim + i];
    out.sf[i] += *in.pf * sums[2 * dim + i];
    dr += sums[i];
    dpa += double(in.sa[i]) * sums[dim + i];
    dpf += double(in.sf[i]) * sums[2 * dim + i];
  }
  *out.r += static_cast<T>(dr);
  *out.pa += static_cast<T>(dpa);
  *out.pf += static_cast<T>(dpf);
}

#define SIXTEEN_INSTANTIATE(T)                                                                                            \
  template void skip_gate(ThreadPool&, const T*, const T*, const T*, const T*, T*, int64_t, int64_t);                     \
  template void skip_gate_grad(ThreadPool&, const T*, const T*, const T*, const T*, const T*, T*, bool, T*, bool, T*, T*, \
                               int64_t, int64_t);                                                                         \
  template void lane_mix(ThreadPool&, const LaneMix<T>&, T*, int64_t, int64_t);                                           \
  template void lane_mix_grad(ThreadPool&, const LaneMix<T>&, const T*, const LaneMixGrad<T>&, int64_t, int64_t);
SIXTEEN_INSTANTIATE(float)
SIXTEEN_INSTANTIATE(double)

}  // namespace sixteen::cpu
