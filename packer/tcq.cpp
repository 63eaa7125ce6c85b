// See tcq.h.
#include "packer/tcq.h"

#include <algorithm>

#include "formats/trellis.h"
#include "graph/cpu/gemm.h"
#include "packer/trellis_kernels.h"

namespace sixteen {
namespace {

constexpr double kError = 0.061;  // mean square of a code's, in steps

// Columns one after the other; what a search needs is kept between them.
class ColumnSearch {
 public:
  explicit ColumnSearch(std::span<const uint16_t> scales)
      : rows_(static_cast<int64_t>(scales.size())),
        weights_(scales.size()),
        shrunk_(scales.size()),
        choices_(4 * scales.size()),
        costs_(4 * scales.size()),
        decisions_(cpu::kTrellisWords * scales.size()),
        sums_(kTrellisStates) {
    float largest = 0;
    for (const uint16_t scale : scales) largest = std::max(largest, scales_.emplace_back(f16_to_float(scale)));
    for (size_t r = 0; r < scales_.size(); ++r) weights_[r] = scales_[r] / largest * (scales_[r] / largest);
  }

  // Codes of the targets [rows], and what they stand for; step: of the column.
  void run(const float* targets, const ColumnStep& step, int8_t* codes, float* values) {
    const cpu::TrellisKernels& kernels = cpu::trellis_kernels();
    const float shrunk = shrinkage(targets, step.factor) / step.factor;
    for (int64_t r = 0; r < rows_; ++r) shrunk_[r] = shrunk * targets[r];
    kernels.choices(shrunk_.data(), scales_.data(), weights_.data(), rows_, step.limit, choices_.data(), costs_.data());
    kernels.search(costs_.data(), rows_, decisions_.data(), sums_.data());
    auto state = static_cast<uint16_t>(std::ranges::min_element(sums_) - sums_.begin());
    for (int64_t r = rows_ - 1; r >= 0; --r) {
      const int odd = cpu::trellis_decision(&decisions_[r * cpu::kTrellisWords], state);
      state = before(state, odd);
      codes[r] = choices_[(2 * trellis_half(state) + odd) * rows_ + r];
      values[r] = trellis_value(codes[r], state) * scales_[r] * step.factor;
    }
    CHECK(state == 0);
  }

 private:
  // Small values cost fewer bits. With squares v^2 of mean s and an error D a bell curve's bits are log2(e) v^2 / 2 s and more, a bit is
  // worth 2 ln 2 D, so the least of error and bits together is that of (t - v)^2 + D / s v^2: the error to t / (1 + D / s). It is the
  // Wiener factor of entropy-coded dithered quantisation (Zamir and Feder 1996), which makes up for the noise in v.
  float shrinkage(const float* targets, float factor) const {
    double squares = 0;
    for (int64_t r = 0; r < rows_; ++r) squares += double{targets[r]} / scales_[r] * targets[r] / scales_[r];
    return static_cast<float>(squares / (squares + kError * factor * factor * static_cast<double>(rows_)));
  }

  // The register that a code of this parity leads to `state` from.
  static uint16_t before(uint16_t state, int odd) {
    const int half = state >> (kTrellisBits - 1);  // feedback alone reaches the top bit
    const unsigned kept = state ^ (half != 0 ? kTrellisFeedback : 0u) ^ (odd != 0 ? kTrellisInput : 0u);
    return static_cast<uint16_t>(kept << 1 | static_cast<unsigned>(half));
  }

  const int64_t rows_;
  std::vector<float> scales_, weights_, shrunk_;
  std::vector<int8_t> choices_;
  std::vector<float> costs_;
  std::vector<uint32_t> decisions_;
  std::vector<float> sums_;
};

QuantisedMatrix empty_result(std::span<const float> weights, int64_t rows, int64_t cols, const QuantOptions& options) {
  CHECK(rows > 0 && static_cast<int64_t>(weights.size()) == rows * cols);
  QuantisedMatrix result;
  result.steps = options.steps;
  result.codes.resize(weights.size());
  result.row_errors.resize(rows);
  for (int64_t r = 0; r < rows; ++r) result.scales.push_back(row_scale(weights.subspan(r * cols, cols), options));
  return result;
}

// Columns [begin, end) of the ordered matrix, and the columns to come told of them.
class Block {
 public:
  Block(cpu::ThreadPool& pool, const GptqFactor& factor, int64_t rows, int64_t width)
      : pool_(pool), factor_(factor), rows_(rows), targets_(rows), codes_(rows), errors_(rows * width) {}

