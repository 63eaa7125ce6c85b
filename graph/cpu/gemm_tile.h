// Small products on the calling thread, for use inside a parallel_for body: attention tiles and the like.
//
// The chain of every output is gemm.h's, so the bits are those that gemm() gives. Operands are best contiguous and in
// the first- or second-level cache. When one B serves several products (keys for several queries), pack it once:
// packing costs about as much as 3 rows of the product, for a transposed B about 6.
// Bites: scratch is thread-local (slots 60 to 63 of ThreadPool::scratch); packed memory must be 64-byte aligned for
// speed; a packed B is good only for the instruction set it was packed for (isa()).
#pragma once

#include <cstdint>

namespace sixteen::cpu {

// C [m, n] = op(A) op(B) (+ C if accumulate); arguments as gemm()'s. No threads.
template <class T>
void gemm_tile(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* b, int64_t ldb,
               T* c, int64_t ldc, bool accumulate);

// How many numbers a packed op(B) [k, n] takes.
template <class T>
int64_t packed_b_size(int64_t n, int64_t k);

// Packs op(B) [k, n] for gemm_packed().
template <class T>
void pack_b(bool tb, int64_t n, int64_t k, const T* b, int64_t ldb, T* packed);

// gemm_tile() with a packed B.
template <class T>
void gemm_packed(bool ta, int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* packed, T* c, int64_t ldc,
                 bool accumulate);

}  // namespace sixteen::cpu
