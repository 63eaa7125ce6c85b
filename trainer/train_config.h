// What a training run does besides the model: the [train] section of a config file.
//
// Bites: every field below decides bits of the result except the ones under "cadence"; config_hash() covers exactly those
// that do, and a resume with another hash is refused.
#pragma once

#include <cstdint>
#include <string>

#include "formats/config_file.h"
#include "model/config.h"
#include "model/optim.h"

namespace sixteen {

struct TrainConfig {
  int64_t seed = 1337;     // of the initial weights; the data order is seeded by rank alone, as in the records
  int64_t seq_len = 2048;  // tokens of a window
  int64_t windows_per_step = 384;
  int64_t micro_windows = 48;          // windows of one forward and backward pass; gradients are accumulated
  int64_t virtual_ranks = 1;           // data streams (shards r, r + n, ...) that a step draws from in turn
  std::string clip_scope = "reduced";  // reduced: the step's mean gradient is clipped; local: each rank's own (T5)
  std::string clock = "wall";  // wall: schedules follow elapsed / (budget - reserve); steps: they follow step / steps
  int64_t steps = 20000;       // upper bound; with clock = "steps" the length of the run
  double budget_seconds = 600, reserve_seconds = 0;  // of training time (validation and saving not counted)
  double warmdown_frac = 0.667, min_lr = 0;
  OptimConfig optim;

  // Cadence: changes no bit of the weights.
  int64_t log_every = 100;          // steps
  int64_t val_every = 0;            // steps; 0: only at the end
  int64_t val_tokens = 0;           // first so many validation tokens; 0: all
  double checkpoint_seconds = 300;  // between checkpoints with resume state; 0: only at the end or when interrupted
};

TrainConfig read_train_config(Section section, const std::string& where);
void validate(const TrainConfig& config, const std::string& where);

// SHA-256 in hex of the model config and of every field that decides bits.
std::string config_hash(const ModelConfig& model, const TrainConfig& train);

}  // namespace sixteen
