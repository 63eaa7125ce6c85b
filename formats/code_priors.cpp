// See code_priors.h.
#include "formats/code_priors.h"

#include <algorithm>
#include <bit>

#include "formats/bit_model.h"

namespace sixteen {
namespace {

constexpr int kMagnitudes = 128;
constexpr int kFirstOctave = 3;       // 2^3 / 256
constexpr int kOneLowBitOctave = 10;  // from a mean square of 4 on, then one more each second octave
constexpr uint64_t kUnit = uint64_t{1} << 30;
constexpr uint64_t kTooRare = 1 << 12;  // weights below this say nothing about a decision

// Weights of the magnitudes: base^(m^2), in 2^-30; base in 2^-30. Of halves: base^((m + 1/2)^2), up to a factor.
using Weights = std::array<uint64_t, kMagnitudes>;

Weights weights_of(uint64_t base, bool halves) {
  Weights weights;
  const uint64_t step = base * base >> 30;
  uint64_t value = kUnit, ratio = halves ? step : base;
  for (uint64_t& weight : weights) {
    weight = value;
    value = value * ratio >> 30;
    ratio = ratio * step >> 30;
  }
  return weights;
}

// In 1/65536.
uint64_t mean_square(const Weights& weights) {
  uint64_t total = weights[0], squares = 0;
  for (uint64_t m = 1; m < kMagnitudes; ++m) {
    total += 2 * weights[m];
    squares += 2 * m * m * weights[m];
  }
  return (squares << 8) / (total >> 8);
}

// The middle of a class, in 1/65536.
uint64_t class_square(int index) {
  const int octave = index / 8 + kFirstOctave;
  return ((uint64_t{2} * (8 + static_cast<uint64_t>(index % 8)) + 1) << (octave + 7)) >> 3;
}

// Of the discrete Gaussian of whole codes whose mean square is the class's: bit by bit from the highest.
uint64_t class_base(int index) {
  uint64_t base = 0;
  for (uint64_t bit = kUnit / 2; bit > 0; bit >>= 1) {
    if (mean_square(weights_of(base + bit, false)) <= class_square(index)) base += bit;
  }
  return base;
}

uint64_t sum(const Weights& weights, int begin, int end) {
  uint64_t total = 0;
  for (int m = begin; m < std::min(end, kMagnitudes); ++m) total += weights[static_cast<size_t>(m)];
  return total;
}

uint16_t share(uint64_t part, uint64_t all) {
  if (all < kTooRare) return 32768;
  return static_cast<uint16_t>(std::clamp<uint64_t>(part * 65536 / all, 512, 65024));
}

CodePriors make_priors(bool halves) {
  CodePriors priors{};
  for (int index = 0; index < kSquareClasses; ++index) {
    Weights weights = weights_of(class_base(index), halves);
    for (size_t m = halves ? 0 : 1; m < kMagnitudes; ++m) weights[m] *= 2;  // both signs
    const int octave = index / 8 + kFirstOctave;
    const int low = std::clamp((octave - kOneLowBitOctave + 2) / 2, 0, kMostLowBits);
    const int width = 1 << low;
    auto& one = priors.one[static_cast<size_t>(index)];
    one.fill(32768);
    priors.low_bits[static_cast<size_t>(index)] = static_cast<uint8_t>(low);
    for (int run = 0; run < kRunNodes; ++run) {
      one[static_cast<size_t>(run_node(run))] =
          share(sum(weights, (run + 1) * width, kMagnitudes), sum(weights, run * width, kMagnitudes));
    }
    for (int run = 0; run < kLowRuns && low > 0; ++run) {
      const int begin = run * width, half = width / 2;
      one[static_cast<size_t>(first_low_node(run))] =
          share(sum(weights, begin + half, begin + width), sum(weights, begin, begin + width));
      for (int bit = 0; bit < 2 && low > 1; ++bit) {
        const int from = begin + bit * half;
        one[static_cast<size_t>(second_low_node(run, bit))] =
            share(sum(weights, from + half / 2, from + half), sum(weights, from, from + half));
      }
    }
  }
  for (size_t index = 0; index < kSquareClasses; ++index) {
    for (size_t node = 0; node < kNodes; ++node) {
      priors.logit[index][node] = logit_tables().stretch[priors.one[index][node] >> 4];
    }
  }
  return priors;
}

}  // namespace

int square_class(uint32_t square) {
  if (square < (1u << kFirstOctave)) return 0;
  const int octave = std::bit_width(square) - 1;
  const int index = (octave - kFirstOctave) * 8 + static_cast<int>(square >> (octave - 3) & 7);
  return std::min(index, kSquareClasses - 1);
}

const std::array<CodePriors, 2>& code_priors() {
  static const std::array<CodePriors, 2> priors{make_priors(false), make_priors(true)};
  return priors;
}

}  // namespace sixteen
