// See train_config.h.
#include "trainer/train_config.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <initializer_list>
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
  visit("warmdown_steps", &c.warmdown_steps);
  visit("min_lr", &c.min_lr);
}

// What decides bits of [train.data], [train.averaging] and [train.qat].
template <class Visit>
void visit_data(DataConfig& d, const Visit& visit) {
  visit("loader", &d.loader);
  visit("rows", &d.rows);
  visit("seed", &d.seed);
  visit("ramp_batches", &d.ramp_batches);
}

template <class Visit>
void visit_averaging(AveragingConfig& a, const Visit& visit) {
  visit("select", &a.select);
  visit("swa_source", &a.swa_source);
  visit("swa_every", &a.swa_every);
  visit("swa_below_scale", &a.swa_below_scale);
}

template <class Visit>
void visit_qat(QatConfig& q, const Visit& visit) {
  visit("scope", &q.scope);
  visit("low", &q.low);
  visit("start_lr_scale", &q.start_lr_scale);
  visit("start_frac", &q.start_frac);
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

bool one_of(const std::string& value, std::initializer_list<const char*> names) {
  return std::find(names.begin(), names.end(), value) != names.end();
}

// `key = "value": expected one of ...`
void require_one_of(const std::string& value, std::initializer_list<const char*> names, const std::string& where,
                    const std::string& key) {
  std::string list;
  for (const char* name : names) list += (list.empty() ? "\"" : ", \"") + std::string(name) + "\"";
  require(one_of(value, names), where, key + " = \"" + value + "\": expected one of " + list);
}

void validate_data(const TrainConfig& c, const std::string& where) {
  const DataConfig& d = c.data;
  require_one_of(d.loader, {"shuffled", "stream", "mixture"}, where, "data.loader");
  require(d.rows >= 0, where, "data.rows = " + std::to_string(d.rows) + ": expected 0 (a step's) or more");
  require(d.rows == 0 || d.loader != "shuffled", where,
          "data.rows = " + std::to_string(d.rows) + ": the shuffled order has no spans or plans; leave it out");
  uint64_t seed = 0;
  require(d.seed == "path" || parse_data_seed(d.seed, &seed), where,
          "data.seed = \"" + d.seed + "\": expected \"path\" or a 64-bit number as text, such as \"0x1c4ef7d1e32f71f5\"");
  require(d.seed == "path" || d.loader == "mixture", where,
          "data.seed = \"" + d.seed + "\": only the mixture takes a seed, not data.loader = \"" + d.loader + "\"");
  require(d.ramp_batches >= 1, where, "data.ramp_batches: expected 1 or more");
  require(d.prefetch >= 0 && d.prefetch <= 1024, where,
          "data.prefetch = " + std::to_string(d.prefetch) + ": expected 0 (no thread) to 1024 micro-batches");
}

void validate_averaging(const TrainConfig& c, const std::string& where) {
  const AveragingConfig& a = c.averaging;
  require_one_of(a.select, {"raw", "ema", "swa", "best_on_val"}, where, "averaging.select");
  require_one_of(a.swa_source, {"none", "raw", "ema"}, where, "averaging.swa_source");
  require(a.swa_source != "ema" || c.optim.ema_decay > 0, where,
          "averaging.swa_source = \"ema\": there is none while optim.ema_decay is 0; set it, or take \"raw\"");
  require(a.select != "swa" || a.swa_source != "none", where,
          "averaging.select = \"swa\": no snapshots are taken while averaging.swa_source is \"none\"");
  require(a.swa_every >= 1, where, "averaging.swa_every: expected 1 or more steps");
  require(a.swa_below_scale > 0 && std::isfinite(a.swa_below_scale), where,
          "averaging.swa_below_scale: expected above 0, a multiplier of the learning rates");
}

void validate_qat(const TrainConfig& c, const std::string& where) {
  const QatConfig& q = c.qat;
  require_one_of(q.scope, {"none", "projections", "matrices"}, where, "qat.scope");
  require(q.low == -32 || q.low == -31, where, "qat.low = " + std::to_string(q.low) + ": expected -32 or -31");
  require(q.start_lr_scale >= 0 && std::isfinite(q.start_lr_scale), where,
          "qat.start_lr_scale: expected 0 (unused) or more, a multiplier of the learning rates");
  require(q.start_frac >= 0 && q.start_frac <= 1, where, "qat.start_frac: expected 0 (unused) to 1");
  require(q.scope == "none" || (q.start_lr_scale > 0) != (q.start_frac > 0), where,
          "qat.scope = \"" + q.scope + "\": expected exactly one of qat.start_lr_scale and qat.start_frac above 0");
}

}  // namespace

