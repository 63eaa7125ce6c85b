// See tap_in.h. Positions of every token are indexed as far as windows have come. The matches of a position are those of the one
// before, one token longer, and new ones of length 1: nothing is compared twice but at a window's first scored position.
//
// A match may reach back to the second token of its region and to the second input of the window, no farther (the record's
// K = min(max_match, p, t)); lengths are clamped to that at every step, which gives the same as clamping the full length.
#include "evaluator/tap_in.h"

#include <algorithm>
#include <cmath>

#include "formats/check.h"

namespace sixteen {

bool tap_in_preset(const std::string& name, TapInConfig* config) {
  *config = TapInConfig{.enabled = name != "none"};
  if (name == "readme") config->within_weight = 0.02;
  return name == "none" || name == "effective" || name == "readme";
}

double tap_in_weight(const TapInHint& hint, const TapInConfig& config) {
  const double base = hint.cross ? config.cross_weight : config.within_weight;
  const double matched = 1 + 0.15 * static_cast<double>(hint.match - config.min_match);
  return std::min(0.5, base * matched * (1 + 0.20 * std::log(static_cast<double>(hint.votes))));
}

TapInMatcher::TapInMatcher(std::span<const uint16_t> tokens, int32_t bos, const TapInConfig& config)
    : tokens_(tokens), bos_(bos), config_(config) {
  CHECK(!tokens.empty() && tokens.size() <= UINT32_MAX && bos <= UINT16_MAX);
}

void TapInMatcher::read_until(int64_t end) const {
  if (end > read_end_) read_hash_.update(std::as_bytes(tokens_.subspan(static_cast<size_t>(read_end_), static_cast<size_t>(end - read_end_))));
  for (; read_end_ < end; ++read_end_) {
    const uint16_t token = tokens_[read_end_];
    if (token >= places_.size()) places_.resize(size_t{token} + 1);
    places_[token].push_back(static_cast<uint32_t>(read_end_));
  }
}

std::span<const uint32_t> TapInMatcher::places(uint16_t token, int64_t begin, int64_t end) const {
  if (token >= places_.size()) return {};
  const std::vector<uint32_t>& all = places_[token];
  const auto first = std::lower_bound(all.begin(), all.end(), begin), last = std::lower_bound(first, all.end(), end);
  return {first, last};
}

int64_t TapInMatcher::document_start(int64_t start) const {
  if (bos_ < 0) return -1;
  const std::span<const uint32_t> starts = places(static_cast<uint16_t>(bos_), 0, start + 1);
  return starts.empty() ? -1 : int64_t{starts.back()};
}

// How far the tokens up to `place` equal those up to `current`, both included; at least 1.
int64_t TapInMatcher::length_at(int64_t place, int64_t current, int64_t longest) const {
  int64_t length = 1;
  while (length < longest && tokens_[place - length] == tokens_[current - length]) ++length;
  return length;
}

// Makes `matches` of the position before `current` those of `current`: candidates in [begin, end), whose region starts at
// `begin`. position: of `current` in the window. first: there is no position before.
void TapInMatcher::extend(int64_t begin, int64_t end, int64_t current, int64_t position, bool first,
                          std::vector<Match>* matches) const {
  std::vector<Match> now;
  auto before = matches->begin();
  for (const uint32_t place : places(tokens_[current], begin, end)) {
    const int64_t longest = std::max<int64_t>(1, std::min({config_.max_match, place - begin, position}));
    if (first) {
      now.push_back({place, length_at(place, current, longest)});
      continue;
    }
    while (before != matches->end() && before->place + 1 < place) ++before;
    const bool continues = before != matches->end() && before->place + 1 == place;
    now.push_back({place, continues ? std::min(before->length + 1, longest) : 1});
  }
  matches->swap(now);
}

std::vector<TapInHint> TapInMatcher::match(const Window& window) const {
  const int64_t from = window.length - window.tail();
  read_until(window.start + from + window.scored);
  const int64_t document = config_.cross ? document_start(window.start) : -1;
  std::vector<TapInHint> hints;
  std::vector<Match> within, cross;
  std::vector<int32_t> votes(places_.size());
  for (int64_t t = from; t < from + window.scored; ++t) {
    const int64_t current = window.start + t;
    TapInHint hint{.position = t};
    const auto count = [&](const std::vector<Match>& matches, bool is_cross, int step) {
      for (const Match& match : matches) {
        if (match.length < config_.min_match) continue;
        const uint16_t continuation = tokens_[match.place + 1];
        votes[continuation] += step;
        if (step < 0 || match.length <= hint.match) continue;
        hint.token = continuation;
        hint.cross = is_cross;
        hint.match = match.length;
      }
    };
    extend(window.start, current - 1, current, t, t == from, &within);
    count(within, false, 1);
    // Of the document before the window only what lies more than a window back: the rest the model sees, or once saw.
    const int64_t lost = document < 0 ? 0 : current - window.length + 1 - document;
    if (document >= 0) extend(document, std::max(document, current - window.length), current, t, t == from, &cross);
    const bool crosses = lost > config_.min_match;
    if (crosses) count(cross, true, 1);
    if (hint.match > 0) {
      hint.votes = votes[hint.token];
      hints.push_back(hint);
    }
    count(within, false, -1);  // back to zero
    if (crosses) count(cross, true, -1);
  }
  return hints;
}

TapInRow::TapInRow(std::span<const float> logits, const TapInHint* hint, const TapInConfig& config) : logits_(logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0, weighted = 0;
  for (const float logit : logits) {
    const double e = std::exp(logit - largest);
    sum += e;
    weighted += e * (logit - largest);
  }
  log_sum_ = largest + std::log(sum);
  if (hint == nullptr) return;
  gated_ = config.entropy_min > 0 && std::log(sum) - weighted / sum < config.entropy_min;
  if (gated_) return;
  int64_t rank = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    rank += logits[i] > logits[hint->token] || (logits[i] == logits[hint->token] && static_cast<int32_t>(i) < hint->token);
  }
  if (rank >= config.top_k) return;
  hint_ = hint->token;
  weight_ = tap_in_weight(*hint, config);
  probability_ = std::exp(logits[hint_] - log_sum_);
}

