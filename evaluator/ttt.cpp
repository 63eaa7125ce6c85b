// See ttt.h.
#include "evaluator/ttt.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "formats/error.h"
#include "model/console.h"
#include "model/optim.h"
#include "model/schedule.h"

namespace sixteen {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// One SGD step on the windows that begin at `starts`; the loss is the mean over all their targets.
TttStep train_step(Session* session, Sgd* sgd, std::span<const uint16_t> tokens, std::span<const int64_t> starts, int64_t seq, double lr) {
  const int64_t micro = std::max<int64_t>(1, session->train_tokens() / seq);
  const int64_t count = static_cast<int64_t>(starts.size());
  session->zero_grads();
  double loss = 0;
  std::vector<int32_t> ids, targets;
  for (int64_t done = 0; done < count; done += micro) {
    const int64_t windows = std::min(micro, count - done);
    ids.clear();
    targets.clear();
    for (const int64_t start : starts.subspan(static_cast<size_t>(done), static_cast<size_t>(windows))) {
      const uint16_t* from = tokens.data() + start;
      ids.insert(ids.end(), from, from + seq);
      targets.insert(targets.end(), from + 1, from + seq + 1);
    }
    const std::vector<float> weight(ids.size(), 1.0f / static_cast<float>(count * seq));
    loss += session->train(ids, targets, weight, windows, seq, true);
  }
  const double norm = sgd->step(lr);
  if (!std::isfinite(loss) || !std::isfinite(norm)) {
    fail("test-time training diverged (loss ", loss, ", gradient norm ", norm, "); lower [eval.ttt] lr");
  }
  return {.lr = lr, .grad_norm = norm, .loss = loss};
}

}  // namespace

TttResult score_with_training(Session* session, std::span<const uint16_t> tokens, const ByteTables& tables, const EvalConfig& config,
                              std::vector<float>* nll_out, const std::function<void(int64_t, double)>& progress, const LogitsToNll& mixture) {
  const TttConfig& c = config.ttt;
  const int64_t targets = static_cast<int64_t>(tokens.size()) - 1;
  const std::vector<Chunk> chunks = ttt_chunks(targets, config.window, config.stride, c.chunk, config.drop_tail, config.edge);
  session->set_fake_quant(c.fake_quant);
  Sgd sgd(session, {.momentum = c.momentum, .clip_norm = c.clip_norm, .freeze_blocks = c.freeze_blocks, .hash_lr_mult = config.hash_lr_mult});
  TttResult result;
  result.chunks = static_cast<int64_t>(chunks.size());
  for (size_t i = 0; i < chunks.size(); ++i) {
    auto start = Clock::now();
    ScoreOptions options{.batch = config.batch, .logits_bf16 = config.logits_bf16, .looping = true, .mixture = mixture};
    const int64_t before = result.sum.targets;
    result.sum.add(score_windows(session, tokens, chunks[i].windows, &tables, options, nll_out, [&](int64_t) { stop_if_interrupted(); }));
    result.score_seconds += seconds_since(start);
    if (progress && result.sum.targets > before) progress(result.sum.targets, result.sum.bpb());
    start = Clock::now();
    const double lr = c.lr * ttt_lr_scale(static_cast<int64_t>(i), result.chunks);
    const std::span<const int64_t> starts = chunks[i].train_starts;
    for (int64_t epoch = 0; epoch < c.epochs; ++epoch) {
      for (size_t done = 0; done < starts.size(); done += static_cast<size_t>(c.batch_seqs)) {
        const size_t count = std::min(starts.size() - done, static_cast<size_t>(c.batch_seqs));
        result.steps.push_back(train_step(session, &sgd, tokens, starts.subspan(done, count), config.window, lr));
        result.steps.back().chunk = static_cast<int64_t>(i);
        stop_if_interrupted();
      }
    }
    result.train_seconds += seconds_since(start);
  }
  return result;
}

}  // namespace sixteen
