// The checks of scorer_checks.h that change tokens and watch earlier scores: cuts, canary, documents, and the stepwise protocol.
//
// Sources: legality P1 to P5 and U5; PR 1240's flip test. Bites: how far ahead a score looks says which condition is broken, and
// only roughly: a little means a gate (C1), a block means learning before scoring (C3), a third of the text means that all of it
// was read before it was scored (C4). C1 is broken in all three cases.
#include <algorithm>
#include <cmath>

#include "evaluator/scorer_checks.h"

namespace sixteen {
namespace {

constexpr int64_t kGateReach = 2;         // tokens ahead that still look like a gate
constexpr double kAgreement = 1e-4;  // nats between feed and score: another batch shape rounds otherwise

double at(const std::vector<double>& nll, int64_t target) {
  return target <= static_cast<int64_t>(nll.size()) ? nll[static_cast<size_t>(target) - 1] : NAN;
}

std::vector<int64_t> stream_order(size_t targets) {
  std::vector<int64_t> order(targets);
  for (size_t i = 0; i < targets; ++i) order[i] = static_cast<int64_t>(i) + 1;
  return order;
}

// What all changes together have shown.
struct Reach {
  std::optional<Moved> worst;    // of the change that was seen first in the stream
  Change change = Change::kOneToken;
  int64_t cut = 0, farthest = 0, changes = 0, moved = 0;

