// See code_estimate.h.
#include "packer/code_estimate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "formats/column_predictor.h"
#include "formats/trellis.h"

namespace sixteen {
namespace {

constexpr double kLeastSquare = 1e-3;  // of a bell curve: a column of zeros is certain, not impossible
constexpr double kLeastShare = 1e-12;
constexpr double kRounding = 1.0 / 12;  // what rounding adds to a mean square

using Counts = std::array<double, 512>;  // by what a code stands for, in half steps, + 256

size_t place(int code, int half) { return static_cast<size_t>(2 * code - half + 256); }
double value_at(size_t place) { return (static_cast<double>(place) - 256) / 2; }

// visit(element, half) for all codes in order.
template <class Visit>
void each_code(std::span<const int8_t> codes, size_t cols, bool trellis, Visit visit) {
  std::vector<uint16_t> states(cols);
  for (size_t i = 0; i < codes.size(); ++i) {
    uint16_t& state = states[i % cols];
    visit(i, trellis ? trellis_half(state) : 0);
    if (trellis) state = next_trellis_state(state, codes[i]);
  }
}

double bell_bytes(const Counts& counts) {
  double total = 0, squares = 0, bits = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    total += counts[i];
    squares += counts[i] * value_at(i) * value_at(i);
  }
  const double unit = std::sqrt(2 * std::max(squares / total - kRounding, kLeastSquare));
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    const double value = std::abs(value_at(i));
    const double share = 0.5 * (std::erfc((value - 0.5) / unit) - std::erfc((value + 0.5) / unit));
    bits -= counts[i] * std::log2(std::max(share, kLeastShare));
  }
  return bits / 8;
}

// Bytes of values that are told to be whole steps or halves.
double entropy_bytes(const Counts& counts) {
  double totals[2] = {}, bits = 0;
  for (size_t i = 0; i < counts.size(); ++i) totals[i % 2] += counts[i];
  for (size_t i = 0; i < counts.size(); ++i) bits -= counts[i] > 0 ? counts[i] * std::log2(counts[i] / totals[i % 2]) : 0;
  return bits / 8;
}

// rows / 2 * log2 det(2 pi e covariance), by Cholesky; 0 when it is not positive definite.
double covariance_bytes(std::span<const float> values, size_t cols) {
  const size_t rows = values.size() / cols;
  std::vector<double> a(cols * cols);
  for (size_t r = 0; r < rows; ++r) {
    const float* row = values.data() + r * cols;
    for (size_t i = 0; i < cols; ++i) {
      for (size_t j = 0; j <= i; ++j) a[i * cols + j] += double{row[i]} * row[j];
    }
  }
  double bits = 0;
  for (size_t i = 0; i < cols; ++i) {
    for (size_t j = 0; j <= i; ++j) {
      double sum = a[i * cols + j] / static_cast<double>(rows);
      for (size_t k = 0; k < j; ++k) sum -= a[i * cols + k] * a[j * cols + k];
      if (j < i) {
        a[i * cols + j] = sum / a[j * cols + j];
      } else if (sum < kRounding / 2) {
        return 0;
      } else {
        a[i * cols + i] = std::sqrt(sum);
        bits += 0.5 * static_cast<double>(rows) * std::log2(2 * M_PI * M_E * sum);
      }
    }
  }
  return bits / 8;
}

}  // namespace

double CodeEstimate::best_conditional() const { return covariance > 0 ? std::min(columns, covariance) : columns; }
const char* CodeEstimate::best_name() const {
  return covariance > 0 && covariance < columns ? "covariance" : "columns";
}

double order0_bytes(std::span<const std::byte> bytes) {
  Counts counts{};
  for (const std::byte b : bytes) ++counts[2 * static_cast<uint8_t>(b)];
  return entropy_bytes(counts);
}

double order0_bytes(std::span<const int8_t> codes, int64_t cols, bool trellis) {
  Counts counts{};
  each_code(codes, static_cast<size_t>(cols), trellis, [&](size_t i, int half) { ++counts[place(codes[i], half)]; });
  return entropy_bytes(counts);
}

CodeEstimate estimate_codes(std::span<const int8_t> codes, int64_t cols, bool trellis) {
  const size_t width = static_cast<size_t>(cols);
  std::vector<Counts> by_column(width);
  std::vector<float> values;
  values.reserve(codes.size());
  each_code(codes, width, trellis, [&](size_t i, int half) {
    ++by_column[i % width][place(codes[i], half)];
    values.push_back(static_cast<float>(codes[i]) - 0.5f * static_cast<float>(half));
  });
  CodeEstimate estimate;
  estimate.order0 = order0_bytes(codes, cols, trellis);
  for (const Counts& counts : by_column) estimate.columns += bell_bytes(counts);
  if (columns_correlate(codes, cols)) estimate.covariance = covariance_bytes(values, width);
  return estimate;
}

}  // namespace sixteen
