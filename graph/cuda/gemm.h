// Matrix products through cuBLASLt: bf16 operands, fp32 accumulation, bf16 or fp32 results.
//
// An algorithm is chosen once per product, in the dry run, from the sources that gemm_choice.h names. For scoring it is chosen
// without looking at M, without split-K and without workspace: then each output is one chain over K, whatever M is
// (tests/graph/cuda_gemm_test.cpp checks the bits).
// Bites: the library is column-major, so a row-major c = a b is asked for as c^T = b^T a^T. Alignment is no part of a choice:
// every operand is only taken to be aligned to 16 bytes.
#pragma once

#include <cublasLt.h>

#include <map>
#include <utility>
#include <vector>

#include "graph/cuda/kernels.h"
#include "graph/gemm_choice.h"

namespace sixteen::cuda {

// A product as the library wants it: operation, layouts, and the algorithm once it is chosen.
struct LtProduct {
  explicit LtProduct(const GemmKey& key);
  LtProduct(LtProduct&& other) noexcept;
  ~LtProduct();
  void take(const GemmAlgorithm& algorithm);
  // The library's ranking, best first; `row_invariant`: without split-K and workspace.
  std::vector<GemmAlgorithm> ranking(cublasLtHandle_t handle, bool row_invariant, int length) const;
  // c = op(a) op(b), and plus `addend` where there is one, which may be c.
  cublasStatus_t run(cublasLtHandle_t handle, const void* a, const void* b, const void* addend, void* c, void* space,
                     cudaStream_t stream) const;

  cublasLtMatmulDesc_t op = nullptr;
  cublasLtMatrixLayout_t a_layout = nullptr, b_layout = nullptr, c_layout = nullptr;
  cudaDataType result_type;
  cublasLtMatmulAlgo_t algo{};
  size_t workspace = 0;
};

constexpr size_t kGemmWorkspaceBytes = size_t{64} << 20;
constexpr int64_t kManyRows = 4096;  // table rows are for at least so many; scoring's are checked for exactly so many

void check_lt(cublasStatus_t status, const char* what);
#define SIXTEEN_LT_CHECK(call) ::sixteen::cuda::check_lt((call), #call)

class Gemm {
 public:
  explicit Gemm(int sm);  // compute capability, 90 for sm_90
  ~Gemm();
  Gemm(const Gemm&) = delete;
  Gemm& operator=(const Gemm&) = delete;

  // Whether the library can take these operands: 16-byte aligned rows of bf16.
  static bool fits(const MatmulShape& s, const void* a, const void* b, const void* c);
  // s.add: to `addend`, which may be c.
  void run(Launch& l, const MatmulShape& s, const void* a, const void* b, const void* addend, void* c, bool float_result);

  void use(const GemmChoices& choices);      // of training products that are asked for from here on
  static int version() { return static_cast<int>(cublasLtGetVersion()); }
  GemmMeasurement measure(cudaStream_t stream);  // of all products asked for so far; gemm_tune.cpp

 private:
  const LtProduct& product(const GemmKey& key, bool row_invariant);
  LtProduct scoring_product(const GemmKey& key);
  LtProduct training_product(const GemmKey& key);

  const int sm_;
  cublasLtHandle_t handle_ = nullptr;
  void* workspace_ = nullptr;
  GemmChoices choices_;
  std::map<std::pair<GemmKey, bool>, LtProduct> products_;  // by key and whether it is row-invariant
};

}  // namespace sixteen::cuda
