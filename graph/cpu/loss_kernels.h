// The inner loops of the output head (kernels_head.cpp), compiled once per instruction set (isa.h): rows of logits on
// the calling thread. cap <= 0 means no softcap.
#pragma once

#include <cstdint>

#include "graph/cpu/isa.h"

namespace sixteen::cpu {

template <class T>
struct LossFunctions {
  void (*softcap)(const T* z, T* y, T cap, int64_t count);
  void (*softcap_grad)(const T* z, const T* dy, T* dz, bool add, T cap, int64_t count);
  // z [vocab] -> capped logits; returns the target's nll.
  T (*nll_row)(T* z, int64_t vocab, int64_t target, T cap, bool round_bf16);
  // The same and, into stats [4]: that nll, the hint's, the entropy, the hint's rank (op.h, kHeadHints). hint -1: none.
  void (*hint_row)(T* z, int64_t vocab, int64_t target, int64_t hint, T cap, bool round_bf16, T* stats);
  // z [vocab] -> weight times the gradient of the target's nll; returns that nll.
  T (*loss_row)(T* z, int64_t vocab, int64_t target, T cap, T weight);
};

struct LossKernels {
  LossFunctions<float> f32;
  LossFunctions<double> f64;
};
SIXTEEN_ISA_TABLE(LossKernels, loss_kernels)

}  // namespace sixteen::cpu
