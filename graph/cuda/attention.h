// The ways of computing attention, behind those of kernels.h, which choose: any head dim (attention_plain.cu); bf16 with head dim 64
// on tensor cores (attention_mma.cu, attention_grad_mma.cu); the same on Hopper (attention_hopper.cu, attention_hopper_grad.cu).
//
// Bites: which forward runs depends on the card alone, never on the number of windows or queries: scoring promises that a row's
// bits do not depend on those, and the ways round differently.
#pragma once

#include "graph/cuda/kernels.h"

namespace sixteen::cuda {


bool on_hopper();  // the current device runs code for sm_90a

// Where each query's delta = y . dy goes: delta [windows, heads, seq], or pairs [windows, heads, padded] of (lse in log2 units, delta),
// (infinity, 0) past the end. The other is null.
struct DeltaRows {
  const float* lse;
  float* delta;
  float2* pairs;
  int64_t seq, padded;
};

// Whether y becomes z (attention.cu), and where along [rows, heads] goes; may be null.
struct XsaOutput {
  bool wanted = false;
  float* along = nullptr;
};

template <class T>
void attention_plain(Launch& l, const T* q, const T* k, const T* v, const int32_t* keys, T* y, float* lse, const AttentionDims& d,
                     float scale);
template <class T>
void attention_grad_plain(Launch& l, const AttentionGrad<T>& g, const float* delta, const AttentionDims& d, float scale);

void attention_portable(Launch& l, const bf16* q, const bf16* k, const bf16* v, const int32_t* keys, bf16* y,
                        float* lse, const AttentionDims& d, float scale);
void attention_hopper(Launch& l, const bf16* q, const bf16* k, const bf16* v, const int32_t* keys, bf16* y,
                      float* lse, const XsaOutput& xsa, const AttentionDims& d, float scale);
void attention_grad_portable(Launch& l, const AttentionGrad<bf16>& g, const float* delta, const AttentionDims& d,
                             float scale);
void attention_grad_hopper(Launch& l, const AttentionGrad<bf16>& g, const float2* pairs, const AttentionDims& d,
                           float scale);
bool hopper_grad_fits(const AttentionDims& d);  // one or two query heads a key head

}  // namespace sixteen::cuda
