// Choice and call of cuBLASLt's algorithms (gemm.h), and which products go to the plain kernel instead.
#include "graph/cuda/gemm.h"

#include <bit>
#include <span>

namespace sixteen::cuda {
namespace {

constexpr uint32_t kOperandAlignment = 16;

bool aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % kOperandAlignment == 0; }

cublasLtMatrixLayout_t layout(cudaDataType type, int64_t rows, int64_t cols, int64_t stride, int64_t batch, int64_t batch_stride) {
  cublasLtMatrixLayout_t result = nullptr;
  SIXTEEN_LT_CHECK(cublasLtMatrixLayoutCreate(&result, type, static_cast<uint64_t>(rows), static_cast<uint64_t>(cols), stride));
  const int32_t count = static_cast<int32_t>(batch);
  SIXTEEN_LT_CHECK(cublasLtMatrixLayoutSetAttribute(result, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count));
  SIXTEEN_LT_CHECK(
      cublasLtMatrixLayoutSetAttribute(result, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &batch_stride, sizeof batch_stride));
  return result;
}

GemmKey key_of(const MatmulShape& s, bool float_result) {
  return {s.ta, s.tb, s.add, float_result, s.m, s.n, s.k, s.lda, s.ldb, s.ldc, s.batch, s.stride_a, s.stride_b, s.stride_c};
}

}  // namespace

void check_lt(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS) fail("cublasLt: ", what, " failed with status ", static_cast<int>(status));
}

LtProduct::LtProduct(const GemmKey& key) : result_type(key.wide ? CUDA_R_32F : CUDA_R_16BF) {
  SIXTEEN_LT_CHECK(cublasLtMatmulDescCreate(&op, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  const cublasOperation_t op_a = key.tb ? CUBLAS_OP_T : CUBLAS_OP_N, op_b = key.ta ? CUBLAS_OP_T : CUBLAS_OP_N;
  SIXTEEN_LT_CHECK(cublasLtMatmulDescSetAttribute(op, CUBLASLT_MATMUL_DESC_TRANSA, &op_a, sizeof op_a));
  SIXTEEN_LT_CHECK(cublasLtMatmulDescSetAttribute(op, CUBLASLT_MATMUL_DESC_TRANSB, &op_b, sizeof op_b));
  a_layout = layout(CUDA_R_16BF, key.tb ? key.k : key.n, key.tb ? key.n : key.k, key.ldb, key.batch, key.stride_b);
  b_layout = layout(CUDA_R_16BF, key.ta ? key.m : key.k, key.ta ? key.k : key.m, key.lda, key.batch, key.stride_a);
  c_layout = layout(result_type, key.n, key.m, key.ldc, key.batch, key.stride_c);
}

LtProduct::LtProduct(LtProduct&& o) noexcept
    : op(std::exchange(o.op, nullptr)),
      a_layout(std::exchange(o.a_layout, nullptr)),
      b_layout(std::exchange(o.b_layout, nullptr)),
      c_layout(std::exchange(o.c_layout, nullptr)),
      result_type(o.result_type),
      algo(o.algo),
      workspace(o.workspace) {}

LtProduct::~LtProduct() {
  if (op != nullptr) cublasLtMatmulDescDestroy(op);
  for (cublasLtMatrixLayout_t m : {a_layout, b_layout, c_layout}) {
    if (m != nullptr) cublasLtMatrixLayoutDestroy(m);
  }
}

// Not checked: it comes from this very library for this very product, or from a table or file made with the same version.
void LtProduct::take(const GemmAlgorithm& algorithm) {
  CHECK(algorithm.workspace >= 0 && algorithm.workspace <= static_cast<int64_t>(kGemmWorkspaceBytes));
  algo = std::bit_cast<cublasLtMatmulAlgo_t>(algorithm.words);
  workspace = static_cast<size_t>(algorithm.workspace);
}

std::vector<GemmAlgorithm> LtProduct::ranking(cublasLtHandle_t handle, bool row_invariant, int length) const {
  cublasLtMatmulPreference_t wish = nullptr;
  SIXTEEN_LT_CHECK(cublasLtMatmulPreferenceCreate(&wish));
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t what, auto value) {
    SIXTEEN_LT_CHECK(cublasLtMatmulPreferenceSetAttribute(wish, what, &value, sizeof value));
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, row_invariant ? uint64_t{0} : uint64_t{kGemmWorkspaceBytes});
  // The in-place scheme would let split-K parts meet in no fixed order.
  set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      row_invariant ? uint32_t{CUBLASLT_REDUCTION_SCHEME_NONE}
                    : uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE});
  for (const auto operand : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                             CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
    set(operand, kOperandAlignment);
  }
  std::vector<cublasLtMatmulHeuristicResult_t> found(static_cast<size_t>(length));
  int count = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(handle, op, a_layout, b_layout, c_layout, c_layout, wish, length, found.data(), &count);
  cublasLtMatmulPreferenceDestroy(wish);
  check_lt(status, "cublasLtMatmulAlgoGetHeuristic");
  std::vector<GemmAlgorithm> result;
  for (const auto& f : std::span(found).first(static_cast<size_t>(count))) {
    result.push_back({std::bit_cast<std::array<uint64_t, 8>>(f.algo), static_cast<int64_t>(f.workspaceSize)});
  }
  CHECK(!result.empty());
  return result;
}

