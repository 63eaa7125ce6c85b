// See verify_perturb.h and check_perturbed() in verify.h.
// Bites: the stream's length is declared in the ledger (it decides chunks and learning rates), so a truncated stream keeps it: what
// lies behind the cut reads as id 0, as everything behind a stream's end does.
#include "evaluator/verify_perturb.h"

#include <algorithm>
#include <cstring>

#include "evaluator/ledger_player.h"
#include "evaluator/verify.h"
#include "formats/error.h"

namespace sixteen {
namespace {

constexpr int64_t kCanary = 64;  // tokens

// Target of the first loss that differs, or -1.
int64_t first_difference(std::span<const float> a, std::span<const float> b, int64_t first) {
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0) return first + static_cast<int64_t>(i);
  }
  return a.size() == b.size() ? -1 : first + static_cast<int64_t>(std::min(a.size(), b.size()));
}

// Cuts at ends of chunks and windows, where leaks hide, besides those that any program is tested at.
std::vector<int64_t> ledger_cuts(const LedgerCase& ledger, const std::vector<Chunk>& chunks, int64_t count, NumpyRandom* random) {
  const int64_t last = std::min(ledger.chunks.back().last_target, static_cast<int64_t>(ledger.tokens.size()) - 2);
  std::vector<int64_t> cuts = choose_cuts(std::span(ledger.tokens).first(static_cast<size_t>(last) + 2), count, ledger.bos, random);
  for (size_t i = 0; i < cuts.size(); i += 2) {
    const size_t chunk = random->integers(static_cast<uint32_t>(ledger.chunks.size()));
    const std::vector<Window>& windows = chunks[chunk].windows;
    const Window& window = i % 4 == 0 ? windows.back() : windows[random->integers(static_cast<uint32_t>(windows.size()))];
    cuts[i] = std::min(last, window.first_target() + window.scored - 1);
  }
  std::sort(cuts.begin(), cuts.end());
  return cuts;
}

// Chunk by chunk from the state of `from` on, training in between as the run does; targets up to `cut`.
std::vector<float> losses_until(LedgerPlayer* player, int64_t from, int64_t to, int64_t cut) {
  std::vector<float> losses;
  for (int64_t chunk = from; chunk <= to; ++chunk) {
    const std::vector<float> found = player->score(chunk, cut);
    losses.insert(losses.end(), found.begin(), found.end());
    if (chunk < to && player->run().trains(chunk)) player->train(chunk);
  }
  const int64_t first = player->ledger().chunks[from].first_target;
  losses.resize(std::min<size_t>(losses.size(), static_cast<size_t>(cut - first + 1)));
  return losses;
}

}  // namespace

FutureResult probe_future(const FutureProbe& probe, std::span<const uint16_t> tokens, std::span<const float> expected,
                          std::span<const uint16_t> ids, int32_t bos, int64_t canary, NumpyRandom* random) {
  FutureResult result;
  const auto compare = [&](std::span<const float> before, const Tokens& changed, const char* name) {
    const std::vector<float> after = probe.score(changed);
    ++result.runs;
    result.first_target = first_difference(before, after, probe.first);
    if (result.first_target >= 0) result.moved = name;
    return result.first_target >= 0;
  };
  for (const Change change : kChanges) {
    Tokens changed = change_after(tokens, probe.cut, change, {}, ids, bos, random);
    changed.resize(tokens.size(), 0);
    if (compare(expected, changed, change_name(change))) return result;
  }
  const int64_t size = static_cast<int64_t>(tokens.size());
  if (canary <= 0 || probe.cut + 1 - canary < probe.first || probe.cut + 1 + canary >= size) return result;
  Tokens once(tokens.begin(), tokens.end());
  for (int64_t i = 0; i < canary; ++i) once[probe.cut + 1 - canary + i] = ids[random->integers(static_cast<uint32_t>(ids.size()))];
  Tokens twice = once;
  std::copy_n(once.begin() + probe.cut + 1 - canary, canary, twice.begin() + probe.cut + 1);
  compare(probe.score(once), twice, "canary repeated later");
  return result;
}

void check_perturbed(const VerifyOptions& o, const LedgerCase& ledger, Verdict* verdict) {
  if (o.perturb == 0 || ledger.chunks.empty()) {
    verdict->skip(Condition::kC1, "changed future", "give --perturb N: whether later tokens move earlier scores was not tried");
    return;
  }
  if (ledger.method.scoring != Scoring::kPlain && ledger.method.config.edge != Edge::kExact) {
    verdict->skip(Condition::kC1, "changed future", "targets are not scored once and in order; the rule for the ends of the text is for parity");
    return;
  }
  LedgerPlayer player(o, ledger);
  NumpyRandom random(verify_seed(o, ledger) + 2);
  const Tokens ids = ids_of(ledger.tokens, ledger.bos);
  const std::vector<int64_t> cuts = ledger_cuts(ledger, player.run().chunks(), o.perturb, &random);
  int64_t runs = 0, updates = 0;
  Progress progress(o.console, "changing the future", cuts.size(), "cuts");
  for (size_t i = 0; i < cuts.size(); ++i) {
    const int64_t cut = cuts[i];
    const auto at = std::find_if(ledger.chunks.begin(), ledger.chunks.end(), [&](const ScoredChunk& c) { return cut <= c.last_target; });
    const int64_t to = at - ledger.chunks.begin(), from = to > 0 && player.run().trains(to - 1) ? to - 1 : to;
    player.set_tokens(ledger.tokens);
    player.go_to(from);
    const LedgerPlayer::Saved state = player.save();
    const ScoredChunk& first = ledger.chunks[from];
    const FutureProbe probe{cut, first.first_target, [&](std::span<const uint16_t> tokens) {
                              player.set_tokens(tokens);
                              player.load(state, from);
                              return losses_until(&player, from, to, cut);
                            }};
    const std::vector<float> expected = probe.score(ledger.tokens);
    if (player.exact()) {
      const int64_t other = first_difference(std::span(ledger.nll).subspan(first.first_nll, expected.size()), expected, probe.first);
      if (other >= 0) verdict->fault(Condition::kC1, "changed future", "the ledger's losses do not come out again before anything is changed", other);
      if (other >= 0) return;
    }
    const FutureResult result = probe_future(probe, ledger.tokens, expected, ids, ledger.bos, kCanary, &random);
    runs += result.runs;
    updates += to - from;
    if (!result.moved.empty()) {
      verdict->fault(Condition::kC1, "changed future", result.moved + " behind token " + std::to_string(cut) + " moves an earlier score", result.first_target);
      return;
    }
    progress.update(i + 1);
    player.load(state, from);
  }
  player.set_tokens(ledger.tokens);
  progress.finish();
  verdict->pass(Condition::kC1, "changed future", std::to_string(runs) + " changes behind " + std::to_string(cuts.size()) + " cuts, " + std::to_string(updates) +
                                                      " of them across an update: no bit of a score up to the cut moves");
}

}  // namespace sixteen
