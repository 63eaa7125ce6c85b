// Choice and call of cuBLASLt's algorithms (gemm.h), and which products go to the plain kernel instead.
#include "graph/cuda/gemm.h"

namespace sixteen::cuda {
namespace {

constexpr size_t kWorkspaceBytes = size_t{64} << 20;
constexpr int kRankingLength = 8;
constexpr int64_t kScoringRows = 4096;  // the M that the scoring algorithms are ranked for

// Where the library's first choice is not its fastest on many rows: the place of the fastest in its ranking, as measured on an
// H200 with cuBLASLt 13.0 at 98,304 rows (the head: 8192). Another library's list is another list, but the choice stays
// deterministic and correct.
struct Ranked {
  bool ta, tb, add;
  int64_t n, k;
  int place;
};
constexpr int64_t kManyRows = 8192;
constexpr Ranked kRanked[] = {
    {false, true, false, 512, 512, 3},    // 78 us instead of 86
    {false, true, false, 256, 512, 2},    // 47, 49
    {false, true, false, 2048, 512, 4},   // 273, 304
    {false, true, false, 8192, 512, 6},   // 103, 127
    {false, false, false, 512, 512, 3},   // 81, 110
    {false, false, true, 512, 512, 3},    // 95, 112
    {false, false, false, 512, 256, 5},   // 51, 55
    {false, false, false, 2048, 512, 7},  // 285, 305
};

int place_in_ranking(const MatmulShape& s) {
  for (const Ranked& r : kRanked) {
    if (s.m >= kManyRows && r.ta == s.ta && r.tb == s.tb && r.add == s.add && r.n == s.n && r.k == s.k && s.batch == 1) return r.place;
  }
  return 0;
}

void check_lt(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS) fail("cublasLt: ", what, " failed with status ", static_cast<int>(status));
}
#define SIXTEEN_LT_CHECK(call) check_lt((call), #call)

uint32_t alignment(const void* p) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(p);
  return static_cast<uint32_t>(std::min<uintptr_t>(address & (~address + 1), 256));
}

cublasLtMatrixLayout_t layout(cudaDataType type, int64_t rows, int64_t cols, int64_t stride, int64_t batch, int64_t batch_stride) {
  cublasLtMatrixLayout_t result = nullptr;
  SIXTEEN_LT_CHECK(cublasLtMatrixLayoutCreate(&result, type, static_cast<uint64_t>(rows), static_cast<uint64_t>(cols), stride));
  const int32_t count = static_cast<int32_t>(batch);
  SIXTEEN_LT_CHECK(cublasLtMatrixLayoutSetAttribute(result, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count));
  SIXTEEN_LT_CHECK(
      cublasLtMatrixLayoutSetAttribute(result, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &batch_stride, sizeof batch_stride));
  return result;
}

}  // namespace

struct Gemm::Product {
  cublasLtMatmulDesc_t op = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr;
  cublasLtMatmulAlgo_t algo{};
  size_t workspace = 0;

