// One scoring run from a method to its outcome, and what is said about it: the same words and numbers on the console, in
// --json and in the report.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "evaluator/score_run.h"
#include "formats/tokenizer.h"
#include "model/console.h"

namespace sixteen {

class ScoreWitness;

struct ScoreOutcome {
  ScoreSum sum;
  std::vector<Window> windows;  // in scoring order
  int64_t dropped = 0;          // targets at the end that drop_tail leaves out
  Coverage coverage;            // of the targets before them
  TapInCounts tap_in;
  int64_t ttt_steps = 0;
  double seconds = 0;
  std::vector<float> nll;       // as score_windows() fills it, when asked for
};

// Enables the hash embedding, scores all of `tokens`, shows progress. bos: the id that begins documents (Tap-In). witness may be
// null. With ranks it is collective, and every one of them has the outcome.
ScoreOutcome run_scoring(const ScoreMethod& method, Session* session, std::span<const uint16_t> tokens, const ByteTables& tables,
                         int32_t bos, bool keep_nll, const Console& console, ScoreWitness* witness = nullptr);

// "sliding windows of 2048, stride 64, ..." in one line.
std::string method_text(const ScoreMethod& method);

// What a reader must know beside the score, in sentences: parity rules, a dropped tail, Tap-In. Often none.
std::vector<std::string> score_notes(const ScoreMethod& method, const ScoreOutcome& outcome);

// Every setting that moves the score, one a row: name, value.
std::vector<std::pair<std::string, std::string>> settings(const ScoreMethod& method);

// bpb, sums, coverage, method, and with Tap-In its settings and counts.
nlohmann::json score_json(const ScoreMethod& method, const ScoreOutcome& outcome);

}  // namespace sixteen
