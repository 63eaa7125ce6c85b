// A stretch of work that other ranks will wait for.
#pragma once

#include "graph/communicator.h"

namespace sixteen {

// Within its life this rank promises to say alive() or to come to a collective; when it does neither, the others give it up
// (heartbeat.h). Elsewhere, in reading and writing files say, it may take its time.
class AtWork {
 public:
  explicit AtWork(Communicator& ranks) : ranks_(ranks) { ranks_.set_working(true); }
  ~AtWork() { ranks_.set_working(false); }
  AtWork(const AtWork&) = delete;
  AtWork& operator=(const AtWork&) = delete;

 private:
  Communicator& ranks_;
};

}  // namespace sixteen
