// The quantisers of #726 and #754: a row's clip is a quantile of its magnitudes, and the best of some percentiles is kept.
//
// "GPTQ-lite" in the records, which use no Hessian: spec_726_754 6.2 to 6.4. Per matrix (#726's int6): one percentile for
// all rows, by the sum of squared errors, weights not clipped first, the scale rounded to fp16 before it is used. Per row
// (#754's int6; #726's int8 with the one percentile 0.9999984): weights clipped first, the scale in fp32 until it is stored.
//
// Bites: with min_clip 1, the records' value, rows whose weights all lie within +-1 share the step 1 / limit, however small
// they are. Ties go to the earlier percentile. Errors are summed in fp64 (the records: fp32), by row, so that neither the
// number of threads nor the order of a reduction decides.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "graph/cpu/threads.h"
#include "packer/quantised_matrix.h"

namespace sixteen {

struct ClipOptions {
  int bits = 6;                                                           // 2..8
  std::vector<double> percentiles = {0.999, 0.9995, 0.9999, 0.99999, 1};  // candidates, each in (0, 1]
  double min_clip = 1;  // smaller clips count as this one, in units of the weights; 0: no floor
};

// The quantile of ascending values as PyTorch interpolates it, every step in fp32. q in [0, 1]; not empty.
float quantile(std::span<const float> sorted, double q);

// weights: [rows, cols], finite.
QuantisedMatrix quantise_clip_matrix(cpu::ThreadPool& pool, std::span<const float> weights, int64_t rows, int64_t cols,
                                     const ClipOptions& options);
QuantisedMatrix quantise_clip_row(cpu::ThreadPool& pool, std::span<const float> weights, int64_t rows, int64_t cols,
                                  const ClipOptions& options);

}  // namespace sixteen
