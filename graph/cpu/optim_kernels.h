// The inner loops of the optimiser ops, compiled once an instruction set (isa.h): ranges of elements or rows on the calling
// thread. kernels_optim.cpp splits the work.
//
// Bites: `round` true rounds to bf16 where PyTorch would have stored a bf16 tensor (each function says where); values stay T.
#pragma once

#include <cstdint>
#include <type_traits>

#include "graph/cpu/isa.h"
#include "graph/cpu/kernels.h"

namespace sixteen::cpu {

template <class T>
struct OptimKernels {
  T (*sum_squares)(const T* x, int64_t count);
  void (*round)(T* x, int64_t count);                                        // to bf16, in place
  void (*divide)(const T* x, T divisor, T* y, bool round, int64_t count);    // y = x / divisor, rounded
  void (*combine)(const T* x, T alpha, const T* y, T beta, T* out, bool round, int64_t count);  // alpha x + beta y, each product
                                                                             // and the sum rounded; out may be x or y
  // kMuonDirection for rows [rows, cols]; round: the scaled gradient, and what is stored of buffer and u, are rounded
  void (*muon_direction)(const T* g, T coefficient, T momentum, T* u, T* buffer, int64_t rows, int64_t cols, bool row_norm,
                         bool round);
  void (*muon_apply)(T* w, const T* u, T keep, T step, bool round, int64_t count);  // w = keep w - step u, both steps rounded
  void (*adamw)(T* p, const T* g, T* m, T* v, const AdamWStep<T>& step, int64_t count);
  void (*sgd)(T* p, const T* g, T* buffer, T coefficient, T lr, T momentum, int64_t count);
  void (*ema)(T* e, const T* w, T decay, int64_t count);
};

SIXTEEN_ISA_TABLE(OptimKernels<float>, optim_kernels_f32)
SIXTEEN_ISA_TABLE(OptimKernels<double>, optim_kernels_f64)

template <class T>
const OptimKernels<T>& optim_kernels() {
  if constexpr (std::is_same_v<T, float>) {
    return optim_kernels_f32();
  } else {
    return optim_kernels_f64();
  }
}

}  // namespace sixteen::cpu
