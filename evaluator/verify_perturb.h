// The future changed behind a cut, in all ways of scorer_streams.h and with a canary: what scores up to the cut do.
#pragma once

#include <functional>
#include <string>

#include "evaluator/scorer_streams.h"

namespace sixteen {

struct FutureProbe {
  int64_t cut = 0;  // tokens[0 .. cut] stay, so scores of targets up to `cut` must
  int64_t first = 0;  // the first target that is looked at
  // Losses of targets first .. cut of a stream of the same length whose tokens differ from the original behind the cut alone.
  std::function<std::vector<float>(std::span<const uint16_t> tokens)> score;
};

struct FutureResult {
  int64_t runs = 0;
  std::string moved;         // "" or the change that moved a score first
  int64_t first_target = -1;
};

// expected: the losses with the tokens as they are. Stops at the first change that moves a bit. canary: tokens of a document that is put
// before the cut, and again behind it; 0: none.
FutureResult probe_future(const FutureProbe& probe, std::span<const uint16_t> tokens, std::span<const float> expected,
                          std::span<const uint16_t> ids, int32_t bos, int64_t canary, NumpyRandom* random);

}  // namespace sixteen
