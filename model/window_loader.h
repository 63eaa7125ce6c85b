// What the three data orders share: a sequence of windows over the shards, cut into batches.
//
// Bites: the number of windows drawn is the whole state. Resuming draws them again without reading a token (about a second for
// a record's run).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/train_loader.h"
#include "model/train_shards.h"

namespace sixteen {

class WindowLoader : public TrainLoader {
 public:
  void next_batch(int64_t rows, int32_t* inputs, int32_t* targets) final;
  std::string state() const final;
  void restore(const std::string& state) final;
  const std::vector<std::string>& files() const final { return shards_.files(); }
  int64_t tokens() const final { return shards_.tokens(); }

  std::span<const TrainWindow> windows() const { return windows_; }  // [rows] of the last batch
  int64_t windows_drawn() const { return drawn_; }

 protected:
  WindowLoader(TrainShards shards, int64_t seq_len) : shards_(std::move(shards)), seq_len_(seq_len) {}
  // The rank's next window; its shard is one of shards().
  virtual TrainWindow next_window() = 0;
  // All that decides the sequence, as words without a line break.
  virtual std::string order() const = 0;
  const TrainShards& shards() const { return shards_; }
  int64_t seq_len() const { return seq_len_; }

 private:
  std::string place() const;  // state() up to the number of windows drawn

  TrainShards shards_;
  int64_t seq_len_, drawn_ = 0;
  std::vector<TrainWindow> windows_;
};

}  // namespace sixteen
