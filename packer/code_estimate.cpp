// See code_estimate.h.
#include "packer/code_estimate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "formats/column_predictor.h"

namespace sixteen {
namespace {

constexpr double kLeastSquare = 1e-3;  // of a bell curve: a column of zeros is certain, not impossible
constexpr double kLeastShare = 1e-12;
constexpr double kRounding = 1.0 / 12;  // what rounding adds to a mean square

using Counts = std::array<double, 256>;

double bell_bytes(const Counts& counts) {  // by code + 128
  double total = 0, squares = 0, bits = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double code = static_cast<double>(i) - 128;
    total += counts[i];
    squares += counts[i] * code * code;
  }
  const double unit = std::sqrt(2 * std::max(squares / total - kRounding, kLeastSquare));
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    const double code = std::abs(static_cast<double>(i) - 128);
    const double share = 0.5 * (std::erfc((code - 0.5) / unit) - std::erfc((code + 0.5) / unit));
    bits -= counts[i] * std::log2(std::max(share, kLeastShare));
  }
  return bits / 8;
}

// rows / 2 * log2 det(2 pi e covariance), by Cholesky; 0 when it is not positive definite.
double covariance_bytes(std::span<const int8_t> codes, size_t cols) {
  const size_t rows = codes.size() / cols;
  std::vector<double> a(cols * cols);
  for (size_t r = 0; r < rows; ++r) {
    const int8_t* row = codes.data() + r * cols;
    for (size_t i = 0; i < cols; ++i) {
      for (size_t j = 0; j <= i; ++j) a[i * cols + j] += double{1} * row[i] * row[j];
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
  for (const std::byte b : bytes) ++counts[static_cast<uint8_t>(b)];
  double bits = 0;
  for (const double n : counts) bits -= n > 0 ? n * std::log2(n / static_cast<double>(bytes.size())) : 0;
  return bits / 8;
}

CodeEstimate estimate_codes(std::span<const int8_t> codes, int64_t cols) {
  const size_t width = static_cast<size_t>(cols);
  std::vector<Counts> by_column(width);
  for (size_t i = 0; i < codes.size(); ++i) {
    const size_t value = static_cast<size_t>(codes[i] + 128);
    ++by_column[i % width][value];
  }
  CodeEstimate estimate;
  estimate.order0 = order0_bytes(std::as_bytes(codes));
  for (const Counts& counts : by_column) estimate.columns += bell_bytes(counts);
  if (columns_correlate(codes, cols)) estimate.covariance = covariance_bytes(codes, width);
  return estimate;
}

}  // namespace sixteen
