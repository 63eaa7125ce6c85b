// See trainer.h: what a run is made of, and one step of it; train_loop.cpp repeats the step.
#include "trainer/trainer.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "formats/error.h"
#include "formats/file.h"
#include "model/process_clock.h"
#include "model/schedule.h"
#include "trainer/device_setup.h"
#include "trainer/train_data.h"

namespace sixteen {
namespace {

ScheduleConfig schedule(const TrainConfig& c) {
  return {.warmdown_frac = c.warmdown_frac,
          .warmdown_steps = c.warmdown_steps,
          .min_lr = c.min_lr,
          .momentum_start = c.optim.momentum_start,
          .momentum_end = c.optim.momentum_end,
          .momentum_steps = c.optim.momentum_steps};
}

// Learns before the first step, not after the last, that the outputs cannot be written.
void check_writable(const char* flag, const std::string& path) {
  const std::filesystem::path folder = std::filesystem::absolute(path).parent_path();
  if (!std::filesystem::is_directory(folder)) fail(flag, " ", path, ": no folder ", folder.string(), "; make it first");
  if (std::filesystem::is_directory(path)) fail(flag, " ", path, ": expected a file to write, found a folder");
  OutputFile probe(path + ".probe");
}

}  // namespace

Trainer::Trainer(const RunOptions& options)
    : options_(options),
      share_(options.train, options.world ? options.world->rank() : 0, options.world ? options.world->size() : 1),
      table_(std::make_shared<ParamTable>(options.model)),
      swa_(table_) {
  const TrainConfig& c = options_.train;
  if (c.averaging.select == "best_on_val" && options_.val.empty()) {
    fail("[train] averaging.select = \"best_on_val\": needs validation data; give --val and --tokenizer");
  }
  if (c.qat.scope == "projections" && !table_->find("bigram.proj.weight") && !table_->find("ve_shared.proj.weight")) {
    fail("[train] qat.scope = \"projections\": the model has none (no bigram, no value embeddings); take \"matrices\"");
  }
  if (writes()) check_writable("--out", options_.out);
  if (writes() && !options_.hessians.empty()) check_writable("--hessians", options_.hessians);
  if (options_.resume && !std::filesystem::exists(state_path())) {
    fail(state_path(), ": not found, so there is no run to resume; start it without --resume");
  }
  loaders_ = make_train_loaders(c, options_.data, options_.model.vocab, share_.streams.first, share_.streams.count);
  if (!options_.val.empty()) {
    validation_ =
        std::make_unique<Validation>(options_.val, options_.tokenizer, options_.model.vocab, c.seq_len, c.val_tokens);
  }
  const std::shared_ptr<Device> device = make_device(options_.device, options_.threads, options_.world);
  use_measured_products(device.get(), options_.console);
  session_ = std::make_unique<Session>(device, options_.model, table_);
  ParamStore store(table_);
  initialise(options_.model, static_cast<uint64_t>(c.seed), &store);
  session_->set_weights(store);  // before the optimiser, whose average starts from these weights
  optimizer_ = std::make_unique<Optimizer>(session_.get(), c.optim, !share_.clips_leaves);
  tree_ = share_.make_tree(session_.get());
  reserve_training(session_.get(), c, "lower [train] micro_windows (now " + std::to_string(c.micro_windows) + ")", validation_ != nullptr);
  const size_t micro = static_cast<size_t>(c.micro_windows * c.seq_len);
  ids_.resize(micro);
  targets_.resize(micro);
  row_weight_.resize(micro);
  const std::string log = options_.log.empty() ? options_.out + ".log.jsonl" : options_.log;
  log_ = std::make_unique<TrainLog>(options_.console, writes() ? log : "", options_.resume);
  if (options_.resume) restore_state();
}

Trainer::~Trainer() = default;

double Trainer::frac() const {
  const TrainConfig& c = options_.train;
  if (c.clock == "steps") return progress(static_cast<double>(step_), static_cast<double>(c.steps));
  return progress(train_seconds_, c.budget_seconds - c.reserve_seconds);
}

double Trainer::scheduled_lr() const {
  const TrainConfig& c = options_.train;
  const ScheduleConfig plan = schedule(c);
  if (c.warmdown_steps == 0) return lr_scale(plan, frac());
  if (c.clock == "steps") return lr_scale_by_steps(plan, step_, c.steps);
  return lr_scale_by_time(plan, step_, train_seconds_, c.budget_seconds - c.reserve_seconds);
}

bool Trainer::looping() const {
  return options_.model.loop.extra_passes > 0 && looping_at(frac(), options_.model.loop.at_frac);
}

bool Trainer::finished() const {
  const TrainConfig& c = options_.train;
  if (step_ >= c.steps) return true;
  return c.clock == "wall" && train_seconds_ >= c.budget_seconds - c.reserve_seconds;
}

void Trainer::accumulate(double* loss) {
  const TrainConfig& c = options_.train;
  for (int64_t i = 0; i < share_.streams.count; ++i) {
    for (int64_t micro = 0; micro < share_.micro_batches; ++micro) {
      loaders_[static_cast<size_t>(i)]->next_batch(c.micro_windows, ids_.data(), targets_.data());
      if (!share_.owns(share_.leaf_of(share_.streams.first + i, micro))) continue;
      ranks().alive();
      if (session_->in_flight() == Session::kPasses) *loss += session_->collect_loss();
      session_->submit_train(ids_, targets_, row_weight_, c.micro_windows, c.seq_len, looping());
      if (share_.ends_leaf(micro)) tree_->add_leaf();
    }
  }
}

void Trainer::check_finite(double loss) const {
  if (std::isfinite(loss) && std::isfinite(last_norm_)) return;
  fail("step ", step_ - 1, ": loss ", loss, ", gradient norm ", last_norm_,
       ": the run diverged and was stopped; the last checkpoint is untouched; lower the learning rates");
}

void Trainer::set_fake_quant() {
  const QatConfig& q = options_.train.qat;
  using Scope = FakeQuantConfig::Scope;
  session_->set_fake_quant({.scope = q.scope == "matrices" ? Scope::kMatrices : Scope::kProjections, .low = q.low});
  fake_quant_ = true;
}

// Once on it stays on, whatever the clock does to the learning rates.
void Trainer::start_fake_quant_when_due() {
  const QatConfig& q = options_.train.qat;
  if (fake_quant_ || q.scope == "none") return;
  if (q.start_frac > 0 ? frac() < q.start_frac : scheduled_lr() >= q.start_lr_scale) return;
  set_fake_quant();
  log_->event(step_, "fake quantisation of " + q.scope + " is on");
}

// After a step, its learning rates and the counter behind it (spec_726_754 5.8).
void Trainer::take_snapshot_when_due() {
  const AveragingConfig& a = options_.train.averaging;
  if (a.swa_source == "none" || last_lr_scale_ >= a.swa_below_scale || step_ % a.swa_every != 0) return;
  swa_.add(weights_of(a.swa_source));
}

// What all ranks must know of a step that each has seen a part of; *loss becomes the whole step's.
void Trainer::meet(double* loss, double norm, double seconds) {
  struct Part {
    double loss, norm, seconds;
    int64_t leaves, interrupted, save_due;
  };
  const double save_every = options_.train.checkpoint_seconds;
  const Part mine{.loss = *loss,
                  .norm = norm,
                  .seconds = seconds,
                  .leaves = share_.mine.count,
                  .interrupted = interrupted() ? 1 : 0,
                  .save_due = save_every > 0 && seconds_since(last_save_) > save_every ? 1 : 0};
  *loss = last_norm_ = 0;
  interrupted_ = false;
  const std::vector<Part> parts = ranks().gather(mine);
  for (const Part& part : parts) {
    *loss += part.loss;
    last_norm_ += part.norm * static_cast<double>(part.leaves) / static_cast<double>(share_.leaves);
    interrupted_ = interrupted_ || part.interrupted != 0;
  }
  step_seconds_ = parts.front().seconds;
  save_due_ = parts.front().save_due != 0;
}

double Trainer::step() {
  const TrainConfig& c = options_.train;
  const auto start = std::chrono::steady_clock::now();
  std::fill(row_weight_.begin(), row_weight_.end(), 1.0f / static_cast<float>(share_.mean_over() * c.seq_len));
  start_fake_quant_when_due();
  ranks().set_working(true);
  tree_->begin(share_.leaves);
  double loss = 0;
  accumulate(&loss);
  last_lr_scale_ = scheduled_lr();
  const double norm = optimizer_->step({.lr_scale = last_lr_scale_, .momentum = muon_momentum(schedule(c), step_)});
  while (session_->in_flight() > 0) loss += session_->collect_loss();
  if (share_.clips_leaves) loss /= static_cast<double>(share_.leaves);  // the tree averages over leaves itself
  ++step_;
  take_snapshot_when_due();
  meet(&loss, share_.clips_leaves ? tree_->mean_norm() : norm, seconds_since(start));  // norms before clipping; NaN in either way
  ranks().set_working(false);
  check_finite(loss);
  return loss;
}

}  // namespace sixteen
