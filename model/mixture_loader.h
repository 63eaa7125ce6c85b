// One rank's share of mixture_plan.h's order: every rank makes the whole plan and reads its own entries.
#pragma once

#include "model/mixture_plan.h"
#include "model/window_loader.h"

namespace sixteen {

class MixtureLoader : public WindowLoader {
 public:
  // rows: windows of a plan for this rank. Throws Error: no files, a bad shard, none long enough for one window.
  MixtureLoader(std::vector<std::string> files, int rank, int world, int64_t seq_len, int64_t vocab, int64_t rows,
                uint64_t seed, int64_t ramp_batches = kMixtureRampBatches);

 protected:
  TrainWindow next_window() override;
  std::string order() const override;

 private:
  int rank_, world_;
  int64_t rows_, ramp_batches_;
  uint64_t seed_;
  MixturePlan plan_;
  std::span<const TrainWindow> batch_;
  size_t next_ = 0;  // entry of batch_
};

}  // namespace sixteen
