// The training shards as the loaders read them: mapped, checked, windows copied out.
//
// Bites: shards are mapped, so a window's tokens may still lie on the disk when it is read; will_need() asks the kernel for
// all of a batch's stretches before the first is copied.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "formats/shard.h"

namespace sixteen {

struct TrainWindow {
  int32_t shard = 0;  // index into the shards that its maker was given
  int32_t start = 0;  // first token; the window is tokens [start, start + seq_len]
  bool operator==(const TrainWindow&) const = default;
};

// A stretch of one shard that holds windows.
struct Slab {
  int32_t shard = 0;
  int64_t begin = 0, end = 0;  // tokens
  bool operator==(const Slab&) const = default;
};

// The windows' stretches by shard and position; those of one shard with a gap of at most seq_len / 2 between them are one
// (PR 726's merged reads).
std::vector<Slab> merge_slabs(std::span<const TrainWindow> windows, int64_t seq_len);

class TrainShards {
 public:
  // Sorts the files and opens every world-th from rank on. Throws Error: no files, none for this rank, a bad shard.
  // vocab: ids at or above it are refused by read().
  TrainShards(std::vector<std::string> files, int64_t vocab, int rank = 0, int world = 1);

  const std::vector<std::string>& files() const { return files_; }      // all that were given, sorted
  const std::vector<int64_t>& token_counts() const { return counts_; }  // of the opened ones
  int64_t tokens() const { return tokens_; }                            // their sum

  // Throws Error when no opened shard has seq_len + 1 tokens.
  void require_window(int64_t seq_len) const;

  void will_need(std::span<const Slab> slabs) const;
  // The window's seq_len inputs and targets; past the end of a shard it goes on in the next one, after the last in the first.
  // Throws Error (file, offset, id) for a token id beyond the vocabulary.
  void read(const TrainWindow& window, int64_t seq_len, int32_t* inputs, int32_t* targets) const;

 private:
  std::vector<std::string> files_;
  int64_t vocab_, tokens_ = 0;
  int rank_;
  std::vector<TokenShard> shards_;
  std::vector<int64_t> counts_;
};

// The pattern of the shards that training reads: FOLDER/*_train_*.bin; and those shards, sorted. Throws Error when there is none.
std::string train_pattern(const std::string& folder);
std::vector<std::string> find_train_shards(const std::string& folder);

}  // namespace sixteen
