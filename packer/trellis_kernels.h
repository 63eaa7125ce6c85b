// The inner loops of trellis-coded quantisation (formats/trellis.h), compiled once an instruction set (isa.h): what each row's four
// choices of code would cost, and Viterbi's search forward over the rows. packer/tcq.h owns the memory and walks back.
//
// Bites: sums of costs are fp32, one addition a row on every path in row order, and equal on every instruction set; ties go to even
// codes.
#pragma once

#include <cstdint>

#include "formats/trellis.h"
#include "graph/cpu/isa.h"

namespace sixteen::cpu {

constexpr int kTrellisWords = kTrellisStates / 32;  // of decisions, a row

struct TrellisKernels {
  // For choice 2 h + p (h: the quantiser, p: the code's parity) the code within +-limit nearest to targets[r] / scales[r] + h / 2, at
  // codes[choice * rows + r], and weights[r] times its squared error in steps, at costs[r * 4 + choice]. limit: odd, at most 127.
  void (*choices)(const float* targets, const float* scales, const float* weights, int64_t rows, float limit,
                  int8_t* codes, float* costs);
  // decisions: [rows, kTrellisWords]; bit s / 16 of word s % 16 of a row tells the parity by which the cheapest path comes to state s
  // below that row. sums: [kTrellisStates] of the cheapest paths' costs at the end, up to a common number.
  void (*search)(const float* costs, int64_t rows, uint32_t* decisions, float* sums);
};

SIXTEEN_ISA_TABLE(TrellisKernels, trellis_kernels)

inline int trellis_decision(const uint32_t* row, uint16_t state) { return row[state % 16] >> (state / 16) & 1; }

}  // namespace sixteen::cpu
