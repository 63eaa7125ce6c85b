// The inner loops of head norm and XSA (kernels_heads.cpp), compiled once per instruction set (isa.h): a range of rows
// on the calling thread.
#pragma once

#include <cstdint>

#include "graph/cpu/isa.h"
#include "graph/cpu/kernels.h"

namespace sixteen::cpu {

template <class T>
struct HeadNormArguments {
  const T *x, *cos, *sin, *gain;  // gain may be null
  const HeadNormShape& shape;
  T eps;
};

template <class T>
struct HeadNormFunctions {
  void (*norm)(const HeadNormArguments<T>& a, T* y, int64_t begin, int64_t end);
  void (*norm_grad)(const HeadNormArguments<T>& a, const T* dy, T* dx, bool add, T* sums /* [heads] += d gain */,
                    int64_t begin, int64_t end);
  // `rows` here are (row, kv head) pairs: one value and `group` heads each.
  void (*xsa)(const T* y, const T* v, T* out, int64_t group, int64_t head_dim, int64_t begin, int64_t end);
  void (*xsa_grad)(const T* y, const T* v, const T* dout, T* dy, bool add_dy, T* dv, bool add_dv, int64_t group,
                   int64_t head_dim, T* scratch /* [head_dim] */, int64_t begin, int64_t end);
};

struct HeadNormKernels {
  HeadNormFunctions<float> f32;
  HeadNormFunctions<double> f64;
};
SIXTEEN_ISA_TABLE(HeadNormKernels, head_norm_kernels)

}  // namespace sixteen::cpu
