// What a program under test is put through (legality: 4.1 to 4.7, level b). Each check runs the program on streams made for it
// and tells the verdict what it saw; scorer_verify.cpp decides which run.
//
// Bites: the program is a black box that may know it is tested: a check shows what this run did, no more. Differences are compared
// with the noise of three equal runs (or --tolerance): a program without noise must not move by a bit. Targets are numbered
// from 1, as positions of the stream; nll[t - 1] belongs to target t.
#pragma once

#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "evaluator/scorer_client.h"
#include "evaluator/scorer_streams.h"
#include "evaluator/verdict.h"

namespace sixteen {

// The parts as operator<< prints them.
template <class... Parts>
std::string joined(const Parts&... parts) {
  std::ostringstream line;
  (line << ... << parts);
  return line.str();
}

struct ScorerSettings {
  int64_t cuts = 16;        // places after which the text is changed
  int64_t positions = 16;   // targets whose distribution is looked at
  int64_t random = 0;       // tokens of random streams; 0: as many as the text has
  int64_t feed = 256;       // tokens handed over one by one
  int64_t short_text = 512;  // tokens of the text for what takes a run an id of the alphabet
  double tolerance = 0;     // nats
};

// A running program with the text it is tested on.
struct ScorerBench {
  ScorerBench(Scorer* running, const Scorer::Options& options) : scorer(running), start(options), random(static_cast<uint64_t>(options.seed)) {}

  Scorer* scorer;
  Scorer::Options start;   // to start it anew
  ScorerSettings settings;
  Tokens text, other;      // what is scored; what tails are taken from
  Tokens ids;              // distinct ids of the text but BOS
  int32_t bos = 1;
  int64_t vocab = 0;       // 0: unknown
  const ByteTables* tables = nullptr;
  NumpyRandom random;

  ScorerScore base;              // of the text
  std::vector<int64_t> order;    // of the base run, where it is not the stream's; else empty
  double noise = 0;              // nats by which equal runs differ at most
  std::string sum_fault;         // the first run whose sums contradict its list, in words
  int64_t sum_fault_target = -1;

  double tolerance() const;
  bool weak() const { return !order.empty(); }
  // Scores and compares the sums with the list; `stream` names the run.
  ScorerScore run(std::span<const uint16_t> tokens, const std::string& stream);
};

// Targets that `drop_tail` leaves out of n.
int64_t dropped_tail(const ScorerBench& bench, int64_t targets);

// The shortest prefix tokens[0 .. n] that `wrong` says yes to, by bisection, n the last target of it; the whole stream must be wrong.
int64_t first_wrong_prefix(const ScorerBench& bench, std::span<const uint16_t> tokens,
                           const std::function<bool(std::span<const uint16_t>)>& wrong);

// The first target whose score moved although no token before or at it differs, or that was scored at another time.
struct Moved {
  int64_t target = 0;  // the earliest of them in the stream
  int64_t count = 0;
  double most = 0;     // nats
};
// tokens up to `cut` are equal in both runs. Orders empty: the stream's (strong form).
std::optional<Moved> first_moved(const ScorerScore& a, const std::vector<int64_t>& order_a, const ScorerScore& b,
                                 const std::vector<int64_t>& order_b, int64_t cut, double tolerance);

// Three equal runs, one of them in a fresh process; fills base, order and noise. False: too noisy to be judged.
bool check_repeatable(ScorerBench* bench, Verdict* verdict);
void check_counts(ScorerBench* bench, Verdict* verdict);        // every target once; call it last: it reports sums of all runs
void check_bytes(ScorerBench* bench, Verdict* verdict);
void check_future(ScorerBench* bench, Verdict* verdict);        // changes after cuts
void check_canary(ScorerBench* bench, Verdict* verdict);
void check_isolation(ScorerBench* bench, Verdict* verdict);
void check_feed(ScorerBench* bench, Verdict* verdict);
void check_distribution(ScorerBench* bench, Verdict* verdict);  // sums to one, blind to the target
void check_random_streams(ScorerBench* bench, Verdict* verdict);
void check_clock(const ScorerBench& bench, Verdict* verdict);
// Scores of `official` and of `twin`, a text of the same kind that nobody can have seen.
void check_twin(ScorerBench* bench, std::span<const uint16_t> official, std::span<const uint16_t> twin, Verdict* verdict);
// Runs once more under a trace: every file it opens must lie under one of the allowed paths or be made by itself.
void check_files(const ScorerBench& bench, const std::vector<std::string>& allowed, Verdict* verdict);

}  // namespace sixteen
