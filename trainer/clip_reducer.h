// Clips each virtual rank's own gradient before they are averaged, as PR 1584 does (trap T5).
//
// Bites: the mean of clipped gradients is not the clipped mean; the optimiser behind it must not clip again.
#pragma once

#include <memory>
#include <vector>

#include "model/session.h"

namespace sixteen {

class ClipReducer {
 public:
  ClipReducer(Session* session, double clip_norm, int64_t ranks);
  // Adds the session's gradients, clipped and divided by the number of ranks, to a sum, and zeroes them. Does not wait.
  void add_rank();
  // Moves the sum into the session's gradients. Does not wait.
  void finish();
  double mean_norm();  // of the ranks added since the last call, before clipping; waits

 private:
  Device& device_;
  std::vector<std::unique_ptr<Transfer>> norms_;  // one a rank
  size_t added_ = 0;
  Buffer total_, one_, add_arena_, finish_arena_;
  std::unique_ptr<Executor> add_, finish_;
  ValueId norm_ = kNoValue;
};

}  // namespace sixteen
