// The checks of scorer_checks.h on distributions: sums, the target's blindness, random streams (legality N1 to N6).
//
// Two ways to a distribution: the program's dist, checked against scores with other targets in place; or, without dist, a run for
// every id of the alphabet in place of a target, on a short text. Random streams need neither: whatever a program learned,
// its mean loss on tokens drawn from a law that is fixed beforehand is at least the law's entropy (Gibbs), so less proves that
// the target was known or that the probabilities sum to more than one.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "evaluator/scorer_checks.h"

namespace sixteen {
namespace {

constexpr double kSumError = 1e-4;   // of a sum over runs, whose numbers may have few digits (legality N2)
constexpr double kDistSumError = 1e-5;  // of one vector (D3: fp32)
constexpr double kAgreement = 1e-4;  // nats between dist and score: another batch shape rounds otherwise
constexpr double kSigmas = 4;
constexpr int kSwaps = 6;            // other ids in place of a target, where dist says what they must score

// Half of them where the score is lowest, since a fault pays there; the rest anywhere. Ascending.
std::vector<int64_t> choose_targets(const std::vector<double>& nll, int64_t count, NumpyRandom* random) {
  std::vector<int64_t> all(nll.size());
  std::iota(all.begin(), all.end(), 1);
  std::erase_if(all, [&](int64_t t) { return std::isnan(nll[static_cast<size_t>(t) - 1]); });
  count = std::min<int64_t>(count, static_cast<int64_t>(all.size()));
  std::sort(all.begin(), all.end(), [&](int64_t a, int64_t b) { return nll[static_cast<size_t>(a) - 1] < nll[static_cast<size_t>(b) - 1]; });
  std::vector<int64_t> chosen(all.begin(), all.begin() + count / 2);
  std::vector<int32_t> rest(all.size() - chosen.size());
  random->permutation(rest);
  for (size_t i = 0; static_cast<int64_t>(chosen.size()) < count; ++i) chosen.push_back(all[static_cast<size_t>(count / 2 + rest[i])]);
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

double nll_with(ScorerBench* bench, Tokens* tokens, int64_t target, uint16_t id) {
  (*tokens)[static_cast<size_t>(target)] = id;
  const ScorerScore score = bench->run(*tokens, "another target");
  return static_cast<int64_t>(score.nll.size()) < target ? NAN : score.nll[static_cast<size_t>(target) - 1];
}

// With dist. False: a fault was found.
bool check_dist(ScorerBench* bench, int64_t target, double nll, const std::vector<double>& logp, Verdict* verdict) {
  const auto fault = [&](const std::string& what) {
    verdict->fault(Condition::kC2, "distribution", what, target);
    return false;
  };
  double sum = 0;
  for (const double value : logp) sum += std::exp(value);
  if (!(std::abs(sum - 1) <= kDistSumError)) return fault(joined("probabilities of ", logp.size(), " ids sum to ", sum));
  const uint16_t id = bench->text[static_cast<size_t>(target)];
  const double allowed = std::max(kAgreement, bench->tolerance());
  if (id >= logp.size()) return fault(joined("id ", id, " is not among its ", logp.size(), " ids"));
  if (!(std::abs(logp[id] + nll) <= allowed)) return fault(joined("dist gives ", -logp[id], " nats, score ", nll));
  Tokens tokens = bench->text;
  for (int swap = 0; swap < kSwaps; ++swap) {
    const uint16_t other = bench->ids[bench->random.integers(static_cast<uint32_t>(bench->ids.size()))];
    tokens[static_cast<size_t>(target)] = other;
    const std::vector<double> again = *bench->scorer->dist(tokens, target);
    for (size_t v = 0; v < logp.size(); ++v) {
      const bool same = v < again.size() && (again[v] == logp[v] || std::abs(again[v] - logp[v]) <= bench->tolerance());
      if (!same) return fault(joined("with id ", other, " as the target, the distribution is another (id ", v, ")"));
    }
    const double scored = nll_with(bench, &tokens, target, other);
    if (!(std::abs(logp[other] + scored) <= allowed)) {
      return fault(joined("with id ", other, " as the target, dist gives ", -logp[other], " nats, score ", scored));
    }
  }
  return true;
}

// Without dist: every id in place of the target. False: a fault was found.
bool check_enumeration(ScorerBench* bench, std::span<const uint16_t> stream, int64_t target, Verdict* verdict) {
  Tokens tokens(stream.begin(), stream.end());
  double sum = 0;
  for (int64_t id = 0; id < bench->vocab; ++id) {
    const double nll = nll_with(bench, &tokens, target, static_cast<uint16_t>(id));
    if (!std::isnan(nll)) sum += std::exp(-nll);
  }
  if (std::abs(sum - 1) <= kSumError) return true;
  verdict->fault(Condition::kC2, "distribution", joined("with each of ", bench->vocab, " ids in place of the target, the probabilities sum to ", sum), target);
  return false;
}

void enumerate(ScorerBench* bench, Verdict* verdict) {
  const std::string name = "distribution";
  if (bench->weak()) return verdict->skip(Condition::kC2, name, "the program must offer dist: a target that is BOS would move its order");
  if (bench->vocab == 0) return verdict->skip(Condition::kC2, name, "give --tokenizer, or vocab in the reply to load");
  const size_t length = std::min<size_t>(bench->text.size(), static_cast<size_t>(std::max(bench->settings.short_text, bench->scorer->hello().min_tokens)));
  const std::span<const uint16_t> stream = std::span(bench->text).first(length);
  const ScorerScore base = bench->run(stream, "the text's beginning");
  const std::vector<int64_t> targets = choose_targets(base.nll, bench->settings.positions, &bench->random);
  for (const int64_t target : targets) {
    if (!check_enumeration(bench, stream, target, verdict)) return;
  }
  verdict->pass(Condition::kC2, name, joined("all ", bench->vocab, " ids in place of ", targets.size(), " targets: probabilities sum to one"));
}

void judge_random(ScorerBench* bench, const Tokens& stream, double entropy, const std::string& name, Verdict* verdict) {
  const ScorerScore score = bench->run(stream, name);
  double sum = 0, squares = 0;
  int64_t count = 0;
  for (size_t i = 0; i < score.nll.size() && i + 1 < stream.size(); ++i) {
    if (stream[i + 1] == bench->bos || std::isnan(score.nll[i])) continue;
    sum += score.nll[i];
    squares += score.nll[i] * score.nll[i];
    ++count;
  }
  const double n = static_cast<double>(std::max<int64_t>(count, 2)), mean = sum / n;
  const double error = std::sqrt(std::max(0.0, squares / n - mean * mean) / n);
  const std::string seen = joined("mean of ", count, " targets ", mean, " nats, at least ", entropy, " - ", kSigmas, " x ", error, " is possible");
  if (mean < entropy - kSigmas * error) {
    verdict->fault(Condition::kC2, name, seen + ": targets are known before they are scored, or probabilities sum to more than one", 1);
  } else {
    verdict->pass(Condition::kC2, name, seen);
  }
}

}  // namespace

void check_distribution(ScorerBench* bench, Verdict* verdict) {
  const std::vector<int64_t> targets = choose_targets(bench->base.nll, bench->settings.positions, &bench->random);
  for (const int64_t target : targets) {
    const auto logp = bench->scorer->dist(bench->text, target);
    if (!logp) return enumerate(bench, verdict);
    if (!check_dist(bench, target, bench->base.nll[static_cast<size_t>(target) - 1], *logp, verdict)) return;
  }
  verdict->pass(Condition::kC2, "distribution",
                joined(targets.size(), " targets: sums to one, gives the score, and ", kSwaps, " other ids in each target's place do not move it"));
}

void check_random_streams(ScorerBench* bench, Verdict* verdict) {
  const int64_t count = bench->settings.random > 0 ? bench->settings.random : static_cast<int64_t>(bench->text.size());
  const Tokens uniform = random_stream(count, bench->ids, {}, bench->bos, &bench->random);
  judge_random(bench, uniform, std::log(static_cast<double>(bench->ids.size())), "random stream", verdict);
  std::map<uint16_t, double> seen;
  double total = 0;
  for (const uint16_t token : bench->text) {
    if (token != bench->bos) seen[token] += 1, total += 1;
  }
  std::vector<double> law;
  double entropy = 0;
  for (const auto& [id, times] : seen) {
    law.push_back(times);
    entropy -= times / total * std::log(times / total);
  }
  judge_random(bench, random_stream(count, bench->ids, law, bench->bos, &bench->random), entropy, "text shuffled token by token", verdict);
}

}  // namespace sixteen