  Product(const MatmulShape& s, bool float_result) {
    SIXTEEN_LT_CHECK(cublasLtMatmulDescCreate(&op, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    const cublasOperation_t op_a = s.tb ? CUBLAS_OP_T : CUBLAS_OP_N, op_b = s.ta ? CUBLAS_OP_T : CUBLAS_OP_N;
    SIXTEEN_LT_CHECK(cublasLtMatmulDescSetAttribute(op, CUBLASLT_MATMUL_DESC_TRANSA, &op_a, sizeof op_a));
    SIXTEEN_LT_CHECK(cublasLtMatmulDescSetAttribute(op, CUBLASLT_MATMUL_DESC_TRANSB, &op_b, sizeof op_b));
    a = layout(CUDA_R_16BF, s.tb ? s.k : s.n, s.tb ? s.n : s.k, s.ldb, s.batch, s.stride_b);
    b = layout(CUDA_R_16BF, s.ta ? s.m : s.k, s.ta ? s.k : s.m, s.lda, s.batch, s.stride_a);
    c = layout(float_result ? CUDA_R_32F : CUDA_R_16BF, s.n, s.m, s.ldc, s.batch, s.stride_c);
  }
  Product(Product&& o) noexcept : op(o.op), a(o.a), b(o.b), c(o.c), algo(o.algo), workspace(o.workspace) {
    o.op = nullptr, o.a = o.b = o.c = nullptr;
  }
  ~Product() {
    if (op != nullptr) cublasLtMatmulDescDestroy(op);
    for (cublasLtMatrixLayout_t m : {a, b, c}) {
      if (m != nullptr) cublasLtMatrixLayoutDestroy(m);
    }
  }

  // `place`: in the library's ranking; the last one where there are fewer.
  void choose(cublasLtHandle_t handle, bool row_invariant, int place, const std::vector<uint32_t>& alignments) {
    cublasLtMatmulPreference_t wish = nullptr;
    SIXTEEN_LT_CHECK(cublasLtMatmulPreferenceCreate(&wish));
    const auto set = [&](cublasLtMatmulPreferenceAttributes_t what, auto value) {
      SIXTEEN_LT_CHECK(cublasLtMatmulPreferenceSetAttribute(wish, what, &value, sizeof value));
    };
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, row_invariant ? uint64_t{0} : uint64_t{kWorkspaceBytes});
    // The in-place scheme would let split-K parts meet in no fixed order.
    set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
        row_invariant ? uint32_t{CUBLASLT_REDUCTION_SCHEME_NONE}
                      : uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE});
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignments[1]);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignments[0]);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignments[2]);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignments[2]);
    std::vector<cublasLtMatmulHeuristicResult_t> found(static_cast<size_t>(kRankingLength));
    int count = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(handle, op, a, b, c, c, wish, kRankingLength, found.data(), &count);
    cublasLtMatmulPreferenceDestroy(wish);
    check_lt(status, "cublasLtMatmulAlgoGetHeuristic");
    CHECK(count >= 1);
    const auto& chosen = found[static_cast<size_t>(std::min(place, count - 1))];
    algo = chosen.algo;
    workspace = chosen.workspaceSize;
  }
};

Gemm::Gemm() {
  SIXTEEN_LT_CHECK(cublasLtCreate(&handle_));
  SIXTEEN_CUDA_CHECK(cudaMalloc(&workspace_, kWorkspaceBytes));
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
  return eighths({s.n, s.k, s.lda, s.ldb, s.ldc, s.stride_a, s.stride_b, s.stride_c}) && (!s.ta || s.m % 8 == 0) &&
         alignment(a) >= 16 && alignment(b) >= 16 && alignment(c) >= 16;
}

const Gemm::Product& Gemm::product(const MatmulShape& s, bool float_result, bool row_invariant, std::vector<uint32_t> alignments) {
  std::vector<int64_t> key = {s.ta, s.tb, s.m, s.n, s.k, s.lda, s.ldb, s.ldc, s.add, s.batch, s.stride_a, s.stride_b, s.stride_c,
                              float_result, row_invariant};
  key.insert(key.end(), alignments.begin(), alignments.end());
  const auto found = products_.find(key);
  if (found != products_.end()) return found->second;
  Product result(s, float_result);
  if (row_invariant) {
    MatmulShape ranked = s;
    ranked.m = kScoringRows;
    Product other(ranked, float_result);
    other.choose(handle_, true, 0, alignments);
    result.algo = other.algo;
  } else {
    result.choose(handle_, false, place_in_ranking(s), alignments);
  }
  return products_.emplace(std::move(key), std::move(result)).first->second;
}

void Gemm::run(Launch& l, const MatmulShape& s, const void* a, const void* b, const void* addend, void* c, bool float_result) {
  const Product& p = product(s, float_result, l.row_invariant && !s.ta,
                             {alignment(a), alignment(b), std::min(alignment(addend), alignment(c))});
  if (l.dry) return;
  const float alpha = 1, beta = s.add ? 1 : 0;
  SIXTEEN_LT_CHECK(cublasLtMatmul(handle_, p.op, &alpha, b, p.a, a, p.b, &beta, addend, p.c, c, p.c, &p.algo, workspace_, p.workspace,
                                  l.stream));
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
    if (Gemm::fits(s, a, w, y) && alignment(x) >= 16) return l.gemm->run(l, s, a, w, x, y, false);
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
