// Stochastic weight averaging (Izmailov et al. 2018): the mean of snapshots of the weights, or of their moving average.
//
// Bites: summed in fp64 on the host, so that the mean has the snapshots' own precision however many there are; the originals
// sum in fp32. Memory: 8 bytes a parameter from the first snapshot on.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "model/params.h"

namespace sixteen {

class SnapshotMean {
 public:
  explicit SnapshotMean(std::shared_ptr<const ParamTable> table) : table_(std::move(table)) {}

  void add(const ParamStore& weights);
  int64_t count() const { return count_; }
  ParamStore mean() const;  // CHECKs count() > 0

  // What a resume needs: the sum of one tensor, and how many snapshots it sums.
  std::span<double> sum(const ParamSpec& spec);
  void set_count(int64_t count) { count_ = count; }

 private:
  std::shared_ptr<const ParamTable> table_;
  std::vector<double> sum_;  // flat layout; empty before the first snapshot
  int64_t count_ = 0;
};

}  // namespace sixteen
