// See trainer.h.
#include "trainer/trainer.h"

#include <chrono>
#include <cmath>
#include <filesystem>

#include "formats/error.h"
#include "model/checkpoint.h"
#include "model/peak.h"
#include "model/schedule.h"

namespace sixteen {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

ScheduleConfig schedule(const TrainConfig& c) {
  return {.warmdown_frac = c.warmdown_frac,
          .min_lr = c.min_lr,
          .momentum_start = c.optim.momentum_start,
          .momentum_end = c.optim.momentum_end,
          .momentum_steps = c.optim.momentum_steps};
}

// Learns before the first step, not after the last, that the outputs cannot be written.
void check_writable(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::absolute(path).parent_path();
  if (!std::filesystem::is_directory(folder)) fail("--out ", path, ": no folder ", folder.string(), "; make it first");
  OutputFile probe(path + ".probe");
}

}  // namespace

Trainer::Trainer(const RunOptions& options) : options_(options), table_(std::make_shared<ParamTable>(options.model)) {
  const TrainConfig& c = options_.train;
  check_writable(options_.out);
  const std::vector<std::string> files = find_train_shards(options_.data);
  const int ranks = static_cast<int>(c.virtual_ranks);
  for (int r = 0; r < ranks; ++r) {
    loaders_.push_back(std::make_unique<WindowLoader>(files, r, ranks, c.seq_len, options_.model.vocab));
  }
  if (!options_.val.empty()) {
    validation_ = std::make_unique<Validation>(options_.val, options_.tokenizer, options_.model.vocab, c.seq_len, c.val_tokens);
  }
  session_ = std::make_unique<Session>(make_device(options_.device, options_.threads), options_.model, table_);
  OptimConfig optim = c.optim;
  if (c.clip_scope == "local" && ranks > 1 && optim.clip_norm > 0) {
    reducer_ = std::make_unique<ClipReducer>(session_.get(), optim.clip_norm, ranks);
    optim.clip_norm = 0;
  }
  ParamStore store(table_);
  initialise(options_.model, static_cast<uint64_t>(c.seed), &store);
  session_->set_weights(store);  // before the optimiser, whose average starts from these weights
  optimizer_ = std::make_unique<Optimizer>(session_.get(), optim);
  const size_t micro = static_cast<size_t>(c.micro_windows * c.seq_len);
  ids_.resize(micro);
  targets_.resize(micro);
  row_weight_.resize(micro);
  const std::string log = options_.log.empty() ? options_.out + ".log.jsonl" : options_.log;
  log_ = std::make_unique<TrainLog>(options_.console, log, options_.resume);
  if (options_.resume) restore_state();
}

Trainer::~Trainer() = default;

double Trainer::frac() const {
  const TrainConfig& c = options_.train;
  if (c.clock == "steps") return progress(static_cast<double>(step_), static_cast<double>(c.steps));
  return progress(train_seconds_, c.budget_seconds - c.reserve_seconds);
}

bool Trainer::looping() const {
  return options_.model.loop.extra_passes > 0 && looping_at(frac(), options_.model.loop.at_frac);
}

bool Trainer::finished() const {
  const TrainConfig& c = options_.train;
  if (step_ >= c.steps) return true;
  return c.clock == "wall" && train_seconds_ >= c.budget_seconds - c.reserve_seconds;
}

// Forward and backward of `windows` windows of one loader; returns their weighted loss.
double Trainer::accumulate(WindowLoader* loader, int64_t windows) {
  const TrainConfig& c = options_.train;
  double loss = 0;
  for (int64_t done = 0; done < windows; done += c.micro_windows) {
    loader->next_batch(c.micro_windows, ids_.data(), targets_.data());
    loss += session_->train(ids_, targets_, row_weight_, c.micro_windows, c.seq_len, looping());
  }
  return loss;
}

void Trainer::check_finite(double loss) const {
  if (std::isfinite(loss) && std::isfinite(last_norm_)) return;
  fail("step ", step_, ": loss ", loss, ", gradient norm ", last_norm_,
       ": the run diverged and was stopped; the last checkpoint is untouched. Lower the learning rates or check the data");
}

