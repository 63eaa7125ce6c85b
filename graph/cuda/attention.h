// The two ways of bf16 attention with head dim 64, behind attention_mma and attention_grad_mma of kernels.h (shapes: there).
//
// Bites: which forward runs depends on the card alone, never on the number of windows or queries: scoring promises that a row's
// bits do not depend on those, and the two ways round differently.
#pragma once

#include "graph/cuda/kernels.h"

namespace sixteen::cuda {

bool on_hopper();  // the current device runs code for sm_90a

void attention_portable(Launch& l, const bf16* q, const bf16* k, const bf16* v, const int32_t* keys, bf16* y,
                        float* lse, const AttentionDims& d, float scale);
void attention_hopper(Launch& l, const bf16* q, const bf16* k, const bf16* v, const int32_t* keys, bf16* y,
                      float* lse, const AttentionDims& d, float scale);
void attention_grad_portable(Launch& l, const AttentionGrad<bf16>& g, const float* delta, const AttentionDims& d,
                             float scale);
void attention_grad_hopper(Launch& l, const AttentionGrad<bf16>& g, const float* delta, const AttentionDims& d,
                           float scale);
bool hopper_grad_fits(const AttentionDims& d);  // one or two query heads a key head

}  // namespace sixteen::cuda
