// Writes a ledger's state files beside the run, which waits for the copy out of the device alone.
//
// Bites: one file at a time, so that the host holds one state; the next waits for it. A file is complete under its name or not
// there. One that cannot be written is told at the next call, whichever that is, but by the destructor, which only waits.
#pragma once

#include <future>
#include <string>
#include <vector>

#include "evaluator/score_run.h"

namespace sixteen {

class StateWriter {
 public:
  // run->state() as it is now.
  void write(ScoreRun* run, const std::string& path);
  void wait();   // for the file that is being written
  void check();  // throws the Error of a file that failed meanwhile; waits for none

 private:
  std::vector<std::vector<float>>
      values_;              // what the file is written from; kept, since fresh memory costs as much as the copy
  std::future<void> file_;  // behind the values: its end is waited for before they go
};

}  // namespace sixteen