bool parse_data_seed(const std::string& text, uint64_t* seed) {
  const bool hex = text.starts_with("0x");
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + (hex ? 2 : 0), end, *seed, hex ? 16 : 10);
  return error == std::errc() && stop == end;
}

TrainConfig read_train_config(Section section, const std::string& where) {
  TrainConfig config;
  const auto read_from = [](Section& from) {
    return [&from](const char* key, auto* field) { from.read(key, field); };
  };
  visit_deciding(config, read_from(section));
  if (config.warmdown_steps > 0 && !section.has("warmdown_frac")) config.warmdown_frac = 0;
  visit_cadence(config, read_from(section));
  Section optim = section.table("optim"), data = section.table("data");
  Section averaging = section.table("averaging"), qat = section.table("qat");
  visit_optim(config.optim, read_from(optim));
  visit_data(config.data, read_from(data));
  data.read("prefetch", &config.data.prefetch);
  visit_averaging(config.averaging, read_from(averaging));
  visit_qat(config.qat, read_from(qat));
  if (!qat.has("scope") && (config.qat.start_lr_scale > 0 || config.qat.start_frac > 0)) config.qat.scope = "matrices";
  for (const Section* part : {&optim, &data, &averaging, &qat, &section}) part->finish();
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
  require(c.warmdown_steps >= 0, where, "warmdown_steps: expected 0 (warmdown_frac acts) or more");
  require(c.warmdown_steps == 0 || c.warmdown_frac == 0, where,
          "warmdown_steps = " + std::to_string(c.warmdown_steps) +
              ": exactly one of warmdown_frac and warmdown_steps acts; leave warmdown_frac out or set it to 0");
  require(c.min_lr >= 0 && c.min_lr <= 1, where, "min_lr: expected 0 to 1, a multiplier of the learning rates");
  require(c.checkpoint_seconds >= 0, where, "checkpoint_seconds: expected 0 or more");
  require(c.log_every >= 1 && c.val_every >= 0 && c.val_tokens >= 0, where,
          "log_every, val_every, val_tokens: expected 0 or more (log_every 1)");
  validate_data(c, where);
  validate_averaging(c, where);
  validate_qat(c, where);
  OptimConfig copy = c.optim;
  visit_optim(copy, [&](const char* key, const auto* field) {
    if constexpr (!std::is_same_v<decltype(field), const std::string*>) {
      const double value = static_cast<double>(*field);
      require(value >= 0 && std::isfinite(value), where,
              std::string("optim.") + key + ": expected a finite number, 0 or more");
    }
  });
  require_one_of(c.optim.muon_shape, {"matrix", "bank"}, where, "optim.muon_shape");
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
  const auto write = [&](const std::string& prefix) {
    return [&json, prefix](const char* key, const auto* field) { json[prefix + key] = *field; };
  };
  visit_deciding(copy, write(""));
  visit_optim(copy.optim, write(""));
  visit_data(copy.data, write("data."));
  visit_averaging(copy.averaging, write("averaging."));
  visit_qat(copy.qat, write("qat."));
  const std::string text = to_json(model) + json.dump();
  return to_hex(sha256(std::as_bytes(std::span(text))));
}

}  // namespace sixteen
