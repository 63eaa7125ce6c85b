// A tiny model scored in every way that there is: one rank's part of it, or all of it alone.
#pragma once

#include <memory>
#include <vector>

#include "evaluator/scoring.h"
#include "model/score.h"
#include "tests/support/tiny_model.h"

namespace sixteen::testing {

inline constexpr int64_t kScoreVocab = 96, kScoreWindow = 32, kScoreStride = 8;

// Byte counts that differ by token, with a boundary.
inline ByteTables tiny_tables() {
  ByteTables tables;
  for (int64_t i = 0; i < kScoreVocab; ++i) {
    tables.base_bytes.push_back(static_cast<int16_t>(i == 1 ? 0 : 1 + i % 5));
    tables.leading_space.push_back(i % 3 == 0);
    tables.boundary.push_back(i == 1);
  }
  return tables;
}

inline EvalConfig tiny_eval(int64_t batch) {
  EvalConfig config;
  config.window = kScoreWindow;
  config.stride = kScoreStride;
  config.batch = batch;
  config.ttt.chunk = 96;
  config.ttt.lr = 0.05;
  config.ttt.batch_seqs = 2;
  return config;
}

struct Scored {
  ScoreSum sum;
  std::vector<float> nll, weights;  // weights: after test-time training
  TapInCounts tap_in;
};

// What is scored and how; hash embedding and fake quantisation come with test-time training.
struct Way {
  const char* name;
  Scoring scoring;
  bool tap_in = false;
};

inline ScoreMethod method_of(const Way& way, int64_t batch) {
  ScoreMethod method{way.scoring, way.scoring == Scoring::kTraining, tiny_eval(batch)};
  method.config.hash = {.buckets = 64, .multiplier = 2039};
  if (way.tap_in) method.config.tap_in = {.enabled = true, .top_k = 20, .within_weight = 0.1};
  return method;
}

// On a rank of `world`, or alone.
inline Scored score(const ScoreMethod& method, int threads, const std::vector<uint16_t>& tokens,
                    std::shared_ptr<World> world = nullptr) {
  const ParamStore store = tiny_store(tiny_config());
  Session session(std::shared_ptr<Device>(make_device("cpu", threads, std::move(world))), tiny_config(), store.table);
  session.set_weights(store);
  const ScoreOutcome outcome =
      run_scoring(method, &session, tokens, tiny_tables(), 1, true, {.json = false, .quiet = true});
  ParamStore weights(store.table);
  session.get_weights(&weights);
  return {outcome.sum, outcome.nll, weights.flat, outcome.tap_in};
}

inline Scored score(const Way& way, int64_t batch, int threads, const std::vector<uint16_t>& tokens) {
  return score(method_of(way, batch), threads, tokens);
}

}  // namespace sixteen::testing
