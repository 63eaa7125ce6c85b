// What codes of a given mean square look like before anything is learned: the discrete Gaussian, as bits of the binary
// decisions that a code is made of. docs/FORMATS.md 6.2.
//
// A code's magnitude m is decided in three steps, for a number of low bits `low` that follows from the expected size:
//   run      m >> low in unary: one decision "more?" a step, the limit of the codes ending it without a decision
//   low bits the two highest of the low bits, one decision each; further ones are coded as they are
//   sign     as it is, unless m is 0
//
// Bites: integers alone; every constant is part of the format.
#pragma once

#include <array>
#include <cstdint>

namespace sixteen {

constexpr int kSquareClasses = 160;  // of mean squares, 8 an octave
constexpr int kRunNodes = 12;        // decisions of the run: its last stands for all longer runs
constexpr int kLowRuns = 8;          // runs with low-bit decisions of their own, likewise
constexpr int kNodes = kRunNodes + 3 * kLowRuns;
constexpr int kMostLowBits = 5;

// square: of codes, in 1/256. Monotone; below 8/256 there is one class.
int square_class(uint32_t square);

// Which decision: for a run, the highest low bit, and the second-highest after a first of `bit`.
inline int run_node(int run) { return run < kRunNodes ? run : kRunNodes - 1; }
inline int first_low_node(int run) { return kRunNodes + (run < kLowRuns ? run : kLowRuns - 1); }
inline int second_low_node(int run, int bit) {
  return kRunNodes + kLowRuns + 2 * (run < kLowRuns ? run : kLowRuns - 1) + bit;
}

struct CodePriors {
  std::array<std::array<uint16_t, kNodes>, kSquareClasses> one;   // probability of each decision being 1, of 65536
  std::array<std::array<int16_t, kNodes>, kSquareClasses> logit;  // the same as log-odds (bit_model.h)
  std::array<uint8_t, kSquareClasses> low_bits;
};

// Of codes at 0, +-1, +-2, ..., and of those at +-1/2, +-3/2, ..., whose magnitudes count from 0 too; the bell curve is the same.
const std::array<CodePriors, 2>& code_priors();

}  // namespace sixteen
