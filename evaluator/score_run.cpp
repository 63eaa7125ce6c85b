// See score_run.h.
#include "evaluator/score_run.h"

#include <algorithm>
#include <cmath>
#include <deque>

#include "evaluator/rank_shares.h"
#include "formats/check.h"
#include "formats/error.h"
#include "model/at_work.h"
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

// The losses of a step's passes by leaf, so that their sum does not depend on whose leaves they are.
class LeafLosses {
 public:
  LeafLosses(Session* session, int64_t leaves) : session_(session), losses_(static_cast<size_t>(leaves), 0.0) {}
  ~LeafLosses() { session_->drop_passes(); }  // of a step that ends early
  LeafLosses(const LeafLosses&) = delete;
  LeafLosses& operator=(const LeafLosses&) = delete;

  void make_room() {
    if (session_->in_flight() == Session::kPasses) collect();
  }
  void submitted(int64_t leaf) { passes_.push_back(static_cast<size_t>(leaf)); }
  // Of all ranks' leaves, in order; collective.
  double sum() {
    while (session_->in_flight() > 0) collect();
    Communicator& ranks = session_->device().ranks();
    const int64_t leaves = static_cast<int64_t>(losses_.size());
    std::vector<double> all(losses_.size() * static_cast<size_t>(ranks.size()));
    ranks.all_gather_host(losses_.data(), all.data(), losses_.size() * sizeof(double));
    double sum = 0;
    for (int r = 0; r < ranks.size(); ++r) {
      const LeafShare share = leaf_share(leaves, r, ranks.size());
      for (int64_t leaf = share.first; leaf < share.first + share.count; ++leaf) sum += all[static_cast<size_t>(r * leaves + leaf)];
    }
    return sum;
  }

 private:
  void collect() {
    losses_[passes_.front()] += session_->collect_loss();
    passes_.pop_front();
    session_->device().ranks().alive();
  }

  Session* session_;
  std::vector<double> losses_;
  std::deque<size_t> passes_;  // the leaves of those in flight
};

ScoreRun::ScoreRun(const ScoreMethod& method, Session* session, std::span<const uint16_t> tokens, const ByteTables& tables, int32_t bos)
    : method_(method),
      session_(session),
      tokens_(tokens),
      tables_(tables),
      bos_(bos),
      chunks_(score_chunks(method, static_cast<int64_t>(tokens.size()) - 1)) {
  if (method_.hash) session_->enable_hash(method_.config.hash);
  forget_reads();
  state_.emplace_back("weights", session_->weights());
  if (method_.scoring == Scoring::kTraining) start_training();
  reserve();
}

void ScoreRun::start_training() {
  const EvalConfig& c = method_.config;
  const TttConfig& t = c.ttt;
  session_->set_fake_quant(t.fake_quant);
  sgd_ = std::make_unique<Sgd>(session_, SgdConfig{.momentum = t.momentum, .clip_norm = t.clip_norm, .freeze_blocks = t.freeze_blocks, .hash_lr_mult = c.hash_lr_mult});
  tree_ = std::make_unique<GradientTree>(session_);
  std::vector<RankSum::Part> grads{{session_->grads(), session_->table().flat_size()}};
  if (method_.hash) grads.push_back({session_->hash_grads(), c.hash.buckets * session_->config().dim});
  rank_sum_ = std::make_unique<RankSum>(&session_->device(), std::move(grads));
  state_.emplace_back("momentum", sgd_->momentum());
  if (method_.hash) {
    state_.emplace_back("hash", session_->hash_table());
    state_.emplace_back("hash_momentum", sgd_->hash_momentum());
  }
}

