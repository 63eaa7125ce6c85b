// SmearGate (PR 549 to 754) and the learned gate a head of PR 754 (kernels.h): threads and sums; the loops are
// gate_kernels.cpp's.
#include "graph/cpu/gate_kernels.h"
#include "graph/cpu/kernels.h"
#include "graph/cpu/row_blocks.h"

namespace sixteen::cpu {

namespace {

constexpr int kHeadGateSlot = 42;  // of ThreadPool::scratch

template <class T>
T* head_scratch(int64_t heads) {
  return static_cast<T*>(ThreadPool::scratch(static_cast<size_t>(heads) * sizeof(T), kHeadGateSlot));
}

}  // namespace

template <class T>
void smear(ThreadPool& pool, const T* x, const T* gate, T* y, int64_t rows, int64_t dim, int64_t seq) {
  const GateKernels<T>& kernels = gate_kernels<T>();
  const T* g = open_gate(pool, gate, dim);
  pool.parallel_for(rows, row_grain(dim), [&](int64_t begin, int64_t end) { kernels.smear(x, g, y, begin, end, dim, seq); });
}

// dx_t = (1 - g) dy_t + g dy_(t+1), dgate = g (1 - g) sum_t (x_(t-1) - x_t) dy_t
template <class T>
void smear_grad(ThreadPool& pool, const T* x, const T* gate, const T* dy, T* dx, bool add_dx, T* dgate, int64_t rows, int64_t dim,
                int64_t seq) {
  const GateKernels<T>& kernels = gate_kernels<T>();
  const T* g = open_gate(pool, gate, dim);
  const T* sums = sum_over_rows<T>(pool, rows, dim, [&](int64_t begin, int64_t end, T* own) {
    kernels.smear_grad(x, g, dy, dx, add_dx, own, begin, end, dim, seq);
  });
  for (int64_t i = 0; i < dim; ++i) dgate[i] += g[i] * (T(1) - g[i]) * sums[i];
}

template <class T>
void head_gate(ThreadPool& pool, const T* y, const T* z, const T* bias, T* out, int64_t rows, int64_t heads, int64_t head_dim) {
  const GateKernels<T>& kernels = gate_kernels<T>();
  const int64_t dim = heads * head_dim;
  pool.parallel_for(rows, row_grain(dim), [&](int64_t begin, int64_t end) {
    kernels.head_gate(y + begin * dim, z + begin * heads, bias, out + begin * dim, head_scratch<T>(heads), end - begin, heads,
                      head_dim);
  });
}

template <class T>
void head_gate_grad(ThreadPool& pool, const T* y, const T* z, const T* bias, const T* dout, T* dy, bool add_dy, T* dz,
                    bool add_dz, T* dbias, int64_t rows, int64_t heads, int64_t head_dim) {
  const GateKernels<T>& kernels = gate_kernels<T>();
  const int64_t dim = heads * head_dim;
  const T* sums = sum_over_rows<T>(pool, rows, heads, [&](int64_t begin, int64_t end, T* own) {
    const int64_t at = begin * dim;
    kernels.head_gate_grad(y + at, z + begin * heads, bias, dout + at, dy + at, add_dy, dz + begin * heads, add_dz, own,
                           head_scratch<T>(heads), end - begin, heads, head_dim);
  });
  for (int64_t h = 0; h < heads; ++h) dbias[h] += sums[h];
}

#define SIXTEEN_INSTANTIATE(T)                                                                                            \
  template void smear(ThreadPool&, const T*, const T*, T*, int64_t, int64_t, int64_t);                                    \
  template void smear_grad(ThreadPool&, const T*, const T*, const T*, T*, bool, T*, int64_t, int64_t, int64_t);           \
  template void head_gate(ThreadPool&, const T*, const T*, const T*, T*, int64_t, int64_t, int64_t);                      \
  template void head_gate_grad(ThreadPool&, const T*, const T*, const T*, const T*, T*, bool, T*, bool, T*, int64_t,      \
                               int64_t, int64_t);
SIXTEEN_INSTANTIATE(float)
SIXTEEN_INSTANTIATE(double)
#undef SIXTEEN_INSTANTIATE

}  // namespace sixteen::cpu
