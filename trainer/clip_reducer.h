// Clips each virtual rank's own gradient before they are averaged, as PR 1584 does (trap T5).
//
// Bites: the mean of clipped gradients is not the clipped mean; the optimiser behind it must not clip again.
#pragma once

#include <memory>

#include "model/session.h"

namespace sixteen {

class ClipReducer {
 public:
  ClipReducer(Session* session, double clip_norm, int64_t ranks);
  // Adds the session's gradients, clipped and divided by the number of ranks, to a sum, and zeroes them.
  // Returns their norm before clipping.
  double add_rank();
  // Moves the sum into the session's gradients.
  void finish();

 private:
  Device& device_;
  Buffer total_, one_, add_arena_, finish_arena_;
  std::unique_ptr<Executor> add_, finish_;
  ValueId norm_ = kNoValue;
};

}  // namespace sixteen