// Too little device memory is better known before the first pass.
void ScoreRun::reserve() {
  if (chunks_.empty() || chunks_.front().windows.empty()) return;
  const EvalConfig& c = method_.config;
  const Chunk& chunk = chunks_.front();
  const int64_t fit = c.batch > 0 ? c.batch : session_->score_batch(c.window);
  const int64_t windows = std::min(fit, static_cast<int64_t>(chunk.windows.size()));
  std::vector<BuildOptions> programs = {session_->score_options(windows, c.window, chunk.windows.back().tail(), c.logits_bf16)};
  if (trains(0)) {
    const int64_t step = std::min(c.ttt.batch_seqs, static_cast<int64_t>(chunk.train_starts.size())), leaves = sum_leaves(step, c.ttt.parts);
    const int64_t windows_a_leaf = (step + leaves - 1) / leaves;
    programs.push_back(session_->train_options(std::min(session_->train_batch(c.window), windows_a_leaf), c.window, true));
  }
  session_->reserve(programs, "lower [eval] batch (now " + std::to_string(windows) + " windows a pass) or --window");
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
  Communicator& ranks = session_->device().ranks();
  const AtWork at_work(ranks);
  const std::span<const Window> own = share_of(windows, ranks.rank(), ranks.size());
  std::vector<float> mine;
  score_windows(session_, tokens_, own, nullptr, options, &mine, [&](int64_t done) {
    if (progress) progress(done * static_cast<int64_t>(windows.size()) / static_cast<int64_t>(own.size()));
    stop_if_interrupted(stop_advice_);
    ranks.alive();
  });
  const std::vector<float> all = gather_losses(ranks, windows, std::move(mine));
  ScoreSum sum;
  size_t from = 0;
  for (const Window& window : windows) {
    add_scores(tokens_, window.first_target(), std::span(all).subspan(from, static_cast<size_t>(window.scored)), &tables_, &sum);
    from += static_cast<size_t>(window.scored);
  }
  if (nll != nullptr) nll->insert(nll->end(), all.begin(), all.end());
  // What other ranks' windows have read.
  if (tap_in_ && !windows.empty()) tap_in_->read_until(windows.back().first_target() + windows.back().scored - 1);
  return sum;
}

TapInCounts ScoreRun::tap_in_counts() {
  TapInCounts sum;
  if (!tap_in_) return sum;
  for (const TapInCounts& counts : session_->device().ranks().gather(tap_in_->counts())) sum.add(counts);
  return sum;
}

std::vector<TttStep> ScoreRun::train(int64_t chunk) {
  std::vector<TttStep> steps;
  if (!trains(chunk)) return steps;
  const TttConfig& t = method_.config.ttt;
  const double lr = t.lr * ttt_lr_scale(chunk, static_cast<int64_t>(chunks_.size()));
  const std::span<const int64_t> starts = chunks_[chunk].train_starts;
  const AtWork at_work(session_->device().ranks());
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

// One SGD step on the windows that begin at `starts`; the loss is the mean over all their targets. Leaves of the sum of gradients
// are consecutive windows, shared out among the ranks.
TttStep ScoreRun::train_step(std::span<const int64_t> starts, double lr) {
  const int64_t count = static_cast<int64_t>(starts.size()), leaves = sum_leaves(count, method_.config.ttt.parts);
  Communicator& ranks = session_->device().ranks();
  const LeafShare own = leaf_share(leaves, ranks.rank(), ranks.size());
  LeafLosses losses(session_, leaves);
  tree_->begin_own(own.count);
  for (int64_t leaf = own.first; leaf < own.first + own.count; ++leaf) {
    const int64_t begin = count * leaf / leaves, end = count * (leaf + 1) / leaves;
    add_gradients(starts.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)), count, leaf, &losses);
    tree_->add_leaf();
  }
  rank_sum_->run(leaves);
  const double norm = sgd_->step(lr);  // the one number that is waited for
  const double loss = losses.sum();
  if (!std::isfinite(loss) || !std::isfinite(norm)) {
    fail("test-time training diverged (loss ", loss, ", gradient norm ", norm, "); lower [eval.ttt] lr");
  }
  return {.lr = lr, .grad_norm = norm, .loss = loss};
}

// Of the windows that begin at `starts`, in a step of `count`.
void ScoreRun::add_gradients(std::span<const int64_t> starts, int64_t count, int64_t leaf, LeafLosses* losses) {
  const size_t seq = static_cast<size_t>(method_.config.window);
  const size_t micro = static_cast<size_t>(session_->train_batch(method_.config.window));
  std::vector<int32_t> ids, targets;
  for (size_t done = 0; done < starts.size(); done += micro) {
    const size_t windows = std::min(micro, starts.size() - done);
    ids.clear();
    targets.clear();
    for (const int64_t start : starts.subspan(done, windows)) {
      const uint16_t* from = tokens_.data() + start;
      ids.insert(ids.end(), from, from + seq);
      targets.insert(targets.end(), from + 1, from + seq + 1);
    }
    const std::vector<float> weight(ids.size(), 1.0f / static_cast<float>(static_cast<size_t>(count) * seq));
    losses->make_room();
    session_->submit_train(ids, targets, weight, static_cast<int64_t>(windows), static_cast<int64_t>(seq), true);
    losses->submitted(leaf);
  }
}

}  // namespace sixteen
