// Trellis-coded quantisation within GPTQ: formats/trellis.h says which values a code can stand for, Viterbi's search chooses codes.
//
// The targets of a GPTQ column, one a row, do not depend on each other, so the trellis runs down the rows of each column: the search
// minimises the column's sum of squared errors, in real units, over all sequences of codes at once, and the columns to come make up for
// its errors as in GPTQ. Scales are gptq.h's; at equal scales the file is as long as GPTQ's and the error 1.36 dB (27 %) less; at
// equal error it saves 0.22 bits a weight. Sources: formats/trellis.h; with a GPTQ inside not published that we know of.
//
// Bites: takes some ten times GPTQ's time (36 M weights: 4 s of one core). A sample of rows is a shorter trellis, not a part of the
// whole one. One column is searched by one thread; let tensors share the threads.
#pragma once

#include "packer/gptq.h"

namespace sixteen {

// weights: [rows, cols], finite; cols = factor.order.size(). row_errors as quantise_gptq's.
QuantisedMatrix quantise_tcq(cpu::ThreadPool& pool, std::span<const float> weights, int64_t rows,
                             const GptqFactor& factor, const QuantOptions& options);

// Without a Hessian: every column by itself. row_errors are plain sums of squares.
QuantisedMatrix quantise_tcq(cpu::ThreadPool& pool, std::span<const float> weights, int64_t rows, int64_t cols,
                             const QuantOptions& options);

}  // namespace sixteen
