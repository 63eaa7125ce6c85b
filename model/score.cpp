// See score.h.
// Bites: sums go one target after the other in stream order, so that neither batches nor threads change a bit.
#include "model/score.h"

#include <algorithm>
#include <numbers>

#include "formats/check.h"

namespace sixteen {
namespace {

constexpr int64_t kBatchTokens = 16384;

// How many of the windows at the front have one shape and fit a batch.
size_t batch_size(std::span<const Window> windows, int64_t batch) {
  const Window& first = windows.front();
  if (batch <= 0) batch = std::max<int64_t>(1, kBatchTokens / first.length);
  const size_t most = std::min(windows.size(), static_cast<size_t>(batch));
  size_t count = 1;
  while (count < most && windows[count].length == first.length && windows[count].scored == first.scored) ++count;
  return count;
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
  std::vector<int32_t> ids, targets;
  std::vector<float> nll;
  for (size_t done = 0; done < windows.size();) {
    const std::span<const Window> batch = windows.subspan(done, batch_size(windows.subspan(done), options.batch));
    const int64_t length = batch.front().length, scored = batch.front().scored;
    ids.clear();
    targets.clear();
    for (const Window& window : batch) {
      CHECK(window.start >= 0 && window.start + length < static_cast<int64_t>(tokens.size()));
      const uint16_t* start = tokens.data() + window.start;
      ids.insert(ids.end(), start, start + length);
      targets.insert(targets.end(), start + length - scored + 1, start + length + 1);
    }
    nll.resize(targets.size());
    session->score(ids, targets, static_cast<int64_t>(batch.size()), length, scored, nll, options.logits_bf16,
                   options.looping);
    for (size_t i = 0; i < batch.size(); ++i) {
      add_scores(tokens, batch[i].first_target(), std::span(nll).subspan(i * scored, scored), tables, &sum);
    }
    if (nll_out != nullptr) nll_out->insert(nll_out->end(), nll.begin(), nll.end());
    done += batch.size();
    if (progress) progress(static_cast<int64_t>(done));
  }
  return sum;
}

}  // namespace sixteen
