// See mixture_plan.h.
#include "model/mixture_plan.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "formats/check.h"

namespace sixteen {
namespace {

// FNV-1a with PR 726's start value, which is not the usual one.
uint64_t text_hash(const std::string& text) {
  uint64_t hash = 1469598103934665603ULL;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 1099511628211ULL;
  return hash;
}

// "./a//b/./c" -> "a/b/c"
std::string pathlib_spelling(const std::string& path) {
  std::string spelled = path.starts_with('/') ? "/" : "";
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string part = path.substr(begin, end - begin);
    if (!part.empty() && part != ".") spelled += (spelled.empty() || spelled.back() == '/' ? "" : "/") + part;
    begin = end + 1;
  }
  return spelled;
}

int64_t round_half_even(double x) { return static_cast<int64_t>(std::nearbyint(x)); }  // in the default rounding mode

}  // namespace

uint64_t mixture_seed(const std::string& pattern, std::span<const std::string> paths, std::span<const int64_t> tokens) {
  CHECK(paths.size() == tokens.size());
  uint64_t seed = text_hash(pattern);
  for (size_t i = 0; i < paths.size(); ++i) {
    seed ^= text_hash(pathlib_spelling(paths[i])) ^ (static_cast<uint64_t>(tokens[i]) * 0x9E3779B97F4A7C15ULL);
  }
  return seed;
}

MixturePlan::MixturePlan(std::vector<int64_t> shard_tokens, int64_t seq_len, int64_t windows, int64_t world,
                         uint64_t seed, int64_t ramp_batches)
    : tokens_(std::move(shard_tokens)),
      seq_len_(seq_len),
      windows_(windows),
      world_(world),
      ramp_batches_(ramp_batches),
      random_(seed),
      cursors_(tokens_.size()) {
  CHECK(windows > 0 && world > 0 && ramp_batches > 0);
  for (size_t s = 0; s < tokens_.size(); ++s) {
    if (tokens_[s] > seq_len) eligible_.push_back(static_cast<int32_t>(s));
  }
  CHECK(!eligible_.empty());
}

std::vector<double> MixturePlan::weights(double ramp) const {
  const double exponent = 0.90 - 0.40 * ramp;
  std::vector<double> result;
  for (const int32_t shard : eligible_) {
    const Cursor& cursor = cursors_[shard];
    int64_t left = cursor.started ? cursor.blocks - cursor.next : 0;
    if (left <= 0) left = (tokens_[shard] - 1) / seq_len_;
    result.push_back(std::pow(static_cast<double>(left), exponent));
  }
  const double sum = numpy_sum(result);
  for (double& weight : result) weight /= sum;
  return result;
}

int64_t MixturePlan::mix(double ramp) const {
  const int64_t most = std::min<int64_t>(static_cast<int64_t>(eligible_.size()), windows_);
  const int64_t low = std::min(std::max<int64_t>(8, world_), most);
  const int64_t high = std::max(low, std::min(std::max<int64_t>(32, 8 * world_), most));
  const double between = static_cast<double>(low) + ramp * static_cast<double>(high - low);
  return std::clamp<int64_t>(round_half_even(between), 1, most);
}

std::span<const TrainWindow> MixturePlan::next() {
  const double ramp = std::min(static_cast<double>(batches_) / static_cast<double>(ramp_batches_), 1.0);
  const std::vector<double> p = weights(ramp);
  const int64_t shards = mix(ramp);
  const std::vector<int32_t> drawn = random_.choose(p, shards);
  std::vector<double> q;
  for (const int32_t index : drawn) q.push_back(p[index]);
  const double sum = numpy_sum(q);
  for (double& share : q) share /= sum;
  std::vector<int64_t> counts(shards, 1);
  if (windows_ > shards) {
    const std::vector<int64_t> more = random_.multinomial(windows_ - shards, q);
    for (int64_t i = 0; i < shards; ++i) counts[i] += more[i];
  }
  std::vector<int32_t> order(shards);
  random_.permutation(order);
  std::vector<std::vector<TrainWindow>> buckets;
  for (const int32_t i : order) buckets.push_back(take(eligible_[drawn[i]], counts[i]));
  interleave(std::move(buckets));
  ++batches_;
  return plan_;
}

void MixturePlan::restart(int32_t shard) {
  Cursor& cursor = cursors_[shard];
  const int64_t max_phase = std::min(seq_len_ - 1, std::max<int64_t>(0, tokens_[shard] - seq_len_ - 1));
  cursor.started = true;
  cursor.phase = random_.integers(static_cast<uint32_t>(max_phase + 1));
  cursor.blocks = (tokens_[shard] - 1 - cursor.phase) / seq_len_;
  CHECK(cursor.blocks > 0);
  cursor.next = 0;
  cursor.start = random_.integers(static_cast<uint32_t>(cursor.blocks));
  cursor.stride = 1;
  if (cursor.blocks <= 1) return;
  do {
    cursor.stride = 1 + random_.integers(static_cast<uint32_t>(cursor.blocks - 1));
  } while (std::gcd(cursor.stride, cursor.blocks) != 1);
}

std::vector<TrainWindow> MixturePlan::take(int32_t shard, int64_t count) {
  Cursor& cursor = cursors_[shard];
  std::vector<TrainWindow> taken, shuffled;
  for (int64_t i = 0; i < count; ++i) {
    if (!cursor.started || cursor.next >= cursor.blocks) restart(shard);
    const int64_t block = (cursor.start + cursor.next++ * cursor.stride) % cursor.blocks;
    taken.push_back({shard, static_cast<int32_t>(cursor.phase + block * seq_len_)});
  }
  if (count <= 1) return taken;
  std::vector<int32_t> order(count);
  random_.permutation(order);
  for (const int32_t i : order) shuffled.push_back(taken[i]);
  return shuffled;
}

void MixturePlan::interleave(std::vector<std::vector<TrainWindow>> buckets) {
  plan_.clear();
  std::vector<int32_t> active(buckets.size()), order;
  std::iota(active.begin(), active.end(), 0);
  while (!active.empty()) {
    order.resize(active.size());
    random_.permutation(order);
    std::vector<int32_t> left;
    for (const int32_t i : order) {
      std::vector<TrainWindow>& bucket = buckets[active[i]];
      plan_.push_back(bucket.back());
      bucket.pop_back();
      if (!bucket.empty()) left.push_back(active[i]);
    }
    active = std::move(left);
  }
  CHECK(static_cast<int64_t>(plan_.size()) == windows_);
}

}  // namespace sixteen
