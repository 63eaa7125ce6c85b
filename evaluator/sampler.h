// Draws tokens from a model, one after the other.
//
// Bites: the context is padded on the right to a multiple of kSampleStep, so that only a few graphs are built; causal attention
// never looks at the padding. Longer contexts than the model's training length keep their last part.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "model/session.h"

namespace sixteen {

constexpr int64_t kSampleStep = 32;

struct SampleOptions {
  double temperature = 0.8;  // 0: always the likeliest token
  int64_t top_k = 50;        // draw from the k likeliest; 0: from all
  uint64_t seed = 1;
};

class Sampler {
 public:
  Sampler(Session* session, const SampleOptions& options);
  // The next token of `context` (not empty); draw number `drawn` of this seed.
  int32_t next(std::span<const int32_t> context);

 private:
  double uniform();  // in [0, 1), counter-based

  Session* session_;
  SampleOptions options_;
  uint64_t drawn_ = 0;
  std::vector<float> logits_;
};

// How many bytes at the front of decoded `text` no later token can change: a character spelled in byte pieces reads as U+FFFD
// until its last byte is there.
size_t settled_bytes(std::string_view text);

}  // namespace sixteen
