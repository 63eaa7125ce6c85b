// See score_run.h.
#include "evaluator/score_run.h"

#include <algorithm>
#include <cmath>

#include "formats/check.h"
#include "formats/error.h"
#include "model/console.h"
#include "model/schedule.h"

namespace sixteen {

std::vector<Chunk> score_chunks(const ScoreMethod& method, int64_t targets) {
  const EvalConfig& c = method.config;
  if (method.scoring == Scoring::kTraining) {
    return ttt_chunks(targets, c.window, c.stride, c.ttt.chunk, c.drop_tail, c.edge);
  }
  const std::vector<Window> windows = method.scoring == Scoring::kPlain ? plain_windows(targets, c.window, c.drop_tail)
                                                                        : sliding_windows(targets, c.window, c.stride, c.drop_tail, c.edge);
  std::vector<Chunk> chunks;
  int64_t scored = kScoreBlock;
  for (const Window& window : windows) {
    if (scored >= kScoreBlock) {
      chunks.emplace_back();
      scored = 0;
    }
    chunks.back().windows.push_back(window);
    scored += window.scored;
  }
  return chunks;
}

ScoreRun::ScoreRun(const ScoreMethod& method, Session* session, std::span<const uint16_t> tokens, const ByteTables& tables, int32_t bos)
    : method_(method),
      session_(session),
      tokens_(tokens),
      tables_(tables),
      bos_(bos),
      chunks_(score_chunks(method, static_cast<int64_t>(tokens.size()) - 1)) {
  const EvalConfig& c = method_.config;
  const TttConfig& t = c.ttt;
  if (method_.hash) session_->enable_hash(c.hash);
  forget_reads();
  state_.emplace_back("weights", session_->weights());
  if (method_.scoring != Scoring::kTraining) return;
  session_->set_fake_quant(t.fake_quant);
  sgd_ = std::make_unique<Sgd>(session_, SgdConfig{.momentum = t.momentum, .clip_norm = t.clip_norm, .freeze_blocks = t.freeze_blocks, .hash_lr_mult = c.hash_lr_mult});
  state_.emplace_back("momentum", sgd_->momentum());
  if (!method_.hash) return;
  state_.emplace_back("hash", session_->hash_table());
  state_.emplace_back("hash_momentum", sgd_->hash_momentum());
}

void ScoreRun::forget_reads() {
  if (method_.config.tap_in.enabled) tap_in_.emplace(tokens_, bos_, method_.config.tap_in);
}

bool ScoreRun::trains(int64_t chunk) const {
  return sgd_ != nullptr && method_.config.ttt.epochs > 0 && !chunks_[chunk].train_starts.empty();
}

ScoreSum ScoreRun::score(int64_t chunk, std::vector<float>* nll, const std::function<void(int64_t)>& progress, int64_t through) {
  const std::vector<Window>& all = chunks_[chunk].windows;
  const auto wanted = std::partition_point(all.begin(), all.end(), [&](const Window& window) { return window.first_target() <= through; });
  return score(std::span(all).first(static_cast<size_t>(wanted - all.begin())), nll, progress);
}

ScoreSum ScoreRun::score(std::span<const Window> windows, std::vector<float>* nll, const std::function<void(int64_t)>& progress) {
  const EvalConfig& c = method_.config;
  ScoreOptions options{.batch = c.batch, .logits_bf16 = c.logits_bf16, .looping = true};
  if (tap_in_) options.hints = &*tap_in_;
  return score_windows(session_, tokens_, windows, &tables_, options, nll, [&](int64_t done) {
    if (progress) progress(done);
    stop_if_interrupted(stop_advice_);
  });
}

std::vector<TttStep> ScoreRun::train(int64_t chunk) {
  std::vector<TttStep> steps;
  if (!trains(chunk)) return steps;
  const TttConfig& t = method_.config.ttt;
  const double lr = t.lr * ttt_lr_scale(chunk, static_cast<int64_t>(chunks_.size()));
  const std::span<const int64_t> starts = chunks_[chunk].train_starts;
  for (int64_t epoch = 0; epoch < t.epochs; ++epoch) {
    for (size_t done = 0; done < starts.size(); done += static_cast<size_t>(t.batch_seqs)) {
      const size_t count = std::min(starts.size() - done, static_cast<size_t>(t.batch_seqs));
      steps.push_back(train_step(starts.subspan(done, count), lr));
      steps.back().chunk = chunk;
      stop_if_interrupted(stop_advice_);
    }
  }
  return steps;
}

// One SGD step on the windows that begin at `starts`; the loss is the mean over all their targets.
TttStep ScoreRun::train_step(std::span<const int64_t> starts, double lr) {
  const int64_t seq = method_.config.window, count = static_cast<int64_t>(starts.size());
  const int64_t micro = std::max<int64_t>(1, session_->train_tokens() / seq);
  session_->zero_grads();
  double loss = 0;
  std::vector<int32_t> ids, targets;
  for (int64_t done = 0; done < count; done += micro) {
    const int64_t windows = std::min(micro, count - done);
    ids.clear();
    targets.clear();
    for (const int64_t start : starts.subspan(static_cast<size_t>(done), static_cast<size_t>(windows))) {
      const uint16_t* from = tokens_.data() + start;
      ids.insert(ids.end(), from, from + seq);
      targets.insert(targets.end(), from + 1, from + seq + 1);
    }
    const std::vector<float> weight(ids.size(), 1.0f / static_cast<float>(count * seq));
    if (session_->in_flight() == Session::kPasses) loss += session_->collect_loss();
    session_->submit_train(ids, targets, weight, windows, seq, true);
  }
  const double norm = sgd_->step(lr);  // the one number that is waited for
  while (session_->in_flight() > 0) loss += session_->collect_loss();
  if (!std::isfinite(loss) || !std::isfinite(norm)) {
    fail("test-time training diverged (loss ", loss, ", gradient norm ", norm, "); lower [eval.ttt] lr");
  }
  return {.lr = lr, .grad_norm = norm, .loss = loss};
}

}  // namespace sixteen
