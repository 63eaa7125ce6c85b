// A bigram model by counting, with a cache: enough to be honest or to cheat in every way, and a run takes a millisecond.
//
// It is trained on the artifact, which is a token shard. Every distribution it makes is normalised over the whole alphabet.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sixteen::testing {

class CountModel {
 public:
  explicit CountModel(int64_t vocab) : vocab_(static_cast<size_t>(vocab)), pair_(vocab_ * vocab_), first_(vocab_), one_(vocab_) {}

  void learn(int before, int token, double weight = 1) {
    pair_[static_cast<size_t>(before) * vocab_ + static_cast<size_t>(token)] += weight;
    first_[static_cast<size_t>(before)] += weight;
    one_[static_cast<size_t>(token)] += weight;
    total_ += weight;
  }
  void learn(std::span<const uint16_t> tokens, double weight = 1) {
    for (size_t i = 1; i < tokens.size(); ++i) learn(tokens[i - 1], tokens[i], weight);
  }

  // P(token | before): pairs, backed off to single tokens, these to the uniform law.
  double p(int before, int token) const {
    const double single = (one_[static_cast<size_t>(token)] + 0.5) / (total_ + 0.5 * static_cast<double>(vocab_));
    const double seen = first_[static_cast<size_t>(before)];
    return (pair_[static_cast<size_t>(before) * vocab_ + static_cast<size_t>(token)] + kBackoff * single) / (seen + kBackoff);
  }

 private:
  static constexpr double kBackoff = 6;
  size_t vocab_;
  std::vector<double> pair_, first_, one_;  // [before, token], [before], [token]
  double total_ = 0;
};

// Counts of the tokens from some place on, for a cache: share(v) sums to one once there is any.
class Cache {
 public:
  explicit Cache(int64_t vocab) : count_(static_cast<size_t>(vocab)) {}
  void add(int token) { ++count_[static_cast<size_t>(token)], ++total_; }
  void clear() { *this = Cache(static_cast<int64_t>(count_.size())); }
  double total() const { return total_; }
  // (1 - weight) p + weight share, with weight 0 as long as the cache is empty.
  double mixed(double p, int token, double weight) const {
    if (total_ == 0) return p;
    return (1 - weight) * p + weight * count_[static_cast<size_t>(token)] / total_;
  }

 private:
  std::vector<double> count_;
  double total_ = 0;
};

}  // namespace sixteen::testing
