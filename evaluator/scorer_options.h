// `sixteen-eval verify --scorer 'CMD'`: the options that only a program under test has. Those that ledgers have too are in verify.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace sixteen {

struct ScorerVerifyOptions {
  std::string command;             // --scorer; empty: none
  std::string twin;                // pattern of shards
  std::vector<std::string> allow;  // paths that the program may open
  bool trace = false;
  int64_t tokens = 4096, twin_tokens = 200000, feed = 256, short_text = 512;
  double tolerance = 0, timeout_s = 600;  // nats; seconds a reply
};

void add_scorer_options(CLI::App* command, ScorerVerifyOptions* options);

struct VerifyOptions;
class Verdict;
// Runs every check that the given files and hooks allow. Throws Error when the program fails or breaks the protocol.
Verdict verify_scorer(const VerifyOptions& options);

}  // namespace sixteen
