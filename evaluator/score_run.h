// A scoring run chunk by chunk: what `score` drives from end to end, and what `verify` drives from any point, on other tokens.
//
// Plain and sliding windows come in blocks that train on nothing; score-first test-time training (spec_1584_1555 7.3, PR 461's
// protocol) trains on a chunk after its targets are scored by weights that have seen only chunks before it. The hash embedding,
// when there is one, starts at zero and trains along.
// With ranks (the device's) score() and train() are collective: windows are shared out, and every rank holds all losses and the
// same state (rank_shares.h).
// Bites: weights, momentum and hash table persist over the whole text; the last chunk is not trained on. The length of the
// stream decides how many chunks there are, and with it the learning rates: it is side information that a ledger declares.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "evaluator/eval_config.h"
#include "evaluator/tap_in.h"
#include "formats/tokenizer.h"
#include "model/gradient_tree.h"
#include "model/optim.h"
#include "model/rank_sum.h"
#include "model/score.h"
#include "model/session.h"

namespace sixteen {

struct ScoreMethod {
  Scoring scoring = Scoring::kPlain;
  bool hash = false;  // evaluation-time hash embedding; needs kTraining
  EvalConfig config;  // validated
};

struct TttStep {
  int64_t chunk = 0;
  double lr = 0, grad_norm = 0, loss = 0;  // norm before clipping; mean nats a target before the step
};

class LeafLosses;

inline constexpr int64_t kScoreBlock = 65536;  // targets of a chunk that trains on nothing, about

// Windows side by side or overlapping in chunks of about kScoreBlock targets; with training, as ttt_chunks() makes them.
std::vector<Chunk> score_chunks(const ScoreMethod& method, int64_t targets);

class ScoreRun {
 public:
  // Enables the hash embedding, with a table of zeros, and takes the session's weights as they are. bos: the id that begins
  // documents (Tap-In). `tokens` and `tables` must outlive it.
  ScoreRun(const ScoreMethod& method, Session* session, std::span<const uint16_t> tokens, const ByteTables& tables, int32_t bos);

  const ScoreMethod& method() const { return method_; }
  const std::vector<Chunk>& chunks() const { return chunks_; }
  bool trains(int64_t chunk) const;

  // Losses of a chunk's targets, appended to `nll` (may be null) window by window; progress(windows of this chunk) may be null.
  // Windows whose first target lies behind `through` are left out.
  ScoreSum score(int64_t chunk, std::vector<float>* nll, const std::function<void(int64_t)>& progress = nullptr, int64_t through = INT64_MAX);
  // Losses of these windows of one chunk, in the same way.
  ScoreSum score(std::span<const Window> windows, std::vector<float>* nll, const std::function<void(int64_t)>& progress = nullptr);
  // The training that follows a chunk's scores; nothing where trains() is false. Throws Error when it diverges.
  std::vector<TttStep> train(int64_t chunk);

  // All that scores depend on besides the artifact's config and earlier tokens, by name: "weights" and, with training,
  // "momentum", "hash", "hash_momentum". Whoever writes to it calls state_changed().
  const std::vector<std::pair<std::string, Buffer>>& state() const { return state_; }
  void state_changed() { session_->refresh_bf16(); }
  void forget_reads();  // the stream has changed: Tap-In begins anew
  // What an error says that Ctrl-C or SIGTERM causes from here on; unless told otherwise that nothing was written.
  void set_stop_advice(std::string advice) { stop_advice_ = std::move(advice); }

  Session& session() { return *session_; }
  std::span<const uint16_t> tokens() const { return tokens_; }
  const ByteTables& tables() const { return tables_; }
  TapIn* tap_in() { return tap_in_ ? &*tap_in_ : nullptr; }
  TapInCounts tap_in_counts();  // of all ranks together; collective

 private:
  void start_training();
  void reserve();
  TttStep train_step(std::span<const int64_t> starts, double lr);
  void add_gradients(std::span<const int64_t> starts, int64_t count, int64_t leaf, LeafLosses* losses);

  ScoreMethod method_;
  Session* session_;
  std::span<const uint16_t> tokens_;
  const ByteTables& tables_;
  int32_t bos_;
  std::vector<Chunk> chunks_;
  std::optional<TapIn> tap_in_;
  std::unique_ptr<Sgd> sgd_;  // null without training, as the next two
  std::unique_ptr<GradientTree> tree_;
  std::unique_ptr<RankSum> rank_sum_;
  std::vector<std::pair<std::string, Buffer>> state_;
  std::string stop_advice_ = "nothing was written";
};

}  // namespace sixteen
