// The bookkeeping checks of scorer_checks.h: the same score again, every target once, sums, bytes, clocks.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "evaluator/scorer_checks.h"
#include "model/svg.h"

namespace sixteen {
namespace {

constexpr double kSumTolerance = 1e-7;   // relative: a program may add up in another order, or print 8 digits
constexpr double kWorstNoise = 1e-3;     // nats; a leak of less than this could not be told from noise
constexpr int64_t kMostRepeats = 64;     // copies of a tail that are looked for

double sum_of(const std::vector<double>& nll) {
  double sum = 0;
  for (const double value : nll) sum += std::isnan(value) ? 0 : value;
  return sum;
}

bool is_stream_order(const std::vector<int64_t>& order) {
  for (size_t i = 0; i < order.size(); ++i) {
    if (order[i] != static_cast<int64_t>(i) + 1) return false;
  }
  return true;
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return INFINITY;
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) != std::isnan(b[i])) return INFINITY;
    if (!std::isnan(a[i])) largest = std::max(largest, std::abs(a[i] - b[i]));
  }
  return largest;
}

// Which end of the list, counted how many times more (or not at all), explains the total; "" when none does.
std::string explain_total(const ScorerScore& score, double excess, double tolerance, int64_t* first_target) {
  double tail = 0;
  for (size_t i = score.nll.size(); i-- > 0;) {
    tail += std::isnan(score.nll[i]) ? 0 : score.nll[i];
    for (int64_t times = -1; times <= kMostRepeats; ++times) {
      if (times == 0 || std::abs(static_cast<double>(times) * tail - excess) > tolerance) continue;
      *first_target = static_cast<int64_t>(i) + 1;
      return times < 0 ? "; the targets from here on are missing in it" : joined("; the targets from here on count ", times + 1, " times");
    }
  }
  return "";
}

int64_t scored_count(const ScorerScore& score) {
  return std::count_if(score.nll.begin(), score.nll.end(), [](double v) { return !std::isnan(v); });
}

// Of the targets that were scored: what was left out is another check's.
int64_t expected_bytes(const ByteTables& tables, std::span<const uint16_t> tokens, const ScorerScore& score) {
  int64_t bytes = 0;
  for (size_t t = 1; t < tokens.size() && t <= score.nll.size(); ++t) {
    if (!std::isnan(score.nll[t - 1])) bytes += tables.bytes(tokens[t], tokens[t - 1]);
  }
  return bytes;
}

// "" when every target but a declared tail is scored, and no other.
std::string missing_targets(const ScorerScore& score, int64_t targets, int64_t dropped, int64_t* first) {
  const int64_t expected = targets - dropped, listed = static_cast<int64_t>(score.nll.size());
  const auto end = score.nll.begin() + std::min(listed, expected);
  const int64_t scored = std::count_if(score.nll.begin(), end, [](double v) { return !std::isnan(v); });
  if (scored < expected) {
    *first = std::find_if(score.nll.begin(), end, [](double v) { return std::isnan(v); }) - score.nll.begin() + 1;
    return joined(expected - scored, " of ", expected, " targets are not scored");
  }
  *first = targets + 1;
  return listed > targets ? joined(listed, " scores for ", targets, " targets") : "";
}

}  // namespace

double ScorerBench::tolerance() const { return std::max(noise, settings.tolerance); }

int64_t dropped_tail(const ScorerBench& bench, int64_t targets) {
  const int64_t length = bench.scorer->hello().drop_tail;
  return length > 0 ? targets % length : 0;
}

ScorerScore ScorerBench::run(std::span<const uint16_t> tokens, const std::string& stream) {
  const ScorerScore score = scorer->score(tokens);
  if (!sum_fault.empty()) return score;
  const int64_t targets = static_cast<int64_t>(tokens.size()) - 1;
  const double sum = sum_of(score.nll), tolerance = kSumTolerance * std::max(1.0, std::abs(sum));
  if (std::abs(score.total - sum) > tolerance) {
    sum_fault = joined(stream, ": the list sums to ", fixed(sum, 6), " nats, the total is ", fixed(score.total, 6));
    const std::string why = explain_total(score, score.total - sum, tolerance, &sum_fault_target);
    if (why.empty()) {
      sum_fault_target = first_wrong_prefix(*this, tokens, [&](std::span<const uint16_t> prefix) {
        const ScorerScore part = scorer->score(prefix);
        return std::abs(part.total - sum_of(part.nll)) > kSumTolerance * std::max(1.0, std::abs(part.total));
      });
    }
    sum_fault += why;
  } else if (score.targets != scored_count(score)) {
    sum_fault = joined(stream, ": it says ", score.targets, " targets, its list has ", scored_count(score));
  } else if (const std::string missing = missing_targets(score, targets, dropped_tail(*this, targets), &sum_fault_target); !missing.empty()) {
    sum_fault = stream + ": " + missing;
  } else {
    sum_fault_target = -1;
  }
  return score;
}

int64_t first_wrong_prefix(const ScorerBench& bench, std::span<const uint16_t> tokens,
                           const std::function<bool(std::span<const uint16_t>)>& wrong) {
  size_t good = static_cast<size_t>(std::max<int64_t>(1, bench.scorer->hello().min_tokens - 1)), bad = tokens.size();
  while (good + 1 < bad) {
    const size_t middle = (good + bad) / 2;
    (wrong(tokens.first(middle)) ? bad : good) = middle;
  }
  return static_cast<int64_t>(bad) - 1;
}

