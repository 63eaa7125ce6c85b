// The run around the steps: log, validation, checkpoints, Ctrl-C, the end.
//
// Bites: the training clock counts steps alone; validation and saving do not spend the budget.
#include <algorithm>
#include <chrono>

#include "formats/error.h"
#include "model/peak.h"
#include "model/process_clock.h"
#include "model/sensitivity.h"
#include "model/train_shards.h"
#include "trainer/trainer.h"

namespace sixteen {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

// Sums over the steps since the last log line.
struct Trainer::Interval {
  int64_t steps = 0;
  double seconds = 0, loss = 0, flops = 0;
  bool looping = false;  // of the last step
};

double Trainer::seconds_left(double seconds_per_step) const {
  const TrainConfig& c = options_.train;
  const double by_steps = static_cast<double>(c.steps - step_) * seconds_per_step;
  if (c.clock == "steps") return by_steps;
  return std::max(0.0, std::min(by_steps, c.budget_seconds - c.reserve_seconds - train_seconds_));
}

double Trainer::timed_step(Interval* interval) {
  const TrainConfig& c = options_.train;
  interval->looping = looping();
  const double loss = step(), seconds = step_seconds_;
  train_seconds_ += seconds;
  ++interval->steps;
  interval->seconds += seconds;
  interval->loss += loss;
  interval->flops += static_cast<double>(c.windows_per_step * c.seq_len) *
                     train_flops_per_token(options_.model, c.seq_len, interval->looping);
  return loss;
}

void Trainer::log_interval(const Interval& i) {
  const TrainConfig& c = options_.train;
  const double steps = static_cast<double>(i.steps);
  log_->interval({.step = step_,
                  .loss = i.loss / steps,
                  .gradient_norm = last_norm_,
                  .lr_scale = last_lr_scale_,
                  .looping = i.looping,
                  .train_seconds = train_seconds_,
                  .tokens_per_second = steps * static_cast<double>(c.windows_per_step * c.seq_len) / i.seconds,
                  .ms_per_step = 1000 * i.seconds / steps,
                  .peak_share = i.flops / i.seconds / (peak_flops_ * static_cast<double>(ranks().size())),
                  .seconds_left = seconds_left(i.seconds / steps)});
}

ScoreSum Trainer::validate_now(const char* what, bool loop_on) {
  const auto start = Clock::now();
  const ScoreSum sum = validation_->run(session_.get(), loop_on, options_.console, [this] {
    ranks().alive();
    interrupted_ = interrupted();
    if (ranks().size() == 1) stop_if_asked();  // several stop together, behind the validation
  });
  log_->validation(step_, what, sum.loss(), sum.bpb(), seconds_since(start));
  const std::vector<char> asked = ranks().gather(static_cast<char>(interrupted_));
  interrupted_ = std::find(asked.begin(), asked.end(), 1) != asked.end();
  stop_if_asked();
  return sum;
}

// Ctrl-C between two steps or within a validation, on any rank; after the last step run() has saved already.
void Trainer::stop_if_asked() {
  if (!interrupted_) return;
  if (!finished()) save();
  log_->event(step_, "interrupted");
  ranks().barrier();  // nobody leaves while rank 0 writes
  if (!writes()) throw CommandDone{1};  // rank 0 says it
  fail("interrupted after step ", step_, ": ", options_.out, " and ", state_path(),
       " are complete; go on with --resume");
}

// What may come between two steps; the last step is followed by run()'s own.
void Trainer::between_steps() {
  const TrainConfig& c = options_.train;
  if (validation_ && c.val_every > 0 && step_ % c.val_every == 0) validate_now("raw", looping());
  stop_if_asked();
  if (save_due_) {
    save();
    log_->event(step_, "checkpoint written");
    last_save_ = Clock::now();
  }
}

void Trainer::loop_until_done(RunResult* result) {
  Progress progress(options_.console, "training", 0, "steps");
  const int64_t first = step_;
  last_save_ = Clock::now();
  Interval interval;
  bool was_looping = looping();
  while (!finished()) {
    if (looping() != was_looping) {
      was_looping = true;
      log_->event(step_, "depth recurrence is on");
    }
    result->loss = timed_step(&interval);
    const double left = seconds_left(interval.seconds / static_cast<double>(interval.steps));
    progress.update(static_cast<uint64_t>(step_ - first),
                    "loss " + std::to_string(result->loss).substr(0, 6) + ", " + format_duration(left) + " left");
    if (step_ % options_.train.log_every == 0 || finished()) {
      log_interval(interval);
      interval = {};
    }
    if (!finished()) between_steps();
  }
}

// The last weights and the selected ones; under best_on_val all there are, and the first of the best goes into the checkpoint.
void Trainer::validate_at_end(RunResult* result) {
  const bool choose = options_.train.averaging.select == "best_on_val";
  const ParamStore last = weights_of("raw");
  double best = 0;
  std::string bpbs;
  for (const std::string& average : averages()) {
    if (!choose && average != "raw" && average != selected()) continue;
    if (average != "raw") session_->set_weights(weights_of(average));
    const double bpb = validate_now(average.c_str(), true).bpb();
    if (average == "raw") result->val_bpb_raw = bpb;
    if (average == selected()) result->val_bpb = bpb;
    bpbs += (bpbs.empty() ? "" : ", ") + average + " " + std::to_string(bpb);
    if (!choose || (!best_on_val_.empty() && bpb >= best)) continue;
    best_on_val_ = average;
    best = bpb;
  }
  session_->set_weights(last);
  if (!choose) return;
  result->val_bpb = best;
  write_checkpoint();
  log_->event(step_, "validation data chose the " + best_on_val_ + " weights (best_on_val: " + bpbs + " bpb)");
}

// Hessians and sensitivities. Inside the budget, as the rules ask: what reserve_seconds left is for this. The clock is judged, not
// enforced: weights without Hessians would be worth less than a note.
void Trainer::collect_hessians_at_end() {
  const auto start = Clock::now();
  const ParamStore last = weights_of("raw"), chosen = weights_of(selected());
  session_->set_weights(chosen);
  session_->set_fake_quant({});  // of the weights as they are; nothing trains after this
  const std::string data = train_pattern(options_.data);
  try {
    const Hessians hessians = collect_hessians(session_.get(), data, options_.calibration, options_.console);
    if (writes()) {
      save_hessians(options_.hessians, hessians, chosen,
                    measure_sensitivities(session_.get(), data, options_.calibration, options_.threads, options_.console));
    }
  } catch (const Error&) {
    if (!interrupted()) throw;
    if (!writes()) throw CommandDone{1};  // rank 0 says it
    fail("interrupted after step ", step_, ": ", options_.out, " and ", state_path(), " are complete, ", options_.hessians,
         " is not written; go on with --resume");
  }
  session_->set_weights(last);
  const TrainConfig& c = options_.train;
  const double seconds = seconds_since(start), over = train_seconds_ + seconds - c.budget_seconds;
  log_->event(step_, "Hessians and sensitivities measured in " + format_duration(seconds) +
                         (c.clock == "wall" && over > 0 ? ", " + format_duration(over) + " past the budget: raise reserve_seconds" : ""));
}

RunResult Trainer::run() {
  install_interrupt_handler();
  const TrainConfig& c = options_.train;
  RunResult result;
  result.parameters = table_->parameters();
  peak_flops_ = measure_peak_flops(session_->device());
  const int ranks_here = ranks().size();
  options_.console.say(result.parameters, " parameters on ", session_->device().name(), ", matrix rate ", format_count(peak_flops_), "flop/s",
                       ranks_here > 1 ? ", " + std::to_string(ranks_here) + " ranks" : "");
  loop_until_done(&result);
  result.steps = step_;
  result.train_seconds = train_seconds_;
  if (train_seconds_ > 0) {
    result.tokens_per_second = static_cast<double>(step_ * c.windows_per_step * c.seq_len) / train_seconds_;
  }
  save();
  if (validation_) validate_at_end(&result);
  if (!options_.hessians.empty()) collect_hessians_at_end();
  result.selected = selected();
  return result;
}

}  // namespace sixteen
