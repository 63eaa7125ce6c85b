// The data order of PR 1584 and PR 1555: shuffled windows of the rank's own shards. Spec: spec_1584_1555 2.2.
//
// Rank r of W reads the shards r, r + W, ... of the sorted list with NumPy's PCG64(r). Every shard gets a random phase and a
// shuffled list of window starts; the next window's shard is drawn in proportion to the windows it has left; when none is
// left anywhere, all shards are dealt anew. Windows ignore document boundaries.
// Bites: seeded by rank only, never by the run's seed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/numpy_random.h"
#include "model/window_loader.h"

namespace sixteen {

// The order of windows from token counts alone.
class ShuffledPlan {
 public:
  // shard_tokens: [shards] tokens in each. A shard shorter than seq_len + 1 contributes nothing; CHECKs that one is not.
  ShuffledPlan(std::vector<int64_t> shard_tokens, int64_t seq_len, uint64_t seed);

  TrainWindow next();
  int64_t windows_left() const { return left_; }  // until all shards are dealt anew

 private:
  void deal();  // a new phase and a new start list for every shard

  std::vector<int64_t> tokens_;
  int64_t seq_len_;
  NumpyRandom random_;
  std::vector<std::vector<int32_t>> starts_;  // [shards] drawn from the back
  std::vector<double> remaining_, cdf_;       // [shards]; remaining_ is the length of each list
  int64_t left_ = 0;
};

class ShuffledLoader : public WindowLoader {
 public:
  // files: all training shards, sorted here. Throws Error: no files, fewer files than ranks, a bad shard, or no shard of this
  // rank long enough for one window.
  ShuffledLoader(std::vector<std::string> files, int rank, int world, int64_t seq_len, int64_t vocab);

 protected:
  TrainWindow next_window() override { return plan_.next(); }
  std::string order() const override;

 private:
  int rank_, world_;
  ShuffledPlan plan_;
};

}  // namespace sixteen
