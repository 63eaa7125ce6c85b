// What a row's codes say about the next one in the same row: linear prediction of each column from the columns before it, learned
// from the rows before. Rows of a token table are draws from one bell curve of many correlated dimensions; the prediction makes them
// uncorrelated. With L D L^T the columns' covariance, a column's prediction is the sum of L[j][k] times the errors of the predictions
// before it. docs/FORMATS.md 6.2.
//
// Bites: fixed point, integers alone; every constant is part of the format. The covariance of n rows is shrunk towards its diagonal
// as if 1,024 more rows had no correlation, which keeps it positive definite. Solving costs cols^3 / 3 multiplications; it is done
// first after 128 rows, then each time a quarter more are known.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sixteen {

constexpr int kMeanBits = 4;  // predictions and their errors are in 1/16
constexpr int64_t kMostPredictedCols = 1024;

class ColumnPredictor {
 public:
  // limit: of the codes' magnitudes. halves: add() may say that a code stands for half a step less.
  ColumnPredictor(size_t cols, int limit, bool halves);

  // Whether there is a prediction yet; expected_square(j) is the mean square of its error, in 1/256.
  bool active() const { return active_; }
  uint32_t expected_square(size_t j) const { return squares_[j]; }

  // Of column j, in 1/16, from the codes that add() has been given for the columns before it.
  int predict(size_t j) const;
  void add(size_t j, int code, int half, int prediction);
  // After a row's last column.
  void end_row();

 private:
  void sum_up();
  void solve();
  int64_t sum(size_t i, size_t j) const { return sums_[i * (i + 1) / 2 + j]; }

  const size_t cols_, stride_;
  const int limit_, half_bits_;  // sums are in units of 4^-half_bits
  bool active_ = false;
  uint64_t rows_ = 0, next_solve_;
  size_t waiting_ = 0;                  // rows in waiting_codes_
  std::vector<int16_t> waiting_codes_;  // [cols, kBlockRows]
  std::vector<int64_t> sums_;           // of products of columns i >= j, at i (i + 1) / 2 + j
  std::vector<int32_t> factor_;         // L below the diagonal, [cols, cols] in 2^-20
  std::vector<int16_t> weights_;        // the same in 2^-11, [cols, stride]
  std::vector<int16_t> errors_;         // of this row, [stride]
  std::vector<uint32_t> squares_;
};

// Whether prediction is worth trying, judged by the correlation of up to 64 of the columns. For encoders.
bool columns_correlate(std::span<const int8_t> codes, int64_t cols);

}  // namespace sixteen
