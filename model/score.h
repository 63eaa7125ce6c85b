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

// Losses of a window's scored targets from the logits of their positions [scored, vocab], in place of the plain softmax.
using LogitsToNll = std::function<void(const Window& window, std::span<const float> logits, std::span<float> nll)>;

// A mixture of the model's distribution with all mass on one hinted token a position. It never sees the logits, which stay on
// the device: it names its hints, and is told about them. Both are called window by window, in order; hints() runs ahead.
class HintMixture {
 public:
  virtual ~HintMixture() = default;
  virtual void hints(const Window& window, std::span<int32_t> hints) = 0;  // of the scored positions; they come as -1, none
  virtual void mix(const Window& window, std::span<const HintStats> stats, std::span<float> nll) = 0;
};

struct ScoreOptions {
  int64_t batch = 0;            // windows a batch; 0: chosen from seq (about 16k tokens)
  bool logits_bf16 = false;     // logits rounded as the records' sliding evaluation does (trap T4)
  bool looping = true;          // depth recurrence on, as every evaluation after training has it (T14)
  LogitsToNll mixture = nullptr;  // called window by window, in order; null: cross-entropy. Looping only
  HintMixture* hints = nullptr;   // instead of `mixture`; looping only
};

// Scores windows in order, windows of one shape that follow each other in batches; the result does not depend on `batch`.
// nll_out (one value a scored target is appended, window by window: a target that two windows score appears twice) and
// `progress(done)`, which counts windows, may be null. Inputs beyond the stream are id 0.
// Tokens must be ids of the model (read_shards checks them).
ScoreSum score_windows(Session* session, std::span<const uint16_t> tokens, std::span<const Window> windows, const ByteTables* tables,
                       const ScoreOptions& options, std::vector<float>* nll_out, const std::function<void(int64_t)>& progress);

}  // namespace sixteen
