// See clip_search.h.
#include "packer/clip_search.h"

#include <limits>

namespace sixteen {
namespace {

constexpr int64_t kRowGrain = 4;

// fp32, as the records multiply it.
float rank_of(double q, size_t count) { return static_cast<float>(q) * static_cast<float>(count - 1); }

// A row's clips: the quantiles of its magnitudes at options.percentiles. `magnitudes` is scratch.
void row_clips(std::span<const float> row, const ClipOptions& options, std::vector<float>* magnitudes, float* clips) {
  magnitudes->resize(row.size());
  std::transform(row.begin(), row.end(), magnitudes->begin(), [](float w) { return std::abs(w); });
  const double least = *std::min_element(options.percentiles.begin(), options.percentiles.end());
  const auto tail = magnitudes->begin() + static_cast<int64_t>(rank_of(least, row.size()));
  std::nth_element(magnitudes->begin(), tail, magnitudes->end());
  std::sort(tail, magnitudes->end());  // the quantiles look at nothing below
  for (size_t k = 0; k < options.percentiles.size(); ++k) clips[k] = quantile(*magnitudes, options.percentiles[k]);
}

float scale_of(float clip, float limit, double min_clip) {
  const float scale = std::max(clip / limit, static_cast<float>(min_clip / limit));
  return std::clamp(scale, f16_to_float(kSmallestF16), f16_to_float(kLargestF16));
}

// The row's codes, of weights clipped to +-clip, and the sum of squared errors.
double quantise_row(std::span<const float> row, float clip, float scale, float limit, int8_t* codes) {
  double sum = 0;
  for (size_t j = 0; j < row.size(); ++j) {
    const float code = nearest_code(std::clamp(row[j], -clip, clip), scale, limit);
    const float error = row[j] - code * scale;
    sum += double{error} * error;
    codes[j] = static_cast<int8_t>(code);
  }
  return sum;
}

void check_sizes(std::span<const float> weights, int64_t rows, int64_t cols, const ClipOptions& options) {
  CHECK(rows > 0 && cols > 0 && static_cast<int64_t>(weights.size()) == rows * cols);
  CHECK(!options.percentiles.empty() && options.min_clip >= 0);
  for (const double q : options.percentiles) CHECK(q > 0 && q <= 1);
}

}  // namespace

float quantile(std::span<const float> sorted, double q) {
  CHECK(!sorted.empty() && q >= 0 && q <= 1);
  const float rank = rank_of(q, sorted.size());
  const size_t below = static_cast<size_t>(rank), above = static_cast<size_t>(std::ceil(rank));
  const float weight = rank - static_cast<float>(below), lower = sorted[below], upper = sorted[above];
  // Fused, as PyTorch's vector code is; unfused, 3 of the 230 golden clips are off in their last bit.
  return weight < 0.5f ? std::fma(weight, upper - lower, lower) : std::fma(weight - 1.0f, upper - lower, upper);
}

QuantisedMatrix quantise_clip_matrix(cpu::ThreadPool& pool, std::span<const float> weights, int64_t rows, int64_t cols,
                                     const ClipOptions& options) {
  check_sizes(weights, rows, cols, options);
  constexpr float kUnclipped = std::numeric_limits<float>::infinity();
  const float limit = code_limit(options.bits);
  const int64_t candidates = static_cast<int64_t>(options.percentiles.size());
  std::vector<uint16_t> scales(rows * candidates);
  std::vector<double> errors(rows * candidates);
  pool.parallel_for(rows, kRowGrain, [&](int64_t first, int64_t last) {
    std::vector<float> magnitudes, clips(candidates);
    std::vector<int8_t> codes(cols);
    for (int64_t r = first; r < last; ++r) {
      const std::span<const float> row = weights.subspan(r * cols, cols);
      row_clips(row, options, &magnitudes, clips.data());
      for (int64_t k = 0; k < candidates; ++k) {
        uint16_t& scale = scales[r * candidates + k];
        scale = f16_scale(scale_of(clips[k], limit, options.min_clip));
        errors[r * candidates + k] = quantise_row(row, kUnclipped, f16_to_float(scale), limit, codes.data());
      }
    }
  });
  std::vector<double> sums(candidates);
  for (size_t i = 0; i < errors.size(); ++i) sums[i % candidates] += errors[i];
  const int64_t best = std::min_element(sums.begin(), sums.end()) - sums.begin();  // the first of equals
  QuantisedMatrix result{.codes = std::vector<int8_t>(weights.size()), .scales = std::vector<uint16_t>(rows)};
  pool.parallel_for(rows, kRowGrain, [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      result.scales[r] = scales[r * candidates + best];
      quantise_row(weights.subspan(r * cols, cols), kUnclipped, f16_to_float(result.scales[r]), limit,
                   &result.codes[r * cols]);
    }
  });
  return result;
}

QuantisedMatrix quantise_clip_row(cpu::ThreadPool& pool, std::span<const float> weights, int64_t rows, int64_t cols,
                                  const ClipOptions& options) {
  check_sizes(weights, rows, cols, options);
  const float limit = code_limit(options.bits);
  QuantisedMatrix result{.codes = std::vector<int8_t>(weights.size()), .scales = std::vector<uint16_t>(rows)};
  pool.parallel_for(rows, kRowGrain, [&](int64_t first, int64_t last) {
    std::vector<float> magnitudes, clips(options.percentiles.size());
    std::vector<int8_t> codes(cols);
    for (int64_t r = first; r < last; ++r) {
      const std::span<const float> row = weights.subspan(r * cols, cols);
      row_clips(row, options, &magnitudes, clips.data());
      double least = std::numeric_limits<double>::infinity();
      for (const float clip : clips) {
        const float scale = scale_of(clip, limit, options.min_clip);
        const double error = quantise_row(row, clip, scale, limit, codes.data());
        if (error >= least) continue;
        least = error;
        result.scales[r] = f16_scale(scale);
        std::copy(codes.begin(), codes.end(), result.codes.begin() + r * cols);
      }
    }
  });
  return result;
}

}  // namespace sixteen
