// The inner loops of the row ops, compiled once an instruction set (isa.h): plain loops over a range of rows or elements on the
// calling thread. kernels_rows.cpp and kernels_lanes.cpp split the work over threads and own the scratch memory.
//
// Bites: a row's result must not depend on which rows stand beside it: no loop may carry anything from row to row except the
// column sums `sums`, which are [.., dim], added to, one array a block of kRowBlock rows.
// Bites: outputs may alias each other (residual mix of x with x itself: dx and dx0 are then one array), so every output of a
// lane is stored before the next is loaded; hence no __restrict.
#pragma once

#include <cstdint>
#include <type_traits>

#include "graph/cpu/isa.h"
#include "graph/cpu/kernels.h"

namespace sixteen::cpu {

template <class T>
struct RowKernels {
  // elements
  void (*scale)(const T* x, T factor, T* y, bool add, int64_t count);  // y = factor x
  void (*scale_by_grad)(const T* x, T factor, const T* dy, T* dx, bool add, T* sums /* [dim]: x dy */, int64_t rows,
                        int64_t dim);
  void (*add_row)(const T* x, const T* row, T* y, int64_t rows, int64_t dim);
  void (*add_rows)(const T* dy, T* sums /* [dim] */, int64_t rows, int64_t dim);
  void (*fake_quant)(const T* w, T* y, T low, int64_t rows, int64_t dim);
  void (*axpby)(const T* x, const T* y, T alpha, T beta, T* out, int64_t count);
  void (*leaky_relu_sq)(const T* h, T* y, T slope, int64_t count);
  void (*leaky_relu_sq_grad)(const T* h, const T* dy, T* dh, bool add, T slope, int64_t count);
  // rows [rows, dim]
  void (*rms_norm)(const T* x, T* y, int64_t rows, int64_t dim, T alpha, T eps);
  void (*rms_norm_grad)(const T* x, const T* dy, T* dx, bool add, int64_t rows, int64_t dim, T alpha, T eps);
  void (*residual_mix)(const T* x, const T* x0, const T* mix, T* y, int64_t rows, int64_t dim);
  void (*residual_mix_grad)(const T* x, const T* x0, const T* mix, const T* dy, T* dx, bool add_dx, T* dx0, bool add_dx0,
                            T* sums /* [2, dim]: x dy, x0 dy */, int64_t rows, int64_t dim);
  void (*add_scaled)(const T* x, const T* a, const T* s, T* y, int64_t rows, int64_t dim);
  void (*add_scaled_grad)(const T* a, const T* s, const T* dy, T* da, bool add, T* sums /* [dim]: a dy */, int64_t rows,
                          int64_t dim);
  void (*sigmoid)(const T* x, T* y, int64_t count);
  void (*skip_gate)(const T* x, const T* skip, const T* w, const T* g, T* y, int64_t rows, int64_t dim);
  void (*skip_gate_grad)(const T* x, const T* skip, const T* w, const T* g, const T* dy, T* dx, bool add_dx, T* dskip,
                         bool add_dskip, T* sums /* [2, dim]: skip dy, (x - w skip) dy */, int64_t rows, int64_t dim);
  void (*lane_mix)(const LaneMix<T>& in, T* y, int64_t rows, int64_t dim);
  void (*lane_mix_grad)(const LaneMix<T>& in, const T* dy, const LaneMixGrad<T>& out /* its first three */,
                        T* sums /* [3, dim]: lane dy, a dy, f dy */, int64_t rows, int64_t dim);
};

SIXTEEN_ISA_TABLE(RowKernels<float>, row_kernels_f32)
SIXTEEN_ISA_TABLE(RowKernels<double>, row_kernels_f64)

template <class T>
const RowKernels<T>& row_kernels() {
  if constexpr (std::is_same_v<T, float>) {
    return row_kernels_f32();
  } else {
    return row_kernels_f64();
  }
}

}  // namespace sixteen::cpu
