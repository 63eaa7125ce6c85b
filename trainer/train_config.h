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

struct DataConfig {                 // [train.data]
  std::string loader = "shuffled";  // shuffled: PR 1584, 1555; stream: PR 549, 754; mixture: PR 726
  int64_t rows = 0;                 // stream: windows of a rank's span; mixture: a rank's windows of one plan; 0: of a step
  std::string seed = "path";        // mixture: a 64-bit number as text, "0x1c4e..."; path: from the files' names, as the record
  int64_t ramp_batches = 1800;      // mixture: batches until the mix is widest
  int64_t prefetch = 8;             // micro-batches a rank read ahead by a thread; 0: none. Changes no bit.
};

struct AveragingConfig {           // [train.averaging]; the moving average itself is optim.ema_decay
  std::string select = "ema";      // the checkpoint's weights: raw; ema (raw without one); swa (ema before the first snapshot);
                                   // best_on_val: the best of the three on the validation data, as PR 754 chose
  std::string swa_source = "none";  // mean of snapshots of: none, raw, ema
  int64_t swa_every = 50;           // a snapshot after each step that is a multiple of it
  double swa_below_scale = 0.2;     // while the learning rates are below this share
};

struct QatConfig {             // [train.qat]: fake quantisation in the training forward pass, from some step on
  std::string scope = "none";  // none; projections; matrices (what a start alone means): see FakeQuantConfig
  int64_t low = -32;           // smallest code: -32, or -31 as PR 754's first version
  double start_lr_scale = 0;   // on once the learning rates' multiplier is below it (the records: 0.15), or
  double start_frac = 0;       // on once this share of the budget is spent (0.85); exactly one of both is set
};

struct TrainConfig {
  int64_t seed = 1337;     // of the initial weights; the data order has a seed of its own, as in the records
  int64_t seq_len = 2048;  // tokens of a window
  int64_t windows_per_step = 384;
  int64_t micro_windows = 48;          // windows of one forward and backward pass; gradients are accumulated
  int64_t virtual_ranks = 1;           // data streams (shards r, r + n, ...) that a step draws from in turn
  std::string clip_scope = "reduced";  // reduced: the step's mean gradient is clipped; local: each rank's own (T5)
  std::string clock = "wall";  // wall: schedules follow elapsed / (budget - reserve); steps: they follow step / steps
  int64_t steps = 20000;       // upper bound; with clock = "steps" the length of the run
  double budget_seconds = 600, reserve_seconds = 0;  // of training time (validation and saving not counted)
  double warmdown_frac = 0.667;  // 0 where warmdown_steps acts
  int64_t warmdown_steps = 0;    // the warm-down as a number of steps instead; under clock = "wall" of average steps
  double min_lr = 0;
  OptimConfig optim;
  DataConfig data;
  AveragingConfig averaging;
  QatConfig qat;

  // Cadence: changes no bit of the weights.
  int64_t log_every = 100;          // steps
  int64_t val_every = 0;            // steps; 0: only at the end
  int64_t val_tokens = 0;           // first so many validation tokens; 0: all
  double checkpoint_seconds = 300;  // between checkpoints with resume state; 0: only at the end or when interrupted
};

TrainConfig read_train_config(Section section, const std::string& where);
void validate(const TrainConfig& config, const std::string& where);

// The number that data.seed spells, decimal or 0x and hex; false: it spells none that 64 bits hold.
bool parse_data_seed(const std::string& text, uint64_t* seed);

// SHA-256 in hex of the model config and of every field that decides bits.
std::string config_hash(const ModelConfig& model, const TrainConfig& train);

}  // namespace sixteen
