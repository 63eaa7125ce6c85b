// `sixteen-eval verify`: which checks run on what; each one's work is in a file of its own (verify_*.h, scorer_*.h).
#pragma once

#include <cstdint>
#include <string>

#include "evaluator/verdict.h"
#include "model/console.h"

namespace sixteen {

struct VerifyOptions {
  std::string ledger;                 // folder; empty: a program is under test (--scorer)
  std::string artifact, data, tokenizer, text, report, device = "cpu";
  std::string replay;                 // "": none; a number of chunks; "all"
  int64_t perturb = 0, normalised = 0, random_stream = 0;
  int64_t seed = 0;                   // which chunks, cuts and positions; 0: drawn from the ledger's last hash
  bool reference = false;
  int threads = 0;
  Console console;
};

}  // namespace sixteen
