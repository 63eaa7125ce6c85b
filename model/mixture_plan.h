// PR 726's global order of windows: each batch mixes shards drawn by how much of them is left, each read by a coprime stride.
// Spec: spec_726_754 2.2 and appendix A.
//
// Over the first ramp_batches batches the mix grows from 8 shards to 64 (both at least the ranks' number) and the weights
// flatten from remaining^0.9 to remaining^0.5. A shard's cursor walks its blocks of seq_len tokens from a random one by a
// random stride coprime to their number, behind a random phase; after a full turn it draws all three anew.
// Bites: the plan depends on the number of ranks, and on the last bit of pow(): this is the order of the C library's.
// NumPy's AVX-512 pow, which differs in the last bit of 5 % of its values, leads to another one from batch 3 on (golden
// loader_numpy_avx512); that one is not reproduced.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/numpy_random.h"
#include "model/train_shards.h"

namespace sixteen {

constexpr int64_t kMixtureRampBatches = 1800;  // the record's

class MixturePlan {
 public:
  // shard_tokens: [shards] tokens in each; CHECKs that one has a window. windows: of a batch, of all ranks.
  MixturePlan(std::vector<int64_t> shard_tokens, int64_t seq_len, int64_t windows, int64_t world, uint64_t seed,
              int64_t ramp_batches = kMixtureRampBatches);

  // The next batch, [windows]; valid until the next call. Rank r of W takes entries r, r + W, ...
  std::span<const TrainWindow> next();

 private:
  struct Cursor {
    bool started = false;
    int64_t phase = 0, blocks = 0, next = 0, start = 0, stride = 0;
  };
  std::vector<double> weights(double ramp) const;  // [eligible], sum 1
  int64_t mix(double ramp) const;
  void restart(int32_t shard);
  std::vector<TrainWindow> take(int32_t shard, int64_t count);
  void interleave(std::vector<std::vector<TrainWindow>> buckets);

  std::vector<int64_t> tokens_;
  int64_t seq_len_, windows_, world_, ramp_batches_, batches_ = 0;
  NumpyRandom random_;
  std::vector<int32_t> eligible_;  // shards that have a block
  std::vector<Cursor> cursors_;    // [shards]
  std::vector<TrainWindow> plan_;
};

// The record's seed: of the pattern and the paths as they are spelled (paths as Python's pathlib spells them, without "./")
// and the token counts. The run's own seed does not enter.
uint64_t mixture_seed(const std::string& pattern, std::span<const std::string> paths, std::span<const int64_t> tokens);

}  // namespace sixteen
