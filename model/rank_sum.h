// Sums of device buffers over ranks whose bits do not depend on the number of ranks nor on who adds.
//
// Terms (a step's parts, batches of calibration) are the leaves of one binary tree, their number a power of two. The first
// workers() ranks hold a node of it each, of equal depth; run() adds up the nodes above, on every rank. What every rank gathers
// is the price: N times the buffers over the wire, where a sum in the communicator's own order would send them twice. Of two
// ranks any order is the same one, so they reduce.
// Bites: collective. Ranks behind the workers take part with whatever is in their buffers, and receive the sum.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "graph/executor.h"

namespace sixteen {

class StepProgram;

// Leaves of a sum of `count` things cut into at most `most` parts of whole things: the largest power of two.
int64_t sum_leaves(int64_t count, int64_t most);

struct LeafShare {
  int64_t first = 0, count = 0;
};
// The leaves of rank `rank` of `ranks`: a node of the tree, or none for ranks behind the workers.
LeafShare leaf_share(int64_t leaves, int rank, int ranks);

class RankSum {
 public:
  struct Part {
    Buffer buffer;
    int64_t count = 0;  // floats
  };
  // Allocates nothing for one rank.
  RankSum(Device* device, std::vector<Part> parts);
  ~RankSum();

  void run(int64_t leaves);  // does not wait; one rank: nothing

 private:
  StepProgram& program(int workers);

  Device* device_;
  std::vector<Part> parts_;
  std::vector<Buffer> gathered_;                      // by part: [ranks, count], at first use
  std::map<int, std::unique_ptr<StepProgram>> programs_;  // by workers
  Buffer one_;
};

}  // namespace sixteen
