// Tap-In (PR 1555; spec_1584_1555 7.5): an online n-gram cache over evaluation tokens. Where the tokens before a position
// have occurred earlier, the token that followed them there (the hint) gets some of the probability.
//
// Within a window candidates are all earlier positions of the current token; "cross" candidates lie in the document before
// the window, farther back than the model sees. The hint follows the longest match, the earliest of equal ones, within before
// cross; its votes are all candidates that it followed. The mixture is (1 - w) p, plus w for the hint: causal (it reads inputs up
// to the position), normalised, and blind to the target.
// Bites: candidates within a window cross documents; the cross document is the one the window starts in. The hint must be among
// the top_k logits: of equal logits the smaller id counts as the larger (torch.topk leaves ties open; with logits rounded to
// bf16 they are common). The record adds 1e-10 inside its logarithms and normalises it away again; we do neither. Matching and
// mixing are the host's, in fp64 by the C library; softmax, entropy and rank the device's.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "formats/sha256.h"
#include "model/score.h"
#include "model/windows.h"

namespace sixteen {

inline constexpr const char* kTapInLabel =
    "Tap-In is an online n-gram cache over evaluation tokens (causal and normalised; its category is disputed)";

struct TapInConfig {
  bool enabled = false;
  int64_t min_match = 1;        // tokens that must match, the current one included
  int64_t max_match = 100;      // longer matches count as this long
  int64_t top_k = 1000;         // a hint outside of the k largest logits is dropped
  double within_weight = 0.01;  // of a hint from the window, at min_match and one vote
  double cross_weight = 0.06;   // of a hint from the document before it
  bool cross = true;
  double entropy_min = 0;       // nats; positions whose distribution has less get no hint
};

// "effective": what #1555's published command does, since it spells three names that nothing reads (trap T10): min_match 1,
// top_k 1000, within 0.01, cross 0.06. "readme": what its README and that command say: within 0.02, the rest the same.
// "none": off. Returns false for other names.
bool tap_in_preset(const std::string& name, TapInConfig* config);

struct TapInHint {
  int64_t position = 0;  // in the window; the hint is about the token after it
  int32_t token = 0;
  bool cross = false;
  int64_t match = 0;     // tokens matched, the current one included
  int64_t votes = 0;
};

// min(0.5, w0 (1 + 0.15 (match - min_match)) (1 + 0.20 ln votes)).
double tap_in_weight(const TapInHint& hint, const TapInConfig& config);

// Finds hints; knows the stream, nothing of the model. `tokens` must outlive it.
class TapInMatcher {
 public:
  TapInMatcher(std::span<const uint16_t> tokens, int32_t bos, const TapInConfig& config);
  // Hints of the window's scored positions, ascending. A pure function of the tokens up to each position.
  std::vector<TapInHint> match(const Window& window) const;
  void read_until(int64_t end) const;
  // Tokens that were looked at so far: those from the stream's start to the last scored position of a window.
  int64_t read_end() const { return read_end_; }
  Sha256 read_digest() const { return read_hash_.so_far(); }  // of those tokens, as the shards hold them

 private:
  struct Match {
    int64_t place, length;
  };
  std::span<const uint32_t> places(uint16_t token, int64_t begin, int64_t end) const;  // in [begin, end), ascending
  int64_t length_at(int64_t place, int64_t current, int64_t longest) const;
  void extend(int64_t begin, int64_t end, int64_t current, int64_t position, bool first, std::vector<Match>* matches) const;
  int64_t document_start(int64_t start) const;  // of the document that `start` lies in; -1: none has begun

  std::span<const uint16_t> tokens_;
  int32_t bos_;
  TapInConfig config_;
  mutable std::vector<std::vector<uint32_t>> places_;  // by token: its positions before read_end_; grows as windows come
  mutable int64_t read_end_ = 0;
  mutable Sha256Stream read_hash_;
};

// One position's distribution, mixed with a hint or not.
class TapInRow {
 public:
  // hint may be null. logits: [vocab], finite.
  TapInRow(std::span<const float> logits, const TapInHint* hint, const TapInConfig& config);
  bool gated() const { return gated_; }          // the entropy was too small: as if there were no hint
  bool kept() const { return weight_ > 0; }      // the hint counts
  double weight() const { return weight_; }
  double probability_before() const { return probability_; }  // of a kept hint
  double log_probability(int32_t token) const;   // mixed

 private:
  std::span<const float> logits_;
  double log_sum_ = 0, weight_ = 0, probability_ = 0;
  int32_t hint_ = -1;
  bool gated_ = false;
};

struct TapInCounts {
  int64_t hints = 0, cross_hints = 0;        // after the entropy gate
  int64_t kept = 0, kept_cross = 0;          // among the top_k
  void add(const TapInCounts& other) {
    hints += other.hints;
    cross_hints += other.cross_hints;
    kept += other.kept;
    kept_cross += other.kept_cross;
  }
};

// The mixture as ScoreOptions wants it: with hints, so that logits stay on the device, or (for who needs whole distributions
// anyway) with logits. The first rounds the model's terms to fp32.
class TapIn : public HintMixture {
 public:
  TapIn(std::span<const uint16_t> tokens, int32_t bos, const TapInConfig& config)
      : tokens_(tokens), config_(config), matcher_(tokens, bos, config) {}
  void operator()(const Window& window, std::span<const float> logits, std::span<float> nll);
  void hints(const Window& window, std::span<int32_t> hints) override;
  void mix(const Window& window, std::span<const HintStats> stats, std::span<float> nll) override;
  const TapInCounts& counts() const { return counts_; }
  int64_t read_end() const { return matcher_.read_end(); }
  Sha256 read_digest() const { return matcher_.read_digest(); }
  // As if all windows up to this position of the stream had been scored: for runs that start midway.
  void read_until(int64_t end) { matcher_.read_until(end); }

 private:
  std::span<const uint16_t> tokens_;
  TapInConfig config_;
  TapInMatcher matcher_;
  std::deque<std::vector<TapInHint>> waiting_;  // of windows whose hints() was called and not yet mix()
  TapInCounts counts_;
};

}  // namespace sixteen
