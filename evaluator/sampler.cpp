// See sampler.h.
#include "evaluator/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "formats/check.h"

namespace sixteen {

Sampler::Sampler(Session* session, const SampleOptions& options) : session_(session), options_(options) {}

double Sampler::uniform() {
  uint64_t x = options_.seed * 0x9e3779b97f4a7c15u + ++drawn_ * 0xbf58476d1ce4e5b9u;  // SplitMix64 of (seed, draw)
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  x ^= x >> 31;
  return static_cast<double>(x >> 11) * 0x1.0p-53;
}

int32_t Sampler::next(std::span<const int32_t> context) {
  CHECK(!context.empty());
  const int64_t longest = session_->config().rope.train_len, vocab = session_->config().vocab;
  const int64_t length = std::min<int64_t>(longest, static_cast<int64_t>(context.size()));
  const int64_t seq = std::min(longest, (length + kSampleStep - 1) / kSampleStep * kSampleStep);
  const int64_t tail = std::min(kSampleStep, seq);
  std::vector<int32_t> ids(context.end() - length, context.end());
  ids.resize(static_cast<size_t>(seq), 0);
  logits_.resize(static_cast<size_t>(tail * vocab));
  session_->logits(ids, 1, seq, tail, logits_);
  const float* row = logits_.data() + (length - 1 - (seq - tail)) * vocab;

  std::vector<int32_t> order(static_cast<size_t>(vocab));
  std::iota(order.begin(), order.end(), 0);
  const auto likelier = [&](int32_t a, int32_t b) { return row[a] != row[b] ? row[a] > row[b] : a < b; };
  const size_t kept = options_.top_k > 0 ? std::min(order.size(), static_cast<size_t>(options_.top_k)) : order.size();
  std::partial_sort(order.begin(), order.begin() + static_cast<int64_t>(kept), order.end(), likelier);
  if (options_.temperature <= 0) return order[0];
  std::vector<double> cumulative(kept);
  double sum = 0;
  for (size_t i = 0; i < kept; ++i) {
    sum += std::exp((static_cast<double>(row[order[i]]) - static_cast<double>(row[order[0]])) / options_.temperature);
    cumulative[i] = sum;
  }
  const double u = uniform() * sum;
  const size_t at = static_cast<size_t>(std::upper_bound(cumulative.begin(), cumulative.end(), u) - cumulative.begin());
  return order[std::min(at, kept - 1)];
}

size_t settled_bytes(std::string_view text) {
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  while (text.ends_with(kReplacement)) text.remove_suffix(kReplacement.size());
  return text.size();
}

}  // namespace sixteen
