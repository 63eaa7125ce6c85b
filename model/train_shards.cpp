// See train_shards.h.
#include "model/train_shards.h"

#include <algorithm>
#include <utility>

#include "formats/check.h"
#include "formats/error.h"
#include "formats/file.h"

namespace sixteen {

std::vector<Slab> merge_slabs(std::span<const TrainWindow> windows, int64_t seq_len) {
  std::vector<Slab> all, merged;
  for (const TrainWindow& w : windows) all.push_back({w.shard, w.start, w.start + seq_len + 1});
  std::sort(all.begin(), all.end(),
            [](const Slab& a, const Slab& b) { return std::pair(a.shard, a.begin) < std::pair(b.shard, b.begin); });
  const int64_t gap = std::max<int64_t>(seq_len / 2, 1);
  for (const Slab& slab : all) {
    if (merged.empty() || merged.back().shard != slab.shard || slab.begin > merged.back().end + gap) {
      merged.push_back(slab);
    } else {
      merged.back().end = std::max(merged.back().end, slab.end);
    }
  }
  return merged;
}

TrainShards::TrainShards(std::vector<std::string> files, int64_t vocab, int rank, int world)
    : files_(std::move(files)), vocab_(vocab), rank_(rank) {
  CHECK(world > 0 && rank >= 0 && rank < world);
  std::sort(files_.begin(), files_.end());
  if (files_.empty()) fail("no training shards given; make some with 'sixteen-train tokenize'");
  if (std::cmp_less(files_.size(), world)) {
    fail(files_.front(), " and on: ", files_.size(), " training shards for ", world,
         " ranks, each needs one of its own; lower virtual_ranks or make smaller shards ('tokenize --shard-tokens')");
  }
  for (size_t i = rank; i < files_.size(); i += world) {
    shards_.emplace_back(files_[i]);
    counts_.push_back(static_cast<int64_t>(shards_.back().tokens().size()));
    tokens_ += counts_.back();
  }
}

void TrainShards::require_window(int64_t seq_len) const {
  const int64_t longest = *std::max_element(counts_.begin(), counts_.end());
  if (longest > seq_len) return;
  fail(shards_.front().path(), shards_.size() > 1 ? " and on" : "", ": no shard of rank ", rank_, " has ", seq_len + 1,
       " tokens for one window (the longest has ", longest, "); lower seq_len or give more text");
}

void TrainShards::will_need(std::span<const Slab> slabs) const {
  for (const Slab& slab : slabs) shards_[slab.shard].will_need(slab.begin, slab.end);
}

void TrainShards::read(const TrainWindow& window, int64_t seq_len, int32_t* inputs, int32_t* targets) const {
  size_t s = window.shard;
  int64_t at = window.start;
  for (int64_t t = 0; t <= seq_len; ++t) {
    while (at >= counts_[s]) {
      at = 0;
      s = (s + 1) % shards_.size();
    }
    const int32_t token = shards_[s].tokens()[at];
    if (token >= vocab_) {
      fail(shards_[s].path(), ": offset ", kShardHeaderBytes + 2 * at, ": token id ", token, " (token ", at,
           ") is beyond the vocabulary of ", vocab_,
           "; the shards were made with another tokenizer than the config's [model] vocab is of");
    }
    if (t < seq_len) inputs[t] = token;
    if (t > 0) targets[t - 1] = token;
    ++at;
  }
}

std::string train_pattern(const std::string& folder) {
  return folder + (folder.ends_with('/') ? "" : "/") + "*_train_*.bin";
}

std::vector<std::string> find_train_shards(const std::string& folder) { return glob_files(train_pattern(folder)); }

}  // namespace sixteen
