// Hopper's form of the MLP's fused products (kernels.h declares what chooses between it and the parts).
#pragma once

#include "graph/cuda/kernels.h"

namespace sixteen::cuda {

bool hopper_mlp_fits(int64_t rows, int64_t n, int64_t k);
// y [rows, n] = LeakyReLU^2 of h = x [rows, k] w [n, k]^T; h may be null
void linear_leaky_relu_sq_hopper(Launch& l, const bf16* x, const bf16* w, bf16* y, bf16* h, const MlpShape& s, float slope);
// dh [rows, n] = (dy [rows, k] w [k, n]) times the slope of LeakyReLU^2 at h
void matmul_leaky_relu_sq_grad_hopper(Launch& l, const bf16* dy, const bf16* w, const bf16* h, bf16* dh, const MlpShape& s,
                                      float slope);

}  // namespace sixteen::cuda
