// See step_bench.h.
#include "trainer/step_bench.h"

#include <algorithm>
#include <chrono>

#include "formats/sha256.h"
#include "model/process_clock.h"
#include "trainer/device_setup.h"

namespace sixteen {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int64_t kOptimiserSteps = 20;  // of one mean
constexpr Optimizer::Step kRates{.lr_scale = 0.1, .momentum = 0.9};

}  // namespace

StepBench::StepBench(std::shared_ptr<Device> device, const ModelConfig& model, std::shared_ptr<const ParamTable> table,
                     const TrainConfig& train)
    : session_(std::move(device), model, table), train_(train), share_(train, session_.device().ranks().rank(), session_.device().ranks().size()) {
  ParamStore store(table);
  initialise(model, static_cast<uint64_t>(train.seed), &store);
  session_.set_weights(store);
  optimizer_ = std::make_unique<Optimizer>(&session_, train.optim, !share_.clips_leaves);
  tree_ = share_.make_tree(&session_);
  reserve_training(&session_, train, "use fewer windows a pass ([train] micro_windows or --windows)");
  const size_t rows = static_cast<size_t>(train.micro_windows * train.seq_len);
  weight_.assign(rows, 1.0f / static_cast<float>(share_.mean_over() * train.seq_len));
  const uint64_t vocab = static_cast<uint64_t>(model.vocab);
  for (size_t i = 0; i < rows; ++i) {
    ids_.push_back(static_cast<int32_t>((i * 2654435761u >> 7) % vocab));
    targets_.push_back(static_cast<int32_t>((i * 2246822519u >> 5) % vocab));
  }
}

int64_t StepBench::passes() const { return share_.mine.count * share_.passes_a_leaf; }

double StepBench::pass_over(bool looping, bool waits) {
  tree_->begin(share_.leaves);
  double loss = 0;
  for (int64_t pass = 0; pass < passes(); ++pass) {
    session_.device().ranks().alive();
    if (session_.in_flight() == Session::kPasses) loss += session_.collect_loss();
    session_.submit_train(ids_, targets_, weight_, train_.micro_windows, train_.seq_len, looping);
    if (waits) loss += session_.collect_loss();
    if (share_.ends_leaf(pass % share_.passes_a_leaf)) tree_->add_leaf();
  }
  return loss;
}

void StepBench::finish() {
  float any = 0;
  session_.device().download(&any, session_.weights().data(), sizeof any);
}

double StepBench::slowest(double seconds) {
  const std::vector<double> all = session_.device().ranks().gather(seconds);
  return *std::max_element(all.begin(), all.end());
}

// As a run does them: the host waits for the losses alone, and the ranks meet once a step.
double StepBench::mean_whole_seconds(bool looping, int64_t steps) {
  Clock::time_point start;
  for (int64_t s = -1; s < steps; ++s) {  // the first one is not counted
    if (s == 0) {
      finish();
      session_.device().ranks().barrier();
      start = Clock::now();
    }
    double loss = pass_over(looping, false);
    optimizer_->step(kRates);
    while (session_.in_flight() > 0) loss += session_.collect_loss();
    session_.device().ranks().gather(loss);
  }
  finish();
  return slowest(seconds_since(start)) / static_cast<double>(steps);
}

double StepBench::mean_optimiser_seconds(int64_t steps) {
  finish();
  session_.device().ranks().barrier();
  const auto start = Clock::now();
  for (int64_t s = 0; s < steps; ++s) optimizer_->step(kRates);
  finish();
  return slowest(seconds_since(start)) / static_cast<double>(steps);
}

StepTiming StepBench::time(bool looping, int64_t steps) {
  StepTiming timing;
  std::vector<double> losses;
  for (int64_t s = 0; s < steps + 1; ++s) {  // the first step compiles and is not timed
    session_.device().ranks().barrier();
    const auto start = Clock::now();
    const double loss = pass_over(looping, true);
    const double seconds = seconds_since(start);
    optimizer_->step(kRates);
    finish();
    const double optimiser_seconds = seconds_since(start) - seconds;
    for (const double part : session_.device().ranks().gather(loss)) losses.push_back(part);
    if (s == 0) timing.first_seconds = process_seconds();
    if (s == 0) continue;
    timing.seconds = std::min(timing.seconds, slowest(seconds));
    timing.optimiser_seconds = std::min(timing.optimiser_seconds, slowest(optimiser_seconds));
  }
  timing.hash = to_hex(sha256(std::as_bytes(std::span(losses)))).substr(0, 16);
  timing.whole_seconds = mean_whole_seconds(looping, steps);
  if (session_.device().ranks().size() == 1) return timing;
  const double with = mean_optimiser_seconds(kOptimiserSteps);
  optimizer_->set_mute(true);
  mean_optimiser_seconds(1);
  timing.exchange_seconds = with - mean_optimiser_seconds(kOptimiserSteps);
  optimizer_->set_mute(false);
  return timing;
}

}  // namespace sixteen
