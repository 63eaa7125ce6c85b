// GPTQ with standard-deviation clipping: a matrix and its Hessian become small integer codes and one fp16 scale a row.
//
// Frantar et al. 2023 (GPTQ) with damping, activation order and blocks of columns. A row's scale is SDClip's (PR 1394,
// spec_1584_1555 6.2): fp16(clip_sigmas * std(row) / limit), the unbiased standard deviation, limit = 2^(bits-1) - 1.
// Bites: matrices that read the same input (c_q, c_k, c_v) share one factor: make it once. Bits do not depend on the
// number of threads or the instruction set (the factorisation is ours, in fp64; the updates are gemm.h's fp32).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "graph/cpu/threads.h"
#include "packer/quantised_matrix.h"

namespace sixteen {

struct QuantOptions {
  int bits = 6;                // 2..8; codes lie within +-(2^(bits-1) - 1)
  double clip_sigmas = 12.85;  // half of the clip range, in standard deviations of the row
  int scale_bits = kScaleBits;  // of a scale's mantissa that may be set; fewer cost fewer bytes and a slightly other clip
  int block = 128;             // columns quantised before the rest of the matrix is told; changes rounding alone
  std::vector<int8_t> steps{};  // [cols] of gptq and tcq: what a row's scale is multiplied by, model/corrections.h; empty: all 0
};

constexpr int kLargestBlock = 1024;

// What quantising against one Hessian needs: the order of columns and the upper Cholesky factor of its inverse.
struct GptqFactor {
  std::vector<int32_t> order;  // [cols] original column at each place, by descending damped diagonal
  std::vector<bool> dead;      // [cols] by original column: never saw an input, its weights count as 0
  std::vector<float> upper;    // [cols, cols] U with U^T U = inverse of the damped, ordered Hessian; lower part 0
};

// hessian: [cols, cols], X^T X up to a positive factor. damping: share of the mean diagonal added to the diagonal.
// Throws Error, with `name` in it, when the Hessian is not finite or not positive definite even so.
GptqFactor factorise_hessian(cpu::ThreadPool& pool, const std::string& name, std::span<const float> hessian,
                             int64_t cols, double damping = 0.01);

// weights: [rows, cols], finite; cols = factor.order.size(). The result's row_errors are e H e^T of each row's error e, H as
// damped: by U^T U = H^-1 the sum of the squared corrections, so that they cost nothing. (Dead columns count with damping.)
QuantisedMatrix quantise_gptq(cpu::ThreadPool& pool, std::span<const float> weights, int64_t rows,
                              const GptqFactor& factor, const QuantOptions& options);

// What a column's codes are multiplied by, and how large they may be: of options.bits unless the column has a step of its own.
struct ColumnStep {
  float factor, limit;
};
ColumnStep column_step(const QuantOptions& options, int64_t column);

// Row's scale, fp16.
uint16_t row_scale(std::span<const float> row, const QuantOptions& options);

// [rows, cols] by the factor's order, dead columns 0.
std::vector<float> ordered_columns(std::span<const float> weights, int64_t rows, const GptqFactor& factor);

// The same scales, every weight rounded to the nearest code: for matrices without a Hessian, and to compare with. row_errors
// are plain sums of squares.
QuantisedMatrix quantise_nearest(std::span<const float> weights, int64_t rows, int64_t cols,
                                 const QuantOptions& options);

}  // namespace sixteen
