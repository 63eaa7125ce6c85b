// What the codes of a quantised matrix would need under a model of them that costs nothing: the yardsticks of `inspect`.
//
// Bites: all are of the codes that they are fitted to (maximum likelihood), their parameters not counted. A coder that has to
// learn them pays some bytes more; it can also be below an estimate that does not know what it knows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sixteen {

struct CodeEstimate {
  double order0 = 0;      // one distribution of the codes, any
  double columns = 0;     // a rounded bell curve in each column, of the column's mean square
  double covariance = 0;  // rows are draws from one bell curve of all columns; 0 where the matrix is too flat to tell
  double best_conditional() const;  // the smaller of the last two
  const char* best_name() const;    // "columns" or "covariance"
};

// Bytes that an ideal coder with one distribution, any, would need for these bytes.
double order0_bytes(std::span<const std::byte> bytes);

// The same for codes [rows, cols] row-major; under a trellis (formats/trellis.h) with one distribution for each of its halves.
double order0_bytes(std::span<const int8_t> codes, int64_t cols, bool trellis);

// In bytes. The covariance is tried where columns_correlate() (formats/column_predictor.h).
CodeEstimate estimate_codes(std::span<const int8_t> codes, int64_t cols, bool trellis = false);

}  // namespace sixteen
