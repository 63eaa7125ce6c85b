// One distribution, looked at in full: does it sum to one, is the loss -ln p of the target, and does anything move when the target is
// another token. And losses on random tokens against ln V'. What `verify --normalised` and `--random-stream` ask of a scorer.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "evaluator/scorer_streams.h"
#include "evaluator/verdict.h"

namespace sixteen {

// A scorer of one text at one target. `tokens` is that text, the target sometimes replaced.
struct DistributionProbe {
  int64_t target = 0;
  size_t row = 0;          // of the target among the losses
  double tolerance = 0;    // nats, of a loss from -ln p; a tenth of the loss where that is above ten nats
  std::function<std::vector<float>(std::span<const uint16_t> tokens)> losses;  // of targets up to this one at least, in order
  std::function<std::vector<double>(std::span<const uint16_t> tokens)> log_p;  // of every token at the target
};

struct DistributionFindings {
  double most_sum = 0, most_loss = 0;  // |sum - 1|, |loss + ln p|
  int64_t positions = 0;
};

inline constexpr int kDistributionSwaps = 4;  // other targets asked for

// expected: the loss that must come out again to the bit, or NaN for any. True when nothing is wrong, else the fault (C2) is in the verdict.
bool probe_distribution(const DistributionProbe& probe, std::span<const uint16_t> tokens, float expected, NumpyRandom* random,
                        DistributionFindings* findings, Verdict* verdict);

// Losses of tokens drawn evenly from `ids` of them: their mean against ln ids (Jensen: no distribution is better on average).
void judge_random_losses(std::span<const float> losses, size_t ids, Verdict* verdict);

}  // namespace sixteen
