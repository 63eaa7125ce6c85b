// Score-first test-time training: a chunk is scored by weights that have seen only chunks before it, then trained on.
//
// Source: spec_1584_1555 7.3 (PR 461's protocol). The hash embedding, when the session has one, starts at zero and trains along.
// Bites: weights, momentum and hash table persist over the whole text; the last chunk is not trained on.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "evaluator/eval_config.h"
#include "formats/tokenizer.h"
#include "model/score.h"
#include "model/session.h"

namespace sixteen {

struct TttStep {
  int64_t chunk = 0;
  double lr = 0, grad_norm = 0, loss = 0;  // norm before clipping; mean nats a target before the step
};

struct TttResult {
  ScoreSum sum;
  int64_t chunks = 0;
  std::vector<TttStep> steps;
  double score_seconds = 0, train_seconds = 0;
};

// nll_out (as score_windows() fills it) and progress(scores so far, bpb so far) may be null. mixture: as in ScoreOptions; the
// training never sees it. From here on the session's training forward passes are fake-quantised as [eval.ttt] says.
TttResult score_with_training(Session* session, std::span<const uint16_t> tokens, const ByteTables& tables, const EvalConfig& config,
                              std::vector<float>* nll_out, const std::function<void(int64_t, double)>& progress,
                              const LogitsToNll& mixture = nullptr);

}  // namespace sixteen
