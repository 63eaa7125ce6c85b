// The flags that say how a text is scored, shared by the commands that score one. Flags win over the config file.
#pragma once

#include <cstdint>
#include <string>

#include "evaluator/score_run.h"
#include "model/config.h"

namespace CLI {
class App;
}

namespace sixteen {

struct MethodFlags {  // as they come: absent ones are empty, 0 or -1
  std::string config, edge, tap_in;
  int64_t window = 0, stride = 0, batch = 0, hash_buckets = 0, ttt_epochs = -1;
  double ttt_lr = -1;
  bool sliding = false, ttt = false, hash = false;
};

void add_method_options(CLI::App* command, MethodFlags* flags);

// Fills in what flags imply; throws UsageError for flags that make no sense together.
void settle_flags(MethodFlags* flags);

// Settled flags and the config file, validated. Throws Error naming the file or "command line".
ScoreMethod read_method(const MethodFlags& flags, const ModelConfig& model);

}  // namespace sixteen