  void run(ColumnSearch& search, const QuantOptions& options, float* ordered, int64_t begin, int64_t end,
           QuantisedMatrix* result) {
    const int64_t cols = static_cast<int64_t>(factor_.order.size());
    std::vector<float> values(rows_);
    for (int64_t j = begin; j < end; ++j) {
      set_targets(ordered, begin, j);
      search.run(targets_.data(), column_step(options, factor_.order[j]), codes_.data(), values.data());
      const float diagonal = factor_.upper[j * cols + j];
      float* errors = &errors_[(j - begin) * rows_];
      for (int64_t r = 0; r < rows_; ++r) {
        errors[r] = -(targets_[r] - values[r]) / diagonal;
        result->row_errors[r] += double{errors[r]} * errors[r];
        result->codes[r * cols + factor_.order[j]] = codes_[r];
      }
    }
    if (end < cols) {
      cpu::gemm(pool_, true, false, rows_, cols - end, end - begin, errors_.data(), rows_,
                factor_.upper.data() + begin * cols + end, cols, ordered + end, cols, true);
    }
  }

 private:
  // Column j, corrected for what the columns of this block before it lost, the first ones first.
  void set_targets(const float* ordered, int64_t begin, int64_t j) {
    const int64_t cols = static_cast<int64_t>(factor_.order.size());
    pool_.parallel_for(rows_, 256, [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r) targets_[r] = ordered[r * cols + j];
      for (int64_t i = begin; i < j; ++i) {
        const float factor = factor_.upper[i * cols + j];
        const float* errors = &errors_[(i - begin) * rows_];
        for (int64_t r = first; r < last; ++r) targets_[r] += errors[r] * factor;
      }
    });
  }

  cpu::ThreadPool& pool_;
  const GptqFactor& factor_;
  const int64_t rows_;
  std::vector<float> targets_;
  std::vector<int8_t> codes_;
  std::vector<float> errors_;  // [width, rows], negated, in units of the factor's diagonal
};

}  // namespace

QuantisedMatrix quantise_tcq(cpu::ThreadPool& pool, std::span<const float> weights, int64_t rows,
                             const GptqFactor& factor, const QuantOptions& options) {
  const int64_t cols = static_cast<int64_t>(factor.order.size()), width = std::min<int64_t>(options.block, cols);
  CHECK(options.block >= 1 && options.block <= kLargestBlock);
  QuantisedMatrix result = empty_result(weights, rows, cols, options);
  std::vector<float> ordered = ordered_columns(weights, rows, factor);
  ColumnSearch search(result.scales);
  Block block(pool, factor, rows, width);
  for (int64_t begin = 0; begin < cols; begin += width) {
    block.run(search, options, ordered.data(), begin, std::min(begin + width, cols), &result);
  }
  return result;
}

QuantisedMatrix quantise_tcq(cpu::ThreadPool& pool, std::span<const float> weights, int64_t rows, int64_t cols,
                             const QuantOptions& options) {
  QuantisedMatrix result = empty_result(weights, rows, cols, options);
  std::vector<float> errors(weights.size());
  pool.parallel_for(cols, 1, [&](int64_t first, int64_t last) {
    ColumnSearch search(result.scales);
    std::vector<float> targets(rows), values(rows);
    std::vector<int8_t> codes(rows);
    for (int64_t j = first; j < last; ++j) {
      for (int64_t r = 0; r < rows; ++r) targets[r] = weights[r * cols + j];
      search.run(targets.data(), column_step(options, j), codes.data(), values.data());
      for (int64_t r = 0; r < rows; ++r) {
        result.codes[r * cols + j] = codes[r];
        errors[r * cols + j] = targets[r] - values[r];
      }
    }
  });
  for (int64_t i = 0; i < rows * cols; ++i) result.row_errors[i / cols] += double{errors[i]} * errors[i];
  return result;
}

}  // namespace sixteen