  void add(const std::optional<Moved>& found, Change kind, int64_t where) {
    ++changes;
    if (!found) return;
    ++moved;
    farthest = std::max(farthest, where + 1 - found->target);
    if (!worst || found->target < worst->target) worst = found, change = kind, cut = where;
  }
};

void report(const ScorerBench& bench, const Reach& reach, Verdict* verdict) {
  if (!reach.worst) {
    verdict->pass(Condition::kC1, "future changed", joined(reach.changes, " changes after ", bench.settings.cuts, " cuts: no earlier score moved"));
    verdict->pass(Condition::kC3, "future changed", "no score depends on the block it lies in");
    return;
  }
  const Moved& worst = *reach.worst;
  const std::string seen = joined(reach.moved, " of ", reach.changes, " changes moved earlier scores; ", change_name(reach.change), " after token ",
                                reach.cut, ": ", worst.count, " targets by up to ", worst.most, " nats, ", reach.farthest, " tokens ahead");
  verdict->fault(Condition::kC1, "future changed", seen, worst.target);
  if (reach.farthest <= kGateReach) return;
  if (3 * reach.farthest > static_cast<int64_t>(bench.text.size())) {
    verdict->fault(Condition::kC4, "one pass", "scores depend on the rest of the text: it is read before it is scored (a second pass, a sort, a choice)",
                   worst.target);
  } else {
    verdict->fault(Condition::kC3, "score before update",
                   joined("scores depend on up to ", reach.farthest, " tokens behind them: something adapts to a block before scoring it"), worst.target);
  }
}

std::vector<int64_t> order_of(ScorerBench* bench) {
  if (!bench->weak()) return {};
  return bench->scorer->order().value_or(std::vector<int64_t>());
}

void report_order(ScorerBench* bench, bool violated, Verdict* verdict) {
  if (!bench->weak()) {
    if (!violated) verdict->set_order(EventOrder::kStrong);
    return;
  }
  const auto first = std::mismatch(bench->order.begin(), bench->order.end(), stream_order(bench->order.size()).begin()).first;
  verdict->set_order(violated ? EventOrder::kCyclic : EventOrder::kWeak);
  const std::string seen = joined("scored in another order than the stream's, as declared; the first to differ is target ", *first);
  if (violated) {
    verdict->fault(Condition::kC4, "declared order", seen + "; not even in that order do scores depend on what was scored alone", *first);
  } else {
    verdict->pass(Condition::kC4, "declared order", seen + "; what the order itself tells (lengths of documents) is not in the score");
  }
}

}  // namespace

std::optional<Moved> first_moved(const ScorerScore& a, const std::vector<int64_t>& order_a, const ScorerScore& b,
                                 const std::vector<int64_t>& order_b, int64_t cut, double tolerance) {
  const std::vector<int64_t> first = order_a.empty() ? stream_order(a.nll.size()) : order_a;
  const std::vector<int64_t> second = order_b.empty() ? stream_order(b.nll.size()) : order_b;
  std::optional<Moved> moved;
  for (size_t k = 0; k < std::min(first.size(), second.size()) && first[k] <= cut; ++k) {
    const bool in_time = second[k] == first[k];
    const double x = at(a.nll, first[k]), y = in_time ? at(b.nll, first[k]) : NAN;
    if (in_time && (std::isnan(x) || std::isnan(y))) continue;  // not scored: check_counts() tells
    const double by = in_time ? std::abs(x - y) : INFINITY;
    if (by <= tolerance) continue;
    if (!moved) moved = Moved{.target = first[k], .count = 0, .most = 0};
    moved->target = std::min(moved->target, first[k]);
    ++moved->count;
    moved->most = std::max(moved->most, by);
  }
  return moved;
}

void check_future(ScorerBench* bench, Verdict* verdict) {
  const std::vector<int64_t> cuts = choose_cuts(bench->text, bench->settings.cuts, bench->bos, &bench->random);
  const ScorerHello& hello = bench->scorer->hello();
  Reach reach;
  for (const int64_t cut : cuts) {
    for (const Change change : kChanges) {
      if (bench->weak() && !keeps_lengths(change)) continue;
      if (change == Change::kTruncated && (hello.knows_length || cut + 1 < hello.min_tokens)) continue;
      const Tokens changed = change_after(bench->text, cut, change, bench->other, bench->ids, bench->bos, &bench->random);
      const ScorerScore score = bench->run(changed, change_name(change));
      reach.add(first_moved(bench->base, bench->order, score, order_of(bench), cut, bench->tolerance()), change, cut);
    }
  }
  report(*bench, reach, verdict);
  if (hello.knows_length) verdict->skip(Condition::kC1, "stream truncated", "not possible: the stream's length is side information, as declared");
  report_order(bench, reach.worst.has_value(), verdict);
}

void check_canary(ScorerBench* bench, Verdict* verdict) {
  const int64_t size = static_cast<int64_t>(bench->text.size()), length = std::min<int64_t>(500, size / 8);
  const int64_t first = size / 8, second = size * 3 / 4;
  Tokens once = bench->text;
  for (int64_t i = 0; i < length; ++i) {
    once[static_cast<size_t>(first + i)] = bench->ids[bench->random.integers(static_cast<uint32_t>(bench->ids.size()))];
  }
  Tokens twice = once;
  std::copy_n(once.begin() + first, length, twice.begin() + second);
  const ScorerScore a = bench->run(once, "canary once");
  const std::vector<int64_t> order = order_of(bench);
  const ScorerScore b = bench->run(twice, "canary twice");
  const auto moved = first_moved(a, order, b, order_of(bench), first + length - 1, bench->tolerance());
  if (!moved) return verdict->pass(Condition::kC4, "canary", joined("a second copy of ", length, " random tokens does not change the first one's score"));
  verdict->fault(Condition::kC4, "canary", joined("a second copy of ", length, " random tokens moved ", moved->count, " scores up to the first one by up to ", moved->most, " nats"),
                 moved->target);
}

void check_isolation(ScorerBench* bench, Verdict* verdict) {
  const std::string name = "documents isolated";
  if (!bench->scorer->hello().document_isolation) return;  // nothing was claimed
  const std::vector<int64_t> starts = document_starts(bench->text, bench->bos);
  int64_t checked = 0;
  for (size_t d = 1; d < starts.size() && checked < bench->settings.cuts; ++d, ++checked) {
    Tokens changed = bench->text;
    for (int64_t i = 0; i < starts[d]; ++i) {
      uint16_t& token = changed[static_cast<size_t>(i)];
      if (token != bench->bos) token = bench->ids[bench->random.integers(static_cast<uint32_t>(bench->ids.size()))];
    }
    const ScorerScore score = bench->run(changed, "earlier documents replaced");
    for (int64_t t = starts[d] + 1; t <= static_cast<int64_t>(bench->base.nll.size()); ++t) {
      if (changed[static_cast<size_t>(t)] == bench->bos) continue;  // the end of a document may be guessed from it, BOS belongs to no document
      const double by = std::abs(at(bench->base.nll, t) - at(score.nll, t));
      if (!(by > bench->tolerance())) continue;
      return verdict->fault(Condition::kC1, name,
                            joined("claimed, but other tokens in the documents before the one at ", starts[d], " move its scores by ", by, " nats"), t);
    }
  }
  if (checked == 0) return verdict->skip(Condition::kC1, name, "give text with more than one document");
  verdict->pass(Condition::kC1, name, joined("as claimed: ", checked, " times all earlier documents were replaced"));
}

void check_feed(ScorerBench* bench, Verdict* verdict) {
  const std::string name = "stepwise";
  const int64_t count = std::min<int64_t>(bench->settings.feed, static_cast<int64_t>(bench->text.size()) - 1);
  if (count == 0) return;
  if (bench->scorer->hello().knows_length) return verdict->skip(Condition::kC1, name, "not possible: the stream's length is side information, as declared");
  bench->scorer->reset();
  const double allowed = std::max(kAgreement, bench->tolerance());
  for (int64_t t = 1; t <= count; ++t) {
    const auto logp = bench->scorer->feed(bench->text[static_cast<size_t>(t) - 1]);
    if (!logp) return verdict->skip(Condition::kC1, name, "the program has no feed");
    const uint16_t id = bench->text[static_cast<size_t>(t)];
    double sum = 0;
    for (const double value : *logp) sum += std::exp(value);
    if (id >= logp->size() || !(std::abs(sum - 1) <= kAgreement)) {
      return verdict->fault(Condition::kC2, name, joined("the distribution that it commits to has ", logp->size(), " ids and sums to ", sum), t);
    }
    const double by = std::abs((*logp)[id] + at(bench->base.nll, t));
    if (!(by <= allowed)) {
      return verdict->fault(Condition::kC1, name, joined("without the tokens that follow, the score is another by ", by, " nats"), t);
    }
  }
  const std::string seen = joined(count, " tokens handed over one by one: each distribution was there before its token, and gives the score");
  verdict->pass(Condition::kC1, name, seen);
  verdict->pass(Condition::kC3, name, seen);
}

}  // namespace sixteen
