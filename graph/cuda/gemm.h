// Matrix products through cuBLASLt: bf16 operands, fp32 accumulation, bf16 or fp32 results.
//
// An algorithm is chosen once per shape, by the library's own ranking (deterministic for a card and library), in the dry run.
// For scoring it is chosen per (N, K, types, alignment) without looking at M, without split-K and without workspace: then each
// output is one chain over K, whatever M is (tests/graph/cuda_test.cpp checks the bits).
// Bites: the library is column-major, so a row-major c = a b is asked for as c^T = b^T a^T.
#pragma once

#include <cublasLt.h>

#include <map>
#include <vector>

#include "graph/cuda/kernels.h"

namespace sixteen::cuda {

class Gemm {
 public:
  Gemm();
  ~Gemm();
  Gemm(const Gemm&) = delete;
  Gemm& operator=(const Gemm&) = delete;

  // Whether the library can take these operands: 16-byte aligned rows of bf16.
  static bool fits(const MatmulShape& s, const void* a, const void* b, const void* c);
  // s.add: to `addend`, which may be c.
  void run(Launch& l, const MatmulShape& s, const void* a, const void* b, const void* addend, void* c, bool float_result);

 private:
  struct Product;
  const Product& product(const MatmulShape& s, bool float_result, bool row_invariant, std::vector<uint32_t> alignments);

  cublasLtHandle_t handle_ = nullptr;
  void* workspace_ = nullptr;
  std::map<std::vector<int64_t>, Product> products_;
};

}  // namespace sixteen::cuda
