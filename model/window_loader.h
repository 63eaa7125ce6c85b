// The records' training data order (PR 1584, PR 1555): which window of which shard comes next, and the batches made of them.
//
// Rank r of W reads the shards r, r + W, ... of the sorted list with NumPy's PCG64(r). Every shard gets a random phase and a
// shuffled list of window starts; the next window's shard is drawn in proportion to the windows it has left; when none is
// left anywhere, all shards are dealt anew. Windows ignore document boundaries. Spec: spec_1584_1555 2.2.
// Bites: seeded by rank only, never by the run's seed. The order does not depend on the batch size, so the number of windows
// drawn is the whole state: resuming replays the plan (well under a second for a record's run) and reads no token.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "formats/shard.h"
#include "model/numpy_random.h"

namespace sixteen {

struct TrainWindow {
  int32_t shard = 0;  // index into the planner's shards (WindowPlan) or the sorted list of all files (WindowLoader)
  int32_t start = 0;  // first token; the window is tokens [start, start + seq_len]
  bool operator==(const TrainWindow&) const = default;
};

// The order of windows from token counts alone.
class WindowPlan {
 public:
  // shard_tokens: [shards] tokens in each. A shard shorter than seq_len + 1 contributes nothing; CHECKs that one is not.
  WindowPlan(std::vector<int64_t> shard_tokens, int64_t seq_len, uint64_t seed);

  TrainWindow next();
  int64_t drawn() const { return drawn_; }        // windows handed out so far
  int64_t windows_left() const { return left_; }  // until all shards are dealt anew

 private:
  void deal();  // a new phase and a new start list for every shard

  std::vector<int64_t> tokens_;
  int64_t seq_len_;
  NumpyRandom random_;
  std::vector<std::vector<int32_t>> starts_;  // [shards] drawn from the back
  std::vector<double> remaining_, cdf_;       // [shards]; remaining_ is the length of each list
  int64_t left_ = 0, drawn_ = 0;
};

class WindowLoader {
 public:
  // files: all training shards, sorted here. Throws Error: no files, fewer files than ranks, a bad shard, or no shard of this
  // rank long enough for one window. vocab: ids at or above it are refused when a window that has one is read.
  WindowLoader(std::vector<std::string> files, int rank, int world, int64_t seq_len, int64_t vocab);

  // inputs, targets: [rows, seq_len] each, the caller's; targets are the tokens one further. Throws Error (file, offset, id)
  // for a token id beyond the vocabulary.
  void next_batch(int64_t rows, int32_t* inputs, int32_t* targets);
  std::span<const TrainWindow> windows() const { return windows_; }  // [rows] of the last batch

  const std::vector<std::string>& files() const { return files_; }
  int64_t tokens() const { return tokens_; }  // in this rank's shards
  int64_t windows_drawn() const { return plan_.drawn(); }

  // The place in the data as one line of text. restore() throws Error when it was saved with another rank, world, seq_len
  // or other shards (number or tokens), and may go forwards only: call it on a fresh loader.
  std::string state() const;
  void restore(const std::string& state);

 private:
  std::vector<std::string> files_;
  int rank_, world_;
  int64_t seq_len_, vocab_, tokens_ = 0;
  std::vector<TokenShard> shards_;  // this rank's
  WindowPlan plan_;
  std::vector<TrainWindow> windows_;
};

// The shards that training reads: FOLDER/*_train_*.bin, sorted. Throws Error when there is none.
std::vector<std::string> find_train_shards(const std::string& folder);

}  // namespace sixteen
