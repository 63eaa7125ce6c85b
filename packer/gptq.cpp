// See gptq.h; the factorisation is gptq_factor.cpp.
#include "packer/gptq.h"

#include "graph/cpu/gemm.h"
#include "model/corrections.h"

namespace sixteen {
namespace {

constexpr double kScaleFloor = 1e-10;  // of the records; it underflows in fp16, where f16_scale() has the last word

// Quantises columns [begin, end) of one row of the ordered matrix. row is updated up to `end`; codes and the negated
// errors (in units of the factor's diagonal) are left in `codes` and `errors`, from index 0. Returns the sum of their squares.
double quantise_block(const GptqFactor& factor, std::span<const ColumnStep> steps, int64_t begin, int64_t end, float scale, float* row,
                      float* codes, float* errors) {
  const int64_t cols = static_cast<int64_t>(factor.order.size());
  double squares = 0;
  for (int64_t j = begin; j < end; ++j) {
    const float* upper = factor.upper.data() + j * cols;
    const ColumnStep& step = steps[j];
    const float code = nearest_code(row[j], scale * step.factor, step.limit);
    const float error = -(row[j] - code * scale * step.factor) / upper[j];
    for (int64_t l = j; l < end; ++l) row[l] += error * upper[l];
    codes[j - begin] = code;
    errors[j - begin] = error;
    squares += double{error} * error;
  }
  return squares;
}

}  // namespace

uint16_t row_scale(std::span<const float> row, const QuantOptions& options) {
  const float limit = code_limit(options.bits);
  const double count = static_cast<double>(row.size());
  double mean = 0, squares = 0;
  for (const float w : row) mean += w;
  mean /= count;
  for (const float w : row) squares += (w - mean) * (w - mean);
  const double sigma = row.size() > 1 ? std::sqrt(squares / (count - 1)) : 0;
  const uint16_t scale = f16_scale(static_cast<float>(std::max(options.clip_sigmas * sigma / limit, kScaleFloor)));
  return coarse_scale(scale, options.scale_bits);
}

ColumnStep column_step(const QuantOptions& options, int64_t column) {
  const float limit = code_limit(options.bits);
  if (options.steps.empty() || options.steps[column] == 0) return {1, limit};
  const float factor = step_factor(options.steps[column]);
  return {factor, column_limit(limit, factor)};
}

std::vector<float> ordered_columns(std::span<const float> weights, int64_t rows, const GptqFactor& factor) {
  const int64_t cols = static_cast<int64_t>(factor.order.size());
  std::vector<float> ordered(weights.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < cols; ++j) {
      const int64_t column = factor.order[j];
      ordered[r * cols + j] = factor.dead[column] ? 0.0f : weights[r * cols + column];
    }
  }
  return ordered;
}

QuantisedMatrix quantise_gptq(cpu::ThreadPool& pool, std::span<const float> weights, int64_t rows,
                              const GptqFactor& factor, const QuantOptions& options) {
  const int64_t cols = static_cast<int64_t>(factor.order.size());
  CHECK(static_cast<int64_t>(weights.size()) == rows * cols);
  std::vector<ColumnStep> steps;
  for (const int32_t column : factor.order) steps.push_back(column_step(options, column));
  QuantisedMatrix result;
  result.steps = options.steps;
  result.codes.resize(rows * cols);
  result.scales.resize(rows);
  result.row_errors.resize(rows);
  const int64_t block = options.block;
  CHECK(block >= 1 && block <= kLargestBlock);
  std::vector<float> ordered = ordered_columns(weights, rows, factor), errors(rows * block);
  for (int64_t begin = 0; begin < cols; begin += block) {
    const int64_t end = std::min(begin + block, cols), width = end - begin;
    pool.parallel_for(rows, 4, [&](int64_t first, int64_t last) {
      float codes[kLargestBlock];
      for (int64_t r = first; r < last; ++r) {
        if (begin == 0) result.scales[r] = row_scale(weights.subspan(r * cols, cols), options);
        result.row_errors[r] += quantise_block(factor, steps, begin, end, f16_to_float(result.scales[r]),
                                               &ordered[r * cols], codes, &errors[r * width]);
        for (int64_t j = begin; j < end; ++j) {
          result.codes[r * cols + factor.order[j]] = static_cast<int8_t>(codes[j - begin]);
        }
      }
    });
    if (end < cols) {  // the columns to come make up for these errors
      cpu::gemm(pool, false, false, rows, cols - end, width, errors.data(), width,
                factor.upper.data() + begin * cols + end, cols, ordered.data() + end, cols, true);
    }
  }
  return result;
}

QuantisedMatrix quantise_nearest(std::span<const float> weights, int64_t rows, int64_t cols,
                                 const QuantOptions& options) {
  CHECK(static_cast<int64_t>(weights.size()) == rows * cols);
  const float limit = code_limit(options.bits);
  QuantisedMatrix result;
  result.codes.reserve(weights.size());
  for (int64_t r = 0; r < rows; ++r) {
    const std::span<const float> row = weights.subspan(r * cols, cols);
    result.scales.push_back(row_scale(row, options));
    const float scale = f16_to_float(result.scales.back());
    double squares = 0;
    for (const float w : row) {
      const float code = nearest_code(w, scale, limit), error = w - code * scale;
      result.codes.push_back(static_cast<int8_t>(code));
      squares += double{error} * error;
    }
    result.row_errors.push_back(squares);
  }
  return result;
}

}  // namespace sixteen
