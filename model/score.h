// From per-target losses to bits per byte, and the loop that scores windows with a Session.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "formats/tokenizer.h"
#include "model/session.h"
#include "model/windows.h"

namespace sixteen {

struct ScoreSum {
  double nll = 0;          // nats, summed in stream order in fp64
  int64_t targets = 0, bytes = 0;
  double loss() const { return nll / static_cast<double>(targets); }
  double bpb() const;      // nll / ln 2 / bytes
  void add(const ScoreSum& other);
};

// Adds nll[i] of targets first_target, first_target + 1, ... of the stream. `tables` null: bytes are not counted.
void add_scores(std::span<const uint16_t> tokens, int64_t first_target, std::span<const float> nll, const ByteTables* tables, ScoreSum* sum);

struct ScoreOptions {
  int64_t batch = 0;            // windows a batch; 0: chosen from seq (about 16k tokens)
  bool logits_bf16 = false;
};

// Scores windows in order; nll_out (one value a scored target, in order) may be null. `progress(done)` counts windows.
ScoreSum score_windows(Session* session, std::span<const uint16_t> tokens, std::span<const Window> windows, const ByteTables* tables,
                       const ScoreOptions& options, std::vector<float>* nll_out, const std::function<void(int64_t)>& progress);

}  // namespace sixteen
