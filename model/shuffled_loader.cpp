// See shuffled_loader.h.
#include "model/shuffled_loader.h"

#include <algorithm>
#include <utility>

#include "formats/check.h"

namespace sixteen {

ShuffledPlan::ShuffledPlan(std::vector<int64_t> shard_tokens, int64_t seq_len, uint64_t seed)
    : tokens_(std::move(shard_tokens)),
      seq_len_(seq_len),
      random_(seed),
      starts_(tokens_.size()),
      remaining_(tokens_.size()),
      cdf_(tokens_.size()) {
  deal();
  CHECK(left_ > 0);
}

void ShuffledPlan::deal() {
  left_ = 0;
  for (size_t s = 0; s < tokens_.size(); ++s) {
    CHECK(tokens_[s] < (int64_t{1} << 31));
    const int64_t max_phase = std::min(seq_len_ - 1, std::max<int64_t>(0, tokens_[s] - seq_len_ - 1));
    const int64_t phase = random_.integers(static_cast<uint32_t>(max_phase + 1));
    const int64_t count = std::max<int64_t>(0, tokens_[s] - 1 - phase) / seq_len_;
    starts_[s].resize(count);
    random_.permutation(starts_[s]);
    for (int32_t& start : starts_[s]) start = static_cast<int32_t>(phase + seq_len_ * start);
    remaining_[s] = static_cast<double>(count);
    left_ += count;
  }
}

TrainWindow ShuffledPlan::next() {
  if (left_ == 0) deal();
  const int64_t shard = random_.choice(remaining_, cdf_);
  const TrainWindow window{static_cast<int32_t>(shard), starts_[shard].back()};
  starts_[shard].pop_back();
  remaining_[shard] -= 1;
  --left_;
  return window;
}

namespace {

TrainShards open_shards(std::vector<std::string> files, int rank, int world, int64_t seq_len, int64_t vocab) {
  TrainShards shards(std::move(files), vocab, rank, world);
  shards.require_window(seq_len);
  return shards;
}

}  // namespace

ShuffledLoader::ShuffledLoader(std::vector<std::string> files, int rank, int world, int64_t seq_len, int64_t vocab)
    : WindowLoader(open_shards(std::move(files), rank, world, seq_len, vocab), seq_len),
      rank_(rank),
      world_(world),
      plan_(shards().token_counts(), seq_len, static_cast<uint64_t>(rank)) {}

std::string ShuffledLoader::order() const {
  return "shuffled rank " + std::to_string(rank_) + " world " + std::to_string(world_);
}

}  // namespace sixteen
