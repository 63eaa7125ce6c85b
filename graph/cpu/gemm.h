// C = A' B' (+ C) for row-major fp32 and fp64: our own, because its bits must not depend on anything but the operands.
//
// Every output element is one chain of fused multiply-adds over k = 0, 1, ..., K-1 in that order, starting from 0 or,
// with accumulate, from C: acc = fma(a(m,k), b(k,n), acc). No split over K, no other order: so a row's bits are the
// same for any M, N, tile place, thread count and instruction set (AVX-512, AVX2, plain). docs/DESIGN.md 2.
// Bites: without FMA hardware the plain path calls the library's fma: correct and slow.
#pragma once

#include <cstdint>

#include "graph/cpu/threads.h"

namespace sixteen::cpu {

// op(A) is [M, K]: A stored [M, K] (ta false) or [K, M] (ta true), leading dimension lda.
// op(B) is [K, N]: B stored [K, N] (tb false) or [N, K] (tb true), leading dimension ldb.
// C is [M, N] with leading dimension ldc. A forward linear layer is gemm(pool, false, true, ...).
void gemm(ThreadPool& pool, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const float* a, int64_t lda,
          const float* b, int64_t ldb, float* c, int64_t ldc, bool accumulate);
void gemm(ThreadPool& pool, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const double* a, int64_t lda,
          const double* b, int64_t ldb, double* c, int64_t ldc, bool accumulate);

// The instruction set in use: "avx512", "avx2" or "plain". SIXTEEN_ISA=avx2|plain in the environment, or set_isa() in
// tests, asks for a lower one than the machine has.
const char* isa_name();
bool set_isa(const char* name);  // false when this machine cannot

}  // namespace sixteen::cpu
