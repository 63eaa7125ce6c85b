// Gemm::measure: which of the library's algorithms is fastest for every product that was asked for.
//
// For the table (rows) only algorithms that give a row the same bits whatever else is computed beside it are candidates, and
// that is checked here bit by bit: the library promises nothing. For a training shape the library's first choice stays unless
// another is at least 2 % faster, so that noise does not choose.
// Bites: needs device memory for the operands of the largest product beside whatever the sessions hold.
#include <cstring>
#include <set>
#include <sstream>
#include <tuple>

#include "graph/cuda/gemm.h"

namespace sixteen::cuda {
namespace {

constexpr int kCandidates = 16, kRuns = 5, kRounds = 3;
constexpr double kGain = 0.98;
constexpr int64_t kStretch = (int64_t{1} << 22) + 8;  // elements of random data, repeated; no multiple of a row

struct Operand {
  explicit Operand(int64_t elements, cudaStream_t stream) {
    static const std::vector<uint16_t> values = [] {
      std::vector<uint16_t> random(static_cast<size_t>(kStretch));
      uint32_t state = 7;
      for (uint16_t& value : random) {  // +-[0.5, 2): a product of zeros would run faster
        state = state * 1664525u + 1013904223u;
        value = static_cast<uint16_t>((state >> 31 << 15) | (0x3F00 + (state >> 16 & 0xFF)));
      }
      return random;
    }();
    SIXTEEN_CUDA_CHECK(cudaMalloc(&data, static_cast<size_t>(elements) * sizeof(uint16_t)));
    for (int64_t done = 0; done < elements; done += kStretch) {
      const size_t bytes = static_cast<size_t>(std::min(kStretch, elements - done)) * sizeof(uint16_t);
      SIXTEEN_CUDA_CHECK(cudaMemcpyAsync(static_cast<uint16_t*>(data) + done, values.data(), bytes, cudaMemcpyHostToDevice, stream));
    }
  }
  ~Operand() { cudaFree(data); }
  Operand(const Operand&) = delete;
  Operand& operator=(const Operand&) = delete;
  std::byte* at(int64_t element, size_t width = 2) const { return static_cast<std::byte*>(data) + static_cast<size_t>(element) * width; }
  void* data = nullptr;
};

// One product's operands and the ways to try an algorithm on it.
class Trial {
 public:
  Trial(cublasLtHandle_t handle, void* workspace, cudaStream_t stream, const GemmKey& key)
      : handle_(handle),
        workspace_(workspace),
        stream_(stream),
        key_(key),
        width_(key.wide ? 4 : 2),
        a_(std::max((key.ta ? key.k : key.m) * key.lda, key.batch * key.stride_a), stream),
        b_(std::max((key.tb ? key.n : key.k) * key.ldb, key.batch * key.stride_b), stream),
        c_(result_elements(), stream),
        small_(kMostRows * key.ldc * static_cast<int64_t>(width_ / 2), stream) {}

  std::vector<GemmAlgorithm> ranking(bool row_invariant) const { return LtProduct(key_).ranking(handle_, row_invariant, kCandidates); }

  // Mean microseconds of the fastest of some rounds; nothing when the library refuses.
  std::optional<double> time_us(const GemmAlgorithm& algorithm) const {
    LtProduct product(key_);
    product.take(algorithm);
    cudaEvent_t begin = nullptr, end = nullptr;
    SIXTEEN_CUDA_CHECK(cudaEventCreate(&begin));
    SIXTEEN_CUDA_CHECK(cudaEventCreate(&end));
    std::optional<double> best;
    for (int round = 0; round <= kRounds; ++round) {  // the first loads the kernel
      SIXTEEN_CUDA_CHECK(cudaEventRecord(begin, stream_));
      bool done = true;
      for (int i = 0; i < kRuns && done; ++i) {
        done = product.run(handle_, a_.data, b_.data, key_.add ? c_.data : nullptr, c_.data, workspace_, stream_) == CUBLAS_STATUS_SUCCESS;
      }
      if (!done) break;
      SIXTEEN_CUDA_CHECK(cudaEventRecord(end, stream_));
      SIXTEEN_CUDA_CHECK(cudaEventSynchronize(end));
      float ms = 0;
      SIXTEEN_CUDA_CHECK(cudaEventElapsedTime(&ms, begin, end));
      const double us = 1000.0 * ms / kRuns;
      if (round > 0) best = std::min(best.value_or(us), us);
    }
    SIXTEEN_CUDA_CHECK(cudaEventDestroy(begin));
    SIXTEEN_CUDA_CHECK(cudaEventDestroy(end));
    return best;
  }

