// See train_config.h.
#include "trainer/train_config.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "formats/error.h"
#include "formats/sha256.h"

namespace sixteen {
namespace {

// Every optimiser field once, for reading and for hashing.
template <class Visit>
void visit_optim(OptimConfig& o, const Visit& visit) {
  visit("matrix_lr", &o.matrix_lr);
  visit("token_lr", &o.token_lr);
  visit("scalar_lr", &o.scalar_lr);
  visit("head_lr", &o.head_lr);
  visit("matrix_wd", &o.matrix_wd);
  visit("token_wd", &o.token_wd);
  visit("scalar_wd", &o.scalar_wd);
  visit("momentum_start", &o.momentum_start);
  visit("momentum_end", &o.momentum_end);
  visit("momentum_steps", &o.momentum_steps);
  visit("ns_steps", &o.ns_steps);
  visit("row_norm", &o.row_norm);
  visit("muon_shape", &o.muon_shape);
  visit("beta1", &o.beta1);
  visit("beta2", &o.beta2);
  visit("eps", &o.eps);
  visit("clip_norm", &o.clip_norm);
  visit("ema_decay", &o.ema_decay);
  visit("muon_bf16", &o.muon_bf16);
  visit("momentum_bf16", &o.momentum_bf16);
  visit("token_bf16", &o.token_bf16);
}

template <class Visit>
void visit_deciding(TrainConfig& c, const Visit& visit) {
  visit("seed", &c.seed);
  visit("seq_len", &c.seq_len);
  visit("windows_per_step", &c.windows_per_step);
  visit("micro_windows", &c.micro_windows);
  visit("virtual_ranks", &c.virtual_ranks);
  visit("clip_scope", &c.clip_scope);
  visit("clock", &c.clock);
  visit("steps", &c.steps);
  visit("budget_seconds", &c.budget_seconds);
  visit("reserve_seconds", &c.reserve_seconds);
  visit("warmdown_frac", &c.warmdown_frac);
  visit("min_lr", &c.min_lr);
}

template <class Visit>
void visit_cadence(TrainConfig& c, const Visit& visit) {
  visit("log_every", &c.log_every);
  visit("val_every", &c.val_every);
  visit("val_tokens", &c.val_tokens);
  visit("checkpoint_seconds", &c.checkpoint_seconds);
}

void require(bool good, const std::string& where, const std::string& message) {
  if (!good) fail(where, ": [train] ", message);
}

}  // namespace

TrainConfig read_train_config(Section section, const std::string& where) {
  TrainConfig config;
  const auto read = [&](const char* key, auto* field) { section.read(key, field); };
  visit_deciding(config, read);
  visit_cadence(config, read);
  Section optim = section.table("optim");
  visit_optim(config.optim, [&](const char* key, auto* field) { optim.read(key, field); });
  optim.finish();
  section.finish();
  validate(config, where);
  return config;
}

void validate(const TrainConfig& c, const std::string& where) {
  require(c.seed >= 0, where, "seed: expected 0 or more");
  require(c.seq_len >= 1 && c.seq_len <= 1 << 20, where, "seq_len: expected 1 to 1048576");
  require(c.windows_per_step >= 1, where, "windows_per_step: expected 1 or more");
  require(c.virtual_ranks >= 1 && c.windows_per_step % c.virtual_ranks == 0, where,
          "virtual_ranks: expected a divisor of windows_per_step");
  require(c.micro_windows >= 1 && c.windows_per_step / c.virtual_ranks % c.micro_windows == 0, where,
          "micro_windows: expected a divisor of windows_per_step / virtual_ranks");
  require(c.clip_scope == "reduced" || c.clip_scope == "local", where, "clip_scope: expected \"reduced\" or \"local\"");
  require(c.clock == "wall" || c.clock == "steps", where, "clock: expected \"wall\" or \"steps\"");
  require(c.steps >= 1, where, "steps: expected 1 or more");
  require(c.reserve_seconds >= 0 && c.budget_seconds > c.reserve_seconds && std::isfinite(c.budget_seconds), where,
          "budget_seconds: expected more than reserve_seconds, which is 0 or more");
  require(c.warmdown_frac >= 0 && c.warmdown_frac <= 1, where, "warmdown_frac: expected 0 to 1");
  require(c.min_lr >= 0 && c.min_lr <= 1, where, "min_lr: expected 0 to 1, a multiplier of the learning rates");
  require(c.checkpoint_seconds >= 0, where, "checkpoint_seconds: expected 0 or more");
  require(c.log_every >= 1 && c.val_every >= 0 && c.val_tokens >= 0, where,
          "log_every, val_every, val_tokens: expected 0 or more (log_every 1)");
  OptimConfig copy = c.optim;
  visit_optim(copy, [&](const char* key, const auto* field) {
    if constexpr (!std::is_same_v<decltype(field), const std::string*>) {
    const double value = static_cast<double>(*field);
    require(value >= 0 && std::isfinite(value), where,
            std::string("optim.") + key + ": expected a finite number, 0 or more");
    }
  });
  require(c.optim.muon_shape == "matrix" || c.optim.muon_shape == "bank", where,
          "optim.muon_shape: expected \"matrix\" or \"bank\"");
  require(c.optim.ns_steps >= 1, where, "optim.ns_steps: expected 1 or more");
  require(c.optim.beta1 < 1 && c.optim.beta2 < 1, where, "optim.beta1, optim.beta2: expected below 1");
  require(c.optim.momentum_start < 1 && c.optim.momentum_end < 1, where,
          "optim.momentum_start, optim.momentum_end: expected below 1");
  require(c.optim.ema_decay < 1, where, "optim.ema_decay: expected 0 (none) to below 1");
  require(c.optim.momentum_steps >= 1, where, "optim.momentum_steps: expected 1 or more");
}

std::string config_hash(const ModelConfig& model, const TrainConfig& train) {
  nlohmann::ordered_json json;
  TrainConfig copy = train;
  const auto write = [&](const char* key, const auto* field) { json[key] = *field; };
  visit_deciding(copy, write);
  visit_optim(copy.optim, write);
  const std::string text = to_json(model) + json.dump();
  return to_hex(sha256(std::as_bytes(std::span(text))));
}

}  // namespace sixteen