cublasStatus_t LtProduct::run(cublasLtHandle_t handle, const void* a, const void* b, const void* addend, void* c, void* space,
                              cudaStream_t stream) const {
  const float alpha = 1, beta = addend != nullptr ? 1 : 0;
  return cublasLtMatmul(handle, op, &alpha, b, a_layout, a, b_layout, &beta, addend != nullptr ? addend : c, c_layout, c, c_layout, &algo,
                        space, workspace, stream);
}

Gemm::Gemm(int sm) : sm_(sm) {
  SIXTEEN_LT_CHECK(cublasLtCreate(&handle_));
  SIXTEEN_CUDA_CHECK(cudaMalloc(&workspace_, kGemmWorkspaceBytes));
}

Gemm::~Gemm() {
  products_.clear();
  cublasLtDestroy(handle_);
  cudaFree(workspace_);
}

bool Gemm::fits(const MatmulShape& s, const void* a, const void* b, const void* c) {
  const auto eighths = [](std::initializer_list<int64_t> numbers) {
    return std::all_of(numbers.begin(), numbers.end(), [](int64_t n) { return n % 8 == 0; });
  };
  return eighths({s.n, s.k, s.lda, s.ldb, s.ldc, s.stride_a, s.stride_b, s.stride_c}) && (!s.ta || s.m % 8 == 0) && aligned(a) &&
         aligned(b) && aligned(c);
}

void Gemm::use(const GemmChoices& choices) {
  choices_ = choices;
  products_.clear();
}

// The table's algorithm or the library's first for a product of kManyRows: m must not enter the choice.
LtProduct Gemm::scoring_product(const GemmKey& key) {
  LtProduct result(key);
  if (const std::optional<GemmAlgorithm> row = table_algorithm(sm_, version(), key)) {
    result.take(*row);
    return result;
  }
  GemmKey many = key;
  many.m = kManyRows;
  result.take(LtProduct(many).ranking(handle_, true, 1)[0]);
  return result;
}

LtProduct Gemm::training_product(const GemmKey& key) {
  LtProduct result(key);
  const auto measured = choices_.find(key);
  const std::optional<GemmAlgorithm> row = key.m >= kManyRows ? table_algorithm(sm_, version(), key) : std::nullopt;
  if (measured != choices_.end()) result.take(measured->second);
  else result.take(row ? *row : result.ranking(handle_, false, 1)[0]);
  return result;
}

const LtProduct& Gemm::product(const GemmKey& key, bool row_invariant) {
  const auto found = products_.find({key, row_invariant});
  if (found != products_.end()) return found->second;
  return products_.emplace(std::pair(key, row_invariant), row_invariant ? scoring_product(key) : training_product(key)).first->second;
}

void Gemm::run(Launch& l, const MatmulShape& s, const void* a, const void* b, const void* addend, void* c, bool float_result) {
  const LtProduct& p = product(key_of(s, float_result), l.row_invariant && !s.ta);
  if (!l.dry) SIXTEEN_LT_CHECK(p.run(handle_, a, b, s.add ? addend : nullptr, c, workspace_, l.stream));
}

template <class From, class To>
void matmul(Launch& l, const MatmulShape& s, const From* a, const From* b, To* c) {
  if constexpr (std::is_same_v<From, bf16>) {
    if (Gemm::fits(s, a, b, c)) return l.gemm->run(l, s, a, b, c, c, std::is_same_v<To, float>);
  }
  matmul_plain(l, s, a, b, c);
}

template <class T>
void linear_add(Launch& l, const T* a, const T* w, const T* x, T* y, int64_t rows, int64_t n, int64_t k) {
  const MatmulShape s{false, true, rows, n, k, k, k, n, true};
  if constexpr (std::is_same_v<T, bf16>) {
    if (Gemm::fits(s, a, w, y) && aligned(x)) return l.gemm->run(l, s, a, w, x, y, false);
  }
  scale(l, x, nullptr, 1.0f, y, false, rows * n);
  matmul_plain(l, s, a, w, y);
}

template void linear_add(Launch&, const float*, const float*, const float*, float*, int64_t, int64_t, int64_t);
template void linear_add(Launch&, const bf16*, const bf16*, const bf16*, bf16*, int64_t, int64_t, int64_t);
template void matmul(Launch&, const MatmulShape&, const float*, const float*, float*);
template void matmul(Launch&, const MatmulShape&, const bf16*, const bf16*, float*);
template void matmul(Launch&, const MatmulShape&, const bf16*, const bf16*, bf16*);

}  // namespace sixteen::cuda