double TapInRow::log_probability(int32_t token) const {
  if (kept() && token == hint_) return std::log((1 - weight_) * probability_ + weight_);
  return logits_[token] - log_sum_ + std::log1p(-weight_);
}

void TapIn::operator()(const Window& window, std::span<const float> logits, std::span<float> nll) {
  const size_t vocab = logits.size() / nll.size();
  CHECK(static_cast<int64_t>(nll.size()) == window.scored && logits.size() == vocab * nll.size());
  const std::vector<TapInHint> hints = matcher_.match(window);
  const int64_t from = window.length - window.tail();
  auto next = hints.begin();
  for (int64_t i = 0; i < window.scored; ++i) {
    const TapInHint* hint = next != hints.end() && next->position == from + i ? &*next++ : nullptr;
    const TapInRow row(logits.subspan(static_cast<size_t>(i) * vocab, vocab), hint, config_);
    nll[i] = static_cast<float>(-row.log_probability(tokens_[window.first_target() + i]));
    if (hint == nullptr || row.gated()) continue;
    ++counts_.hints;
    counts_.cross_hints += hint->cross;
    counts_.kept += row.kept();
    counts_.kept_cross += row.kept() && hint->cross;
  }
}

void TapIn::hints(const Window& window, std::span<int32_t> hints) {
  const int64_t from = window.length - window.tail();
  for (const TapInHint& hint : waiting_.emplace_back(matcher_.match(window))) hints[hint.position - from] = hint.token;
}

void TapIn::mix(const Window& window, std::span<const HintStats> stats, std::span<float> nll) {
  const int64_t from = window.length - window.tail();
  for (size_t i = 0; i < nll.size(); ++i) nll[i] = stats[i].nll;
  for (const TapInHint& hint : waiting_.front()) {
    const int64_t i = hint.position - from;
    const HintStats& row = stats[i];
    if (config_.entropy_min > 0 && row.entropy < config_.entropy_min) continue;
    const double weight = tap_in_weight(hint, config_);
    const bool kept = static_cast<int64_t>(row.hint_rank) < config_.top_k && weight > 0;
    ++counts_.hints;
    counts_.cross_hints += hint.cross;
    counts_.kept += kept;
    counts_.kept_cross += kept && hint.cross;
    if (!kept) continue;
    const bool right = tokens_[window.first_target() + i] == hint.token;
    nll[i] = static_cast<float>(right ? -std::log((1 - weight) * std::exp(-double{row.hint_nll}) + weight)
                                      : row.nll - std::log1p(-weight));
  }
  waiting_.pop_front();
}

}  // namespace sixteen
