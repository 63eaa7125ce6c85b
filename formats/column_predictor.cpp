// See column_predictor.h.
#include "formats/column_predictor.h"

#include <algorithm>
#include <bit>

namespace sixteen {
namespace {

constexpr size_t kBlockRows = 64, kChunk = 16;
constexpr uint64_t kFirstSolve = 128, kLeastRowsBetween = 64;
constexpr int64_t kUncorrelatedRows = 1024;  // added to the rows that are known
constexpr int64_t kMeanRows = 16;            // of the mean of all columns, added to each column's own square
constexpr int kTop = 30;                     // the largest variance has so many bits
constexpr int64_t kRidge = int64_t{1} << 20, kLeastPivot = int64_t{1} << 18;
constexpr int kFactorBits = 20, kWeightBits = 11;
constexpr int64_t kMostFactor = int64_t{1} << 26, kMostEntry = int64_t{1} << kTop;

size_t padded(size_t cols) { return (cols + kChunk - 1) / kChunk * kChunk; }

int64_t shifted(int64_t value, int left) { return left >= 0 ? value * (int64_t{1} << left) : value >> -left; }

}  // namespace

ColumnPredictor::ColumnPredictor(size_t cols, int limit, bool halves)
    : cols_(cols),
      stride_(padded(cols)),
      limit_(limit),
      half_bits_(halves ? 1 : 0),
      next_solve_(kFirstSolve),
      waiting_codes_(cols * kBlockRows),
      sums_(cols * (cols + 1) / 2),
      factor_(cols * cols),
      weights_(cols * stride_),
      errors_(stride_),
      squares_(cols) {}

int ColumnPredictor::predict(size_t j) const {
  if (!active_) return 0;
  const int16_t* weights = weights_.data() + j * stride_;
  int64_t sum = 0;
  for (size_t begin = 0; begin < j; begin += kChunk) {  // weights from j on are 0
    int32_t part = 0;
    for (size_t k = begin; k < begin + kChunk; ++k) part += int32_t{weights[k]} * errors_[k];
    sum += part;
  }
  const int64_t limit = int64_t{limit_} << kMeanBits;
  return static_cast<int>(std::clamp((sum + (1 << (kWeightBits - 1))) >> kWeightBits, -limit, limit));
}

void ColumnPredictor::add(size_t j, int code, int half, int prediction) {
  errors_[j] = static_cast<int16_t>(code * (1 << kMeanBits) - half * (1 << (kMeanBits - 1)) - prediction);
  waiting_codes_[j * kBlockRows + waiting_] = static_cast<int16_t>((code << half_bits_) - half);
}

void ColumnPredictor::end_row() {
  ++rows_;
  if (++waiting_ == kBlockRows || rows_ == next_solve_) sum_up();
  if (rows_ != next_solve_) return;
  solve();
  next_solve_ += std::max(kLeastRowsBetween, next_solve_ / 4);
}

void ColumnPredictor::sum_up() {
  for (size_t i = 0; i < cols_; ++i) {
    const int16_t* a = waiting_codes_.data() + i * kBlockRows;
    for (size_t j = 0; j <= i; ++j) {
      const int16_t* b = waiting_codes_.data() + j * kBlockRows;
      int32_t sum = 0;
      for (size_t k = 0; k < kBlockRows; ++k) sum += int32_t{a[k]} * b[k];
      sums_[i * (i + 1) / 2 + j] += sum;
    }
  }
  std::fill(waiting_codes_.begin(), waiting_codes_.end(), int16_t{0});
  waiting_ = 0;
}

// L D L^T row by row: u_j = L_ij D_j of row i, all in units of 2^-shift of a sum of squares.
void ColumnPredictor::solve() {
  const int64_t rows = static_cast<int64_t>(rows_), cols = static_cast<int64_t>(cols_);
  int64_t mean = 0, largest = 0;
  for (size_t i = 0; i < cols_; ++i) mean += sum(i, i);
  mean /= rows * cols;
  std::vector<int64_t> pivots(cols_), entries(cols_);
  for (size_t i = 0; i < cols_; ++i) {
    pivots[i] = sum(i, i) + kUncorrelatedRows * (sum(i, i) + kMeanRows * mean) / (rows + kMeanRows);
    largest = std::max(largest, pivots[i]);
  }
  active_ = largest > 0;
  if (!active_) return;
  const int left = kTop - std::bit_width(static_cast<uint64_t>(largest));
  for (size_t i = 0; i < cols_; ++i) {
    int32_t* row = factor_.data() + i * cols_;
    int64_t pivot = shifted(pivots[i], left) + kRidge;
    for (size_t j = 0; j < i; ++j) {
      const int32_t* other = factor_.data() + j * cols_;
      int64_t part = 0;
      for (size_t k = 0; k < j; ++k) part += entries[k] * other[k];
      const int64_t entry = shifted(sum(i, j), left) - (part >> kFactorBits);
      entries[j] = std::clamp(entry, -kMostEntry, kMostEntry);
      row[j] = static_cast<int32_t>(
          std::clamp(entries[j] * (int64_t{1} << kFactorBits) / pivots[j], -kMostFactor, kMostFactor));
      pivot -= entries[j] * row[j] >> kFactorBits;
      const int64_t weight = (int64_t{row[j]} + (1 << (kFactorBits - kWeightBits - 1))) >> (kFactorBits - kWeightBits);
      weights_[i * stride_ + j] = static_cast<int16_t>(std::clamp<int64_t>(weight, INT16_MIN, INT16_MAX));
    }
    pivots[i] = std::max(pivot, kLeastPivot);
    squares_[i] = static_cast<uint32_t>(shifted(pivots[i], 8 - 2 * half_bits_ - left) / (rows + kUncorrelatedRows));
  }
}

// uncounted: begin
bool columns_correlate(std::span<const int8_t> codes, int64_t cols) {
  const int64_t rows = static_cast<int64_t>(codes.size()) / cols;
  if (cols < 2 || cols > kMostPredictedCols || rows < 2 * cols || rows < 2 * static_cast<int64_t>(kFirstSolve))
    return false;
  const int64_t sampled = std::min<int64_t>(cols, 64);
  std::vector<double> sums(static_cast<size_t>(sampled * sampled));
  std::vector<double> row(static_cast<size_t>(sampled));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < sampled; ++i)
      row[static_cast<size_t>(i)] = codes[static_cast<size_t>(r * cols + i * cols / sampled)];
    for (int64_t i = 0; i < sampled; ++i) {
      for (int64_t j = 0; j <= i; ++j)
        sums[static_cast<size_t>(i * sampled + j)] += row[static_cast<size_t>(i)] * row[static_cast<size_t>(j)];
    }
  }
  double squares = 0;
  for (int64_t i = 0; i < sampled; ++i) {
    for (int64_t j = 0; j < i; ++j) {
      const double product = sums[static_cast<size_t>(i * sampled + j)];
      const double both = sums[static_cast<size_t>(i * sampled + i)] * sums[static_cast<size_t>(j * sampled + j)];
      squares += both > 0 ? product * product / both : 0;
    }
  }
  // Columns without correlation have 1 / rows each; three times that pays for the estimate of every pair.
  const double pairs = 0.5 * static_cast<double>(sampled * (sampled - 1));
  return squares / pairs > 3.0 / static_cast<double>(rows);
}
// uncounted: end

}  // namespace sixteen
