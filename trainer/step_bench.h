// Training steps on random tokens, timed in their parts and as a whole, on one rank or several.
//
// The parts wait for each other, so their sum is more than a step: parts say where the time goes, the whole what a run gets.
// Bites: collective. Weights move on, and are spoilt by the steps without exchange.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/gradient_tree.h"
#include "model/optim.h"
#include "trainer/step_share.h"

namespace sixteen {

struct StepTiming {
  double seconds = 1e30, optimiser_seconds = 1e30;  // best of each, of the slowest rank; seconds: forward and backward
  double first_seconds = 0;                         // from the process's start to the end of the first step
  std::string hash;                                 // of the losses
  double whole_seconds = 0;                         // mean of whole steps that follow each other as in a run
  double exchange_seconds = 0;                      // what the exchange between ranks adds to an optimiser step: the part not hidden
};

class StepBench {
 public:
  // The weights are initialised. Throws Error when ranks cannot share a step, or memory is too little.
  StepBench(std::shared_ptr<Device> device, const ModelConfig& model, std::shared_ptr<const ParamTable> table, const TrainConfig& train);

  StepTiming time(bool looping, int64_t steps);
  Session& session() { return session_; }
  Optimizer& optimizer() { return *optimizer_; }
  int64_t passes() const;  // of this rank in a step

 private:
  double pass_over(bool looping, bool waits);  // gradients of a step; the losses that came in
  double mean_whole_seconds(bool looping, int64_t steps);
  double mean_optimiser_seconds(int64_t steps);
  double slowest(double seconds);
  void finish();  // waits for the device

  Session session_;
  const TrainConfig train_;
  const StepShare share_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<GradientTree> tree_;
  std::vector<int32_t> ids_, targets_;
  std::vector<float> weight_;
};

}  // namespace sixteen
