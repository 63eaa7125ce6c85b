// `sixteen-eval verify` of a ledger: the options, what the checks share, and the checks themselves, each in a file of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "evaluator/ledger.h"
#include "evaluator/scorer_options.h"
#include "evaluator/verdict.h"
#include "formats/tokenizer.h"
#include "model/checkpoint.h"
#include "model/console.h"

namespace sixteen {

struct VerifyOptions {
  std::string ledger;                 // folder
  std::string artifact, data, tokenizer, text, report, device = "cpu";
  std::string replay;                 // "": none; a number of chunks; "all"
  int64_t perturb = 0, normalised = 0, random_stream = 0;
  int64_t seed = 0;                   // which chunks, cuts and positions; 0: drawn from the ledger's last hash
  bool reference = false;
  double limit_s = 600;               // of the evaluation's clock; 0: not judged
  int threads = 0;
  ScorerVerifyOptions scorer;         // what only a program under test has
  Console console;
};

// A score record that was found in order.
struct ScoredChunk {
  int64_t chunk = 0;
  size_t first_nll = 0, count = 0;
  int64_t first_target = 0, last_target = 0;
  size_t state = 0;                   // record
  double nats = 0;
  int64_t bytes = 0;
};

// A ledger and the files it speaks of, once its structure holds.
struct LedgerCase {
  std::string folder;
  Ledger ledger;
  Model model;
  int32_t bos = 1;
  ByteTables tables;
  std::vector<uint16_t> tokens;
  std::vector<float> nll;             // in the order of scoring
  ScoreMethod method;
  std::vector<ScoredChunk> chunks;
  bool complete = false;              // it has a final record
};

// What random choices depend on: --seed, or the last hash of the ledger, which its writer cannot choose at will.
uint64_t verify_seed(const VerifyOptions& options, const LedgerCase& ledger);

// verify_ledger.cpp: chain, files, coverage, order, updates, digests, sums, bytes, clocks. Everything but execution. Null when what is
// there cannot be gone through to its end.
std::unique_ptr<LedgerCase> check_ledger(const VerifyOptions& options, Verdict* verdict);

// verify_replay.cpp: executes chunks again (on `device`, or with plain fp64 ops) and compares losses, digests and updates.
void check_replay(const VerifyOptions& options, const LedgerCase& ledger, Verdict* verdict);

// verify_perturb.cpp: tokens behind a cut are changed; scores up to it must not move by a bit, across test-time updates too.
void check_perturbed(const VerifyOptions& options, const LedgerCase& ledger, Verdict* verdict);

// verify_distribution.cpp: distributions at sampled positions sum to one and do not move with the target; on random tokens no mean
// loss falls below ln V'.
void check_normalised(const VerifyOptions& options, const LedgerCase& ledger, Verdict* verdict);
void check_random_stream(const VerifyOptions& options, const LedgerCase& ledger, Verdict* verdict);

// verify_text.cpp: the raw documents, encoded, are the scored tokens, and their bytes are the denominator.
void check_text(const VerifyOptions& options, const LedgerCase& ledger, Verdict* verdict);

}  // namespace sixteen
