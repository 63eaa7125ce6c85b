// A run small enough for tests (31 k parameters, a few milliseconds a step) that has what can go wrong between two
// steps: a loop that switches on, two lanes, two shards, averages, roundings.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "formats/file.h"
#include "formats/safetensors.h"
#include "formats/shard.h"
#include "formats/train_state.h"
#include "tests/support/scratch.h"
#include "trainer/trainer.h"

namespace sixteen::testing {

constexpr int64_t kTinyVocab = 64;

// Tokens that mostly follow from the one before, so that a loss can fall: x -> 5 x + 3, every seventh one is anything.
inline std::vector<uint16_t> learnable_tokens(int64_t count, uint64_t seed, int64_t vocab = kTinyVocab) {
  std::vector<uint16_t> tokens;
  uint64_t random = seed * 2 + 1, x = seed;
  for (int64_t i = 0; i < count; ++i) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    x = i % 7 == 0 ? random >> 33 : 5 * x + 3;
    x %= static_cast<uint64_t>(vocab);
    tokens.push_back(static_cast<uint16_t>(x));
  }
  return tokens;
}

inline void write_tiny_shards(const Scratch& scratch, int count = 2, int64_t vocab = kTinyVocab) {
  for (int i = 0; i < count; ++i) {
    write_shard(scratch.path("tiny_train_" + std::to_string(i) + ".bin"), learnable_tokens(3000 + 100 * i, i, vocab));
  }
}

// 20 steps; the loop switches on at step 10.
inline const char* tiny_toml() {
  return R"([model]
vocab = 64
layers = 4
dim = 32
heads = 4
kv_heads = 2
mlp_hidden = 64
xsa_last_n = 4
embed_init_std = 0.02
[model.rope]
dims = 4
train_len = 32
[model.loop]
start = 1
end = 2
extra_passes = 1
at_frac = 0.5
[model.parallel]
kind = "two_lane"
start_layer = 3
[train]
seq_len = 32
windows_per_step = 4
micro_windows = 2
clock = "steps"
steps = 20
warmdown_frac = 0.6
log_every = 5
checkpoint_seconds = 0.0
[train.optim]
token_bf16 = true
momentum_steps = 15
ema_decay = 0.9
)";
}

inline RunOptions tiny_run(const Scratch& scratch, const std::string& out) {
  ConfigFile file = ConfigFile::parse(tiny_toml(), "tiny.toml");
  RunOptions o;
  o.model = read_model_config(file.section("model"), "tiny.toml");
  o.train = read_train_config(file.section("train"), "tiny.toml");
  o.data = scratch.folder();
  o.out = scratch.path(out);
  o.threads = 1;
  o.console.quiet = true;
  return o;
}

// All that a resume state says but the seconds that the run took, which no two runs share.
inline std::string state_but_time(const std::string& path) {
  const TrainStateFile file(path);
  std::string text = std::to_string(file.progress().step) + " " + file.progress().config_hash;
  for (const auto& [key, value] : file.progress().loader) text += " " + key + " " + value;
  return text + " " + content_hash(file.tensors(), {});
}

}  // namespace sixteen::testing