  // Whether rows of few-row products have the bits that they have in the whole product.
  bool row_invariant(const GemmAlgorithm& algorithm) const {
    LtProduct whole(key_);
    whole.take(algorithm);
    GemmKey plain = key_;
    plain.add = false;  // adds to an output the same way; other contents each time would only blur the comparison
    if (whole.run(handle_, a_.data, b_.data, nullptr, c_.data, workspace_, stream_) != CUBLAS_STATUS_SUCCESS) return false;
    for (const auto& [first, rows] : {std::pair<int64_t, int64_t>{0, 1}, {0, 2}, {0, 7}, {0, 64}, {0, 100}, {0, 257}, {0, 1000},
                                      {1, 129}, {100, 57}, {key_.m - 65, 65}, {key_.m - kMostRows, kMostRows}}) {
      if (!same_rows(whole, plain, first, rows)) return false;
    }
    return true;
  }

 private:
  static constexpr int64_t kMostRows = 1024;

  int64_t result_elements() const { return std::max(key_.m * key_.ldc, key_.batch * key_.stride_c) * static_cast<int64_t>(width_ / 2); }

  bool same_rows(const LtProduct& whole, const GemmKey& plain, int64_t first, int64_t rows) const {
    GemmKey few = plain;
    few.m = rows;
    LtProduct product(few);
    product.algo = whole.algo;
    if (product.run(handle_, a_.at(first * key_.lda), b_.data, nullptr, small_.data, workspace_, stream_) != CUBLAS_STATUS_SUCCESS) return false;
    const size_t bytes = static_cast<size_t>(rows * key_.ldc) * width_;
    std::vector<std::byte> found(bytes), expected(bytes);
    SIXTEEN_CUDA_CHECK(cudaMemcpyAsync(found.data(), small_.data, bytes, cudaMemcpyDeviceToHost, stream_));
    SIXTEEN_CUDA_CHECK(cudaMemcpyAsync(expected.data(), c_.at(first * key_.ldc, width_), bytes, cudaMemcpyDeviceToHost, stream_));
    SIXTEEN_CUDA_CHECK(cudaStreamSynchronize(stream_));
    return std::memcmp(found.data(), expected.data(), bytes) == 0;
  }

  cublasLtHandle_t handle_;
  void* workspace_;
  cudaStream_t stream_;
  GemmKey key_;
  size_t width_;
  Operand a_, b_, c_, small_;
};

std::string key_text(const GemmKey& k) {
  std::ostringstream text;
  text << k.m << "x" << k.n << "x" << k.k << (k.ta ? " ta" : "") << (k.tb ? " tb" : "") << (k.add ? " add" : "") << (k.wide ? " fp32" : "");
  if (k.batch > 1) text << " batch " << k.batch;
  return text.str();
}

struct Best {
  GemmAlgorithm algorithm;
  double us = 0, first_us = 0;
  int place = -1, tried = 0, refused = 0;
};

Best fastest(const Trial& trial, bool row_invariant) {
  Best best;
  int place = -1;
  for (const GemmAlgorithm& algorithm : trial.ranking(row_invariant)) {
    ++place;
    const std::optional<double> us = trial.time_us(algorithm);
    if (!us || (row_invariant && !trial.row_invariant(algorithm))) {
      ++best.refused;
      continue;
    }
    if (best.tried++ == 0) best.first_us = best.us = *us, best.place = place, best.algorithm = algorithm;
    if (*us < best.us && *us < kGain * best.first_us) best.us = *us, best.place = place, best.algorithm = algorithm;
  }
  return best;
}

std::string line(const GemmKey& key, const char* what, const Best& best) {
  std::ostringstream text;
  text << what << " " << key_text(key) << ": " << best.us << " us, place " << best.place << " of " << best.tried << " (" << best.refused
       << " refused), the library's first " << best.first_us << " us";
  return text.str();
}

}  // namespace

GemmMeasurement Gemm::measure(cudaStream_t stream) {
  GemmMeasurement result;
  using Form = std::tuple<bool, bool, bool, int64_t, int64_t>;  // a table row's key
  std::map<Form, GemmKey> forms;                                // with the product of most rows
  for (const auto& [id, product] : products_) {
    const auto& [key, row_invariant] = id;
    if (!row_invariant) {
      const Best best = fastest(Trial(handle_, workspace_, stream, key), false);
      if (best.tried > 0) result.training[key] = best.algorithm;
      result.lines.push_back(line(key, "training", best));
    }
    if (key.ta || key.batch != 1 || (!row_invariant && key.m < kManyRows)) continue;
    GemmKey& largest = forms.try_emplace(Form(key.tb, key.add, key.wide, key.n, key.k), key).first->second;
    if (key.m > largest.m) largest = key;
  }
  for (auto& [form, key] : forms) {
    key.m = std::max(key.m, kManyRows);
    const Best best = fastest(Trial(handle_, workspace_, stream, key), true);
    if (best.tried > 0) result.rows.push_back({sm_, version(), key.tb, key.add, key.wide, key.n, key.k, best.algorithm});
    result.lines.push_back(line(key, "table", best));
  }
  return result;
}

}  // namespace sixteen::cuda
