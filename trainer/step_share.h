// Who computes what of a step: its leaves (gradient_tree.h), the virtual ranks that they come from, and the process ranks that
// share them.
//
// A leaf is what is clipped on its own: with clip_scope = "local" and several virtual ranks one of these, else a micro-batch. A rank draws
// from the data streams of its leaves alone; when a stream is shared, each of its ranks draws all of it and leaves out what is
// the others'. So the data of a step do not depend on the number of ranks.
#pragma once

#include <memory>

#include "model/gradient_tree.h"
#include "trainer/train_config.h"

namespace sixteen {

struct StepShare {
  // Throws Error when `ranks` processes cannot share a step evenly.
  StepShare(const TrainConfig& config, int rank, int ranks);

  bool owns(int64_t leaf) const { return leaf >= mine.first && leaf < mine.first + mine.count; }
  int64_t leaf_of(int64_t stream, int64_t micro_batch) const { return (stream * micro_batches + micro_batch) / passes_a_leaf; }
  int64_t mean_over() const;  // windows that a pass's losses are averaged over: a clipped leaf's, else the step's
  std::unique_ptr<GradientTree> make_tree(Session* session) const;  // which clips leaves where they are, with room for a step
  bool ends_leaf(int64_t micro_batch) const { return (micro_batch + 1) % passes_a_leaf == 0; }

  bool clips_leaves = false;
  int64_t micro_batches = 1;  // of a stream in a step
  int64_t passes_a_leaf = 1;  // micro-batches
  int64_t leaves = 1;         // of all ranks
  LeafShare mine, streams;

 private:
  int64_t windows_a_step_;
  double clip_norm_;
};

}  // namespace sixteen
