// The inner loops of SmearGate and of the attention's gate a head, compiled once an instruction set (isa.h).
// kernels_gates.cpp splits the work over threads.
//
// Bites: smear reads the row before the first of its range and its gradient the row after the last, so ranges are given
// by row numbers and whole arrays.
#pragma once

#include <cstdint>
#include <type_traits>

#include "graph/cpu/isa.h"

namespace sixteen::cpu {

template <class T>
struct GateKernels {
  // g [dim]: the gate, open; rows [begin, end) of [.., dim] in windows of seq rows
  void (*smear)(const T* x, const T* g, T* y, int64_t begin, int64_t end, int64_t dim, int64_t seq);
  void (*smear_grad)(const T* x, const T* g, const T* dy, T* dx, bool add, T* sums /* [dim]: (x_(t-1) - x_t) dy_t */,
                     int64_t begin, int64_t end, int64_t dim, int64_t seq);
  // rows [rows, heads * head_dim]; g: scratch [heads]
  void (*head_gate)(const T* y, const T* z, const T* bias, T* out, T* g, int64_t rows, int64_t heads, int64_t head_dim);
  void (*head_gate_grad)(const T* y, const T* z, const T* bias, const T* dout, T* dy, bool add_dy, T* dz, bool add_dz,
                         T* sums /* [heads]: dz */, T* g, int64_t rows, int64_t heads, int64_t head_dim);
};

SIXTEEN_ISA_TABLE(GateKernels<float>, gate_kernels_f32)
SIXTEEN_ISA_TABLE(GateKernels<double>, gate_kernels_f64)

template <class T>
const GateKernels<T>& gate_kernels() {
  if constexpr (std::is_same_v<T, float>) {
    return gate_kernels_f32();
  } else {
    return gate_kernels_f64();
  }
}

}  // namespace sixteen::cpu
