// LQER (#1797): what quantising did to the worst matrices, E = W - W_q, is partly given back as a product of two thin matrices.
//
// The matrices with the largest ||E||_F are chosen; A and B are the first singular vectors of E, A times the singular values, found by
// power iteration in fp64 and stored as codes with a scale a vector (the record: int2 with one scale, int4 with one each 64).
// Differs from the record: one number of bits for both factors, one scale a vector.
// Bites: GPTQ's errors are nearly white, so that few vectors hold little of them: docs/BENCHMARKS.md. row_errors do not know of it.
#pragma once

#include <cstdint>

#include "formats/artifact.h"
#include "graph/cpu/threads.h"
#include "model/checkpoint.h"

namespace sixteen {

struct LowRankConfig {
  int64_t top = 0;   // matrices that are corrected; 0: none
  int64_t rank = 4;  // vectors each, at most kMostRank
  int bits = 4;      // of the factors' codes
};

// Appends X+a and X+b (model/corrections.h) for the chosen matrices of codes. The same bits for any number of threads.
void add_low_rank(cpu::ThreadPool& pool, const Model& model, const LowRankConfig& config, Artifact* artifact);

}  // namespace sixteen
