// The line protocol of docs/SCORER.md from the verifier's side: a foreign program as an object with load, score, dist, feed,
// order and reset. Only score must be there; the others say whether they are.
//
// Bites: every reply is checked for form (JSON, id, types, lengths), never for truth: that is what scorer_checks.h is for. nats are
// doubles as the program wrote them; a target it did not score is NaN. Every failure is an Error of one line.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "evaluator/scorer_process.h"

namespace sixteen {

// A phase of the program's own clock, seconds. A phase that began and did not end has end = NaN.
struct ClockRecord {
  std::string phase;  // docs/SCORER.md lists the known ones
  double begin = 0, end = 0;
};

struct ScorerScore {
  std::vector<double> nll;  // nll[i]: nats of target i + 1; NaN: not scored. As long as the program made it
  double total = 0;         // nats, as the program sums them
  int64_t targets = 0, bytes = 0;
  double bpb = 0;
  std::vector<ClockRecord> clock;
};

// What load's reply declares; all optional.
struct ScorerHello {
  std::string name;
  int64_t vocab = 0;              // 0: not said
  bool document_isolation = false;  // scores in a document depend on that document alone
  int64_t drop_tail = 0;          // the last targets mod this many are not scored; 0: all are
  bool knows_length = false;      // the stream's length moves scores (a schedule): side information
  int64_t min_tokens = 2;         // fewer tokens than this it cannot score
};

class Scorer {
 public:
  struct Options {
    std::string command, artifact;
    int64_t seed = 1;
    double timeout_s = 600;
    int trace_fd = -1;
  };
  explicit Scorer(const Options& options);  // starts it and loads

  const ScorerHello& hello() const { return hello_; }
  // A complete run over tokens[0 ..] from the loaded state.
  ScorerScore score(std::span<const uint16_t> tokens);
  // ln p over all ids for target `at`, given all of `tokens`; -inf: probability 0.
  std::optional<std::vector<double>> dist(std::span<const uint16_t> tokens, int64_t at);
  // Hands over the next token of a stream that began at reset(); ln p over all ids of the one after it.
  std::optional<std::vector<double>> feed(uint16_t token);
  // Targets in the order in which the last score() scored them.
  std::optional<std::vector<int64_t>> order();
  bool reset();

  int64_t runs() const { return runs_; }  // score() so far
  void end() { process_.end(); }

 private:
  std::optional<nlohmann::json> ask(const char* op, nlohmann::json request, size_t numbers);
  std::optional<std::vector<double>> log_probabilities(const char* op, nlohmann::json request);

  ScorerProcess process_;
  ScorerHello hello_;
  std::set<std::string> missing_;  // hooks that it said it does not have
  int64_t id_ = 0, runs_ = 0;
};

}  // namespace sixteen
