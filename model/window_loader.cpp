// See window_loader.h.
#include "model/window_loader.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "formats/check.h"
#include "formats/error.h"
#include "formats/file.h"

namespace sixteen {
namespace {

std::vector<TokenShard> open_shards(std::vector<std::string>* files, int rank, int world, int64_t seq_len) {
  CHECK(world > 0 && rank >= 0 && rank < world && seq_len > 0);
  std::sort(files->begin(), files->end());
  if (files->empty()) fail("no training shards given; make some with 'sixteen-train tokenize'");
  if (std::cmp_less(files->size(), world)) {
    fail(files->front(), " and on: ", files->size(), " training shards for ", world,
         " ranks, each needs one of its own; lower virtual_ranks or make smaller shards ('tokenize --shard-tokens')");
  }
  std::vector<TokenShard> shards;
  int64_t longest = 0;
  for (size_t i = rank; i < files->size(); i += world) {
    shards.emplace_back((*files)[i]);
    longest = std::max(longest, static_cast<int64_t>(shards.back().tokens().size()));
  }
  if (longest < seq_len + 1) {
    fail(shards.front().path(), shards.size() > 1 ? " and on" : "", ": no shard of rank ", rank, " has ", seq_len + 1,
         " tokens for one window (the longest has ", longest, "); lower seq_len or give more text");
  }
  return shards;
}

std::vector<int64_t> token_counts(const std::vector<TokenShard>& shards) {
  std::vector<int64_t> counts;
  for (const TokenShard& shard : shards) counts.push_back(static_cast<int64_t>(shard.tokens().size()));
  return counts;
}

[[noreturn]] void fail_vocab(const TokenShard& shard, int64_t start, int64_t count, int64_t vocab) {
  const auto tokens = shard.tokens();
  int64_t at = start;
  while (at < start + count - 1 && tokens[at] < vocab) ++at;
  fail(shard.path(), ": offset ", kShardHeaderBytes + 2 * at, ": token id ", tokens[at], " (token ", at,
       ") is beyond the vocabulary of ", vocab,
       "; the shards were made with another tokenizer than the config's vocab_size");
}

}  // namespace

WindowPlan::WindowPlan(std::vector<int64_t> shard_tokens, int64_t seq_len, uint64_t seed)
    : tokens_(std::move(shard_tokens)),
      seq_len_(seq_len),
      random_(seed),
      starts_(tokens_.size()),
      remaining_(tokens_.size()),
      cdf_(tokens_.size()) {
  deal();
  CHECK(left_ > 0);
}

void WindowPlan::deal() {
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

TrainWindow WindowPlan::next() {
  if (left_ == 0) deal();
  const int64_t shard = random_.choice(remaining_, cdf_);
  const TrainWindow window{static_cast<int32_t>(shard), starts_[shard].back()};
  starts_[shard].pop_back();
  remaining_[shard] -= 1;
  --left_;
  ++drawn_;
  return window;
}

WindowLoader::WindowLoader(std::vector<std::string> files, int rank, int world, int64_t seq_len, int64_t vocab)
    : files_(std::move(files)),
      rank_(rank),
      world_(world),
      seq_len_(seq_len),
      vocab_(vocab),
      shards_(open_shards(&files_, rank, world, seq_len)),
      plan_(token_counts(shards_), seq_len, static_cast<uint64_t>(rank)) {
  for (const TokenShard& shard : shards_) tokens_ += static_cast<int64_t>(shard.tokens().size());
}

void WindowLoader::next_batch(int64_t rows, int32_t* inputs, int32_t* targets) {
  windows_.resize(rows);
  for (int64_t row = 0; row < rows; ++row) {
    const TrainWindow window = plan_.next();
    const TokenShard& shard = shards_[window.shard];
    const uint16_t* tokens = shard.tokens().data() + window.start;
    int32_t* x = inputs + row * seq_len_;
    int32_t* y = targets + row * seq_len_;
    int32_t largest = tokens[0];
    for (int64_t t = 0; t < seq_len_; ++t) {
      x[t] = tokens[t];
      y[t] = tokens[t + 1];
      largest = std::max(largest, y[t]);
    }
    if (largest >= vocab_) fail_vocab(shard, window.start, seq_len_ + 1, vocab_);
    windows_[row] = {window.shard * world_ + rank_, window.start};
  }
}

std::string WindowLoader::state() const {
  std::ostringstream line;
  line << "pcg64 rank " << rank_ << " world " << world_ << " seq_len " << seq_len_ << " shards " << shards_.size()
       << " tokens " << tokens_ << " drawn " << plan_.drawn();
  return line.str();
}

void WindowLoader::restore(const std::string& state) {
  const std::string mine = this->state();
  const size_t prefix = mine.rfind(' ') + 1;
  int64_t drawn = -1;
  std::istringstream rest(state.size() > prefix ? state.substr(prefix) : "");
  rest >> drawn;
  if (state.compare(0, prefix, mine, 0, prefix) != 0 || rest.fail() || !rest.eof() || drawn < 0) {
    fail("the training data is not the one this run was saved with: saved '", state, "', now '", mine,
         "'; resume with the same shards, seq_len and virtual_ranks");
  }
  CHECK(plan_.drawn() <= drawn);
  while (plan_.drawn() < drawn) plan_.next();
}

std::vector<std::string> find_train_shards(const std::string& folder) { return glob_files(folder + "/*_train_*.bin"); }

}  // namespace sixteen