bool check_repeatable(ScorerBench* bench, Verdict* verdict) {
  bench->base = bench->run(bench->text, "the text");
  if (const auto order = bench->scorer->order(); order && !is_stream_order(*order)) bench->order = *order;
  const double again = largest_difference(bench->base.nll, bench->scorer->score(bench->text).nll);
  Scorer fresh(bench->start);
  const double anew = largest_difference(bench->base.nll, fresh.score(bench->text).nll);
  bench->noise = std::max(again, anew);
  if (bench->noise > kWorstNoise) {
    verdict->fault(Condition::kC4, "repeatable",
                   joined("the same text scores otherwise ", again > kWorstNoise ? "a second time" : "in a fresh process", ", by up to ",
                        bench->noise, " nats; nothing else can be judged"));
    return false;
  }
  verdict->pass(Condition::kC4, "repeatable",
                bench->noise == 0 ? "three runs, one of them in a fresh process, the same bits" : joined("three runs within ", bench->noise, " nats"));
  return true;
}

void check_counts(ScorerBench* bench, Verdict* verdict) {
  const int64_t targets = static_cast<int64_t>(bench->text.size()) - 1, dropped = dropped_tail(*bench, targets);
  if (!bench->sum_fault.empty()) {
    return verdict->fault(Condition::kC4, "every target once", bench->sum_fault, bench->sum_fault_target);
  }
  const std::string tail = dropped > 0 ? joined(" (", dropped, " at the end fill no window, as declared)") : "";
  verdict->pass(Condition::kC4, "every target once",
                joined(targets - dropped, " targets", tail, "; total and count agree with the list in ", bench->scorer->runs(), " runs"));
}

void check_bytes(ScorerBench* bench, Verdict* verdict) {
  const ScorerScore& base = bench->base;
  const double bpb = base.total / (std::numbers::ln2 * static_cast<double>(base.bytes));
  if (!(std::abs(bpb - base.bpb) <= 1e-6 * bpb)) {  // six decimals of a printed number
    verdict->fault(Condition::kBytes, "bits per byte", joined("says ", fixed(base.bpb, 8), ", its total and bytes give ", fixed(bpb, 8)));
  } else {
    verdict->pass(Condition::kBytes, "bits per byte", joined(fixed(base.bpb, 8), " = total / (ln 2 x bytes)"));
  }
  if (bench->tables == nullptr) return verdict->skip(Condition::kBytes, "bytes of each token", "give --tokenizer");
  const auto judge = [&](const Tokens& tokens, const ScorerScore& score, const std::string& stream) {
    const int64_t expected = expected_bytes(*bench->tables, tokens, score);
    if (score.bytes == expected) return true;
    const int64_t target = first_wrong_prefix(*bench, tokens, [&](std::span<const uint16_t> prefix) {
      const ScorerScore part = bench->scorer->score(prefix);
      return part.bytes != expected_bytes(*bench->tables, prefix, part);
    });
    const int id = tokens[static_cast<size_t>(target)], before = tokens[static_cast<size_t>(target) - 1];
    verdict->fault(Condition::kBytes, "bytes of each token",
                   joined(stream, ": says ", score.bytes, " bytes, the tokenizer gives ", expected, "; id ", id, " after ", before, " is ",
                        bench->tables->bytes(id, before), " bytes"),
                   target);
    return false;
  };
  if (!judge(bench->text, base, "the text")) return;
  const Tokens every = every_token(*bench->tables, bench->bos, &bench->random);
  if (judge(every, bench->run(every, "a stream of every id"), "a stream of every id")) {
    verdict->pass(Condition::kBytes, "bytes of each token", joined(base.bytes, " bytes of text, and a stream with every id, as the tokenizer gives"));
  }
}

namespace {

// Phases of the challenge's two clocks (legality: D11); load and compile are reported apart.
constexpr const char* kTrainPhases[] = {"train", "calibrate"};
constexpr const char* kEvalPhases[] = {"precompute", "sort", "score", "update"};
constexpr double kLimitSeconds = 600;

bool among(const std::string& phase, std::span<const char* const> phases) {
  return std::find(phases.begin(), phases.end(), phase) != phases.end();
}

void judge_clock(const char* name, double seconds, Verdict* verdict) {
  const std::string found = joined(fixed(seconds, 3), " s of ", kLimitSeconds);
  if (seconds > kLimitSeconds) {
    verdict->fault(Condition::kTime, name, found);
  } else {
    verdict->pass(Condition::kTime, name, found);
  }
}

}  // namespace

void check_clock(const ScorerBench& bench, Verdict* verdict) {
  if (bench.base.clock.empty()) return verdict->skip(Condition::kTime, "clocks", "the program gives no clock records");
  double train = 0, first = INFINITY, last = -INFINITY;
  for (const ClockRecord& record : bench.base.clock) {
    if (std::isnan(record.end) || record.end < record.begin) {
      return verdict->fault(Condition::kTime, "clocks", "phase " + record.phase + (std::isnan(record.end) ? " has no end" : " ends before it begins"));
    }
    if (among(record.phase, kTrainPhases)) train += record.end - record.begin;
    if (among(record.phase, kEvalPhases)) first = std::min(first, record.begin), last = std::max(last, record.end);
  }
  if (train > 0) judge_clock("training clock", train, verdict);
  if (last < first) return verdict->skip(Condition::kTime, "evaluation clock", "no record of precompute, sort, score or update");
  judge_clock("evaluation clock", last - first, verdict);
}

}  // namespace sixteen
