// See score.h.
// Bites: sums go one target after the other in stream order, so that neither batches nor threads change a bit.
#include "model/score.h"

#include <algorithm>
#include <deque>
#include <numbers>

#include "formats/check.h"
#include "formats/dtype.h"

namespace sixteen {
namespace {

// Passes of a run that ends early, by Ctrl-C say, are nobody's.
struct PassGuard {
  Session* session;
  ~PassGuard() { session->drop_passes(); }
};

// How many of the windows at the front have one shape and fit a batch.
size_t batch_size(const Session& session, std::span<const Window> windows, int64_t batch) {
  const Window& first = windows.front();
  if (batch <= 0) batch = session.score_batch(first.length);
  const size_t most = std::min(windows.size(), static_cast<size_t>(batch));
  size_t count = 1;
  while (count < most && windows[count].length == first.length && windows[count].scored == first.scored &&
         windows[count].unscored == first.unscored) {
    ++count;
  }
  return count;
}

// Inputs [windows * length] and targets [windows * tail] of a batch. Beyond the stream both are id 0: nothing reads what they give.
void gather(std::span<const uint16_t> tokens, std::span<const Window> batch, std::vector<int32_t>* ids, std::vector<int32_t>* targets) {
  const auto token = [&](int64_t i) { return i < static_cast<int64_t>(tokens.size()) ? int32_t{tokens[i]} : 0; };
  ids->clear();
  targets->clear();
  for (const Window& window : batch) {
    CHECK(window.start >= 0 && window.first_target() + window.scored <= static_cast<int64_t>(tokens.size()));
    const int64_t end = window.start + window.length;
    for (int64_t i = window.start; i < end; ++i) ids->push_back(token(i));
    for (int64_t i = window.first_target(); i <= end; ++i) targets->push_back(token(i));
  }
}

// nll [windows * tail] of a batch by way of its logits.
void score_by_logits(Session* session, std::span<const int32_t> ids, std::span<const Window> batch, const ScoreOptions& options,
                     std::vector<float>* logits, std::span<float> nll) {
  CHECK(options.looping);
  const Window& shape = batch.front();
  const int64_t vocab = session->config().vocab;
  logits->resize(nll.size() * vocab);
  session->logits(ids, static_cast<int64_t>(batch.size()), shape.length, shape.tail(), *logits);
  if (options.logits_bf16) {
    for (float& logit : *logits) logit = round_to_bf16(logit);
  }
  for (size_t i = 0; i < batch.size(); ++i) {
    options.mixture(batch[i], std::span(*logits).subspan(i * shape.tail() * vocab, shape.scored * vocab),
                    nll.subspan(i * shape.tail(), shape.scored));
  }
}

// [windows * tail], -1 where there is none.
void gather_hints(std::span<const Window> batch, HintMixture* mixture, std::vector<int32_t>* hints) {
  const int64_t tail = batch.front().tail();
  hints->assign(batch.size() * static_cast<size_t>(tail), -1);
  for (size_t i = 0; i < batch.size(); ++i) mixture->hints(batch[i], std::span(*hints).subspan(i * tail, batch[i].scored));
}

void mix_hints(std::span<const HintStats> stats, std::span<const Window> batch, HintMixture* mixture, std::vector<float>* nll) {
  nll->resize(stats.size());
  for (size_t i = 0; i < batch.size(); ++i) {
    const size_t first = i * static_cast<size_t>(batch[i].tail()), count = static_cast<size_t>(batch[i].scored);
    mixture->mix(batch[i], stats.subspan(first, count), std::span(*nll).subspan(first, count));
  }
}

}  // namespace

double ScoreSum::bpb() const { return nll / std::numbers::ln2 / static_cast<double>(bytes); }

void ScoreSum::add(const ScoreSum& other) {
  nll += other.nll;
  targets += other.targets;
  bytes += other.bytes;
}

void add_scores(std::span<const uint16_t> tokens, int64_t first_target, std::span<const float> nll,
                const ByteTables* tables, ScoreSum* sum) {
  const int64_t count = static_cast<int64_t>(nll.size());
  CHECK(first_target >= 1 && first_target + count <= static_cast<int64_t>(tokens.size()));
  for (int64_t i = 0; i < count; ++i) {
    sum->nll += nll[i];
    if (tables != nullptr) sum->bytes += tables->bytes(tokens[first_target + i], tokens[first_target + i - 1]);
  }
  sum->targets += count;
}

ScoreSum score_windows(Session* session, std::span<const uint16_t> tokens, std::span<const Window> windows,
                       const ByteTables* tables, const ScoreOptions& options, std::vector<float>* nll_out,
                       const std::function<void(int64_t)>& progress) {
  ScoreSum sum;
  int64_t scored_windows = 0;
  const auto take = [&](std::span<const Window> batch, std::span<const float> nll) {
    const Window& shape = batch.front();
    for (size_t i = 0; i < batch.size(); ++i) {
      const std::span<const float> scored = nll.subspan(i * shape.tail(), shape.scored);
      add_scores(tokens, batch[i].first_target(), scored, tables, &sum);
      if (nll_out != nullptr) nll_out->insert(nll_out->end(), scored.begin(), scored.end());
    }
    scored_windows += static_cast<int64_t>(batch.size());
    if (progress) progress(scored_windows);
  };
  PassGuard guard{session};
  std::deque<std::span<const Window>> submitted;
  std::vector<int32_t> ids, targets, hints;
  std::vector<float> nll, logits;
  const auto take_oldest = [&] {
    const std::span<const Window> batch = submitted.front();
    submitted.pop_front();
    if (options.hints == nullptr) return take(batch, session->collect_nll());
    mix_hints(session->collect_hints(), batch, options.hints, &nll);
    take(batch, nll);
  };
  for (size_t done = 0; done < windows.size();) {
    const std::span<const Window> batch = windows.subspan(done, batch_size(*session, windows.subspan(done), options.batch));
    const Window& shape = batch.front();
    done += batch.size();
    gather(tokens, batch, &ids, &targets);
    if (options.mixture) {
      nll.resize(targets.size());
      score_by_logits(session, ids, batch, options, &logits, nll);
      take(batch, nll);
      continue;
    }
    if (session->in_flight() == Session::kPasses) take_oldest();
    const int64_t count = static_cast<int64_t>(batch.size());
    if (options.hints != nullptr) {
      CHECK(options.looping);
      gather_hints(batch, options.hints, &hints);
      session->submit_hints(ids, targets, hints, count, shape.length, shape.tail(), options.logits_bf16);
    } else {
      session->submit_score(ids, targets, count, shape.length, shape.tail(), options.logits_bf16, options.looping);
    }
    submitted.push_back(batch);
  }
  while (!submitted.empty()) take_oldest();
  return sum;
}

}  // namespace sixteen