double Trainer::step() {
  const TrainConfig& c = options_.train;
  const ScheduleConfig plan = schedule(c);
  const int64_t ranks = c.virtual_ranks, windows = c.windows_per_step / ranks;
  const int64_t mean_over = reducer_ ? windows : c.windows_per_step;  // the reducer averages over ranks itself
  std::fill(row_weight_.begin(), row_weight_.end(), 1.0f / static_cast<float>(mean_over * c.seq_len));
  session_->zero_grads();
  double loss = 0;
  for (const auto& loader : loaders_) {
    loss += accumulate(loader.get(), windows);
    if (reducer_) last_norm_ = reducer_->add_rank();
  }
  if (reducer_) {
    reducer_->finish();
    loss /= static_cast<double>(ranks);
  }
  last_lr_scale_ = lr_scale(plan, frac());
  if (!std::isfinite(loss)) check_finite(loss);  // before the weights are touched
  const double norm = optimizer_->step({.lr_scale = last_lr_scale_, .momentum = muon_momentum(plan, step_)});
  if (!reducer_) last_norm_ = norm;
  check_finite(loss);
  ++step_;
  return loss;
}

ScoreSum Trainer::validate_now(const char* what, bool loop_on) {
  const auto start = Clock::now();
  const ScoreSum sum = validation_->run(session_.get(), loop_on);
  log_->validation(step_, what, sum.loss(), sum.bpb(), seconds_since(start));
  return sum;
}

double Trainer::seconds_left(double seconds_per_step) const {
  const TrainConfig& c = options_.train;
  const double by_steps = static_cast<double>(c.steps - step_) * seconds_per_step;
  if (c.clock == "steps") return by_steps;
  return std::max(0.0, std::min(by_steps, c.budget_seconds - c.reserve_seconds - train_seconds_));
}

void Trainer::log_interval(int64_t steps, double seconds, double mean_loss) {
  const TrainConfig& c = options_.train;
  LogEntry e;
  e.step = step_;
  e.loss = mean_loss;
  e.gradient_norm = last_norm_;
  e.lr_scale = last_lr_scale_;
  e.looping = looping();
  e.train_seconds = train_seconds_;
  const double tokens = static_cast<double>(steps * c.windows_per_step * c.seq_len);
  e.tokens_per_second = tokens / seconds;
  e.ms_per_step = 1000 * seconds / static_cast<double>(steps);
  e.peak_share = e.tokens_per_second * train_flops_per_token(options_.model, c.seq_len, e.looping) / peak_flops_;
  e.seconds_left = seconds_left(seconds / static_cast<double>(steps));
  log_->interval(e);
}

void Trainer::loop_until_done(RunResult* result) {
  const TrainConfig& c = options_.train;
  Progress progress(options_.console, "training", 0, "steps");
  auto last_save = Clock::now();
  double interval_loss = 0, interval_seconds = 0;
  int64_t interval_steps = 0;
  bool was_looping = looping();
  while (!finished()) {
    if (looping() != was_looping) {
      was_looping = true;
      log_->event(step_, "depth recurrence is on");
    }
    const auto start = Clock::now();
    result->loss = step();
    const double seconds = seconds_since(start);
    train_seconds_ += seconds;
    interval_loss += result->loss;
    interval_seconds += seconds;
    ++interval_steps;
    progress.update(static_cast<uint64_t>(step_), "loss " + std::to_string(result->loss).substr(0, 6) + "  " +
                                                      format_duration(seconds_left(interval_seconds / static_cast<double>(interval_steps))) + " left");
    if (step_ % c.log_every == 0 || finished()) {
      log_interval(interval_steps, interval_seconds, interval_loss / static_cast<double>(interval_steps));
      interval_loss = interval_seconds = 0;
      interval_steps = 0;
    }
    if (validation_ && c.val_every > 0 && step_ % c.val_every == 0 && !finished()) validate_now("raw", looping());
    if (interrupted()) {
      save();
      fail("interrupted after step ", step_, ": ", options_.out, " and ", state_path(), " are complete; go on with --resume");
    }
    if (c.checkpoint_seconds > 0 && seconds_since(last_save) > c.checkpoint_seconds && !finished()) {
      save();
      log_->event(step_, "checkpoint written");
      last_save = Clock::now();
    }
  }
  progress.finish();
}

RunResult Trainer::run() {
  install_interrupt_handler();
  RunResult result;
  result.parameters = table_->parameters();
  peak_flops_ = measure_peak_flops(session_->device());
  options_.console.say(result.parameters, " parameters on ", session_->device().name(), ", matrix rate ",
                       format_count(peak_flops_), "flop/s");
  const int64_t first = step_;
  loop_until_done(&result);
  result.steps = step_;
  result.train_seconds = train_seconds_;
  if (train_seconds_ > 0 && first == 0) {
    result.tokens_per_second =
        static_cast<double>(step_ * options_.train.windows_per_step * options_.train.seq_len) / train_seconds_;
  }
  save();
  if (validation_) {
    result.val_bpb_raw = validate_now("raw", true).bpb();
    session_->set_weights(averaged());
    result.val_bpb = validate_now("averaged", true).bpb();
  }
  return result;
}

}  // namespace sixteen
