// The parts of the GEMM that are compiled once per instruction set: packing B, and one block of C on one thread.
//
// Packed B is a sequence of panels of nr columns; a panel is [k][nr], its missing columns are 0. A block of A is copied
// into scratch so that the mr rows of a tile never fight for the same cache set (a stride of 2 or 4 KiB, the usual
// widths, would map them all to one). The tile's arithmetic is gemm.h's chain; C is read back between blocks of k,
// which keeps the chain.
#pragma once

#include <cstdint>

#include "graph/cpu/isa.h"

namespace sixteen::cpu {

constexpr int64_t kGemmBlockK = 256;     // steps of k in one block: a panel of B then fits the first-level cache
constexpr int64_t kGemmBlockPanels = 8;  // tiles of rows in one block of A, kept in the second-level cache

template <class T>
struct GemmKernels {
  int64_t mr, nr;         // a tile of C: rows, columns
  int64_t scratch_bytes;  // what multiply() needs, 64-byte aligned

  // Packs op(B) [k, n] into ceil(n / nr) panels, k * nr numbers each.
  void (*pack_b)(bool tb, int64_t k, int64_t n, const T* b, int64_t ldb, T* packed);

  // C [m, n] = op(A) [m, k] B (+ C if accumulate), B packed; 1 <= k <= kGemmBlockK. No threads.
  void (*multiply)(bool ta, int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* packed_b, T* c,
                   int64_t ldc, bool accumulate, void* scratch);
};

SIXTEEN_ISA_TABLE(GemmKernels<float>, gemm_kernels_f32)
SIXTEEN_ISA_TABLE(GemmKernels<double>, gemm_kernels_f64)

}  // namespace sixteen::cpu
