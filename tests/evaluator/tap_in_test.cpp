// Tap-In's matcher on vectors worked out apart from it and against the rule spelled out naively; its mixture as a distribution.
#include "evaluator/tap_in.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "tests/support/tiny_model.h"
#include "tests/support/values.h"

namespace sixteen {
namespace {

using Row = std::vector<int64_t>;  // position, hint, is_cross, match length, votes

std::vector<Row> rows(const std::vector<TapInHint>& hints) {
  std::vector<Row> all;
  for (const TapInHint& h : hints) all.push_back({h.position, h.token, h.cross, h.match, h.votes});
  return all;
}

std::vector<Row> match(const std::vector<uint16_t>& tokens, const Window& window, const TapInConfig& config) {
  return rows(TapInMatcher(tokens, 1, config).match(window));
}

TEST(TapInMatcher, VectorsWithinAWindow) {  // spec_1584_1555 11.3
  const std::vector<uint16_t> a = {5, 7, 5, 8, 5, 7, 5, 7, 5}, b = {1, 9, 4, 6, 9, 4, 6, 2, 9, 4};
  EXPECT_EQ(match(a, {0, 9, 9}, {.min_match = 1, .cross = false}),
            (std::vector<Row>{{2, 7, 0, 1, 1}, {4, 7, 0, 1, 1}, {5, 5, 0, 1, 1}, {6, 8, 0, 2, 1}, {7, 5, 0, 2, 2}, {8, 7, 0, 3, 3}}));
  EXPECT_EQ(match(a, {0, 9, 9}, {.min_match = 3, .cross = false}), (std::vector<Row>{{8, 7, 0, 3, 1}}));
  EXPECT_EQ(match(b, {0, 10, 10}, {.min_match = 1}),
            (std::vector<Row>{{4, 4, 0, 1, 1}, {5, 6, 0, 2, 1}, {6, 9, 0, 3, 1}, {8, 4, 0, 1, 2}, {9, 6, 0, 2, 2}}));
}

TEST(TapInMatcher, VectorsAcrossWindows) {  // spec_1584_1555 11.3
  const std::vector<uint16_t> stream = {1, 10, 11, 12, 13, 14, 10, 11, 20, 21, 22, 23, 24, 25, 26, 27, 28, 10, 11, 12, 10, 11};
  EXPECT_EQ(match(stream, {12, 8, 2}, {.min_match = 1}), (std::vector<Row>{{6, 12, 1, 2, 1}, {7, 13, 1, 3, 1}}));
  EXPECT_EQ(match(stream, {14, 8, 2}, {.min_match = 1}), (std::vector<Row>{{6, 11, 0, 1, 3}, {7, 12, 0, 2, 2}}));
  EXPECT_TRUE(match(stream, {12, 8, 2}, {.min_match = 1, .cross = false}).empty());
}

// The rule of spec_1584_1555 7.5, word by word.
std::vector<Row> naive(const std::vector<uint16_t>& tokens, const Window& window, const TapInConfig& config) {
  const std::vector<uint16_t> ids(tokens.begin() + window.start, tokens.begin() + window.start + window.length);
  int64_t document = window.start;
  while (document >= 0 && tokens[document] != 1) --document;
  std::vector<uint16_t> lost;
  if (config.cross && document >= 0 && window.start > document) {
    lost.assign(tokens.begin() + document, tokens.begin() + window.start);
  }
  const int64_t base = window.start - (window.length - 1) - document;
  std::vector<Row> found;
  for (int64_t t = window.length - window.scored; t < window.length; ++t) {
    std::map<int64_t, int64_t> votes;
    Row best = {t, 0, 0, 0, 0};
    const auto consider = [&](const std::vector<uint16_t>& where, int64_t last, bool cross) {
      for (int64_t p = 0; p <= last; ++p) {
        if (where[p] != ids[t]) continue;
        const int64_t longest = std::min({config.max_match, p, t});
        int64_t length = 1;
        for (int64_t k = 1; k < longest && where[p - k] == ids[t - k]; ++k) ++length;
        if (length < config.min_match) continue;
        ++votes[where[p + 1]];
        if (length > best[3]) best = {t, where[p + 1], cross, length, 0};
      }
    };
    consider(ids, t - 2, false);
    const int64_t reach = std::min<int64_t>(t + base, static_cast<int64_t>(lost.size()));
    if (reach > config.min_match) consider(lost, reach - 2, true);
    if (best[3] == 0) continue;
    best[4] = votes[best[1]];
    found.push_back(best);
  }
  return found;
}

TEST(TapInMatcher, EqualsTheRuleSpelledOut) {
  int64_t hints = 0, cross = 0, longest = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<uint16_t> tokens;  // few words, some documents, some long repetitions
    for (size_t i = 0; i < 400; ++i) {
      const double r = testing::noise(seed * 1000 + i) * 0.5 + 0.5;
      if (i > 100 && seed % 2 == 1 && i % 97 > 40) {
        tokens.push_back(tokens[i - 61]);
      } else {
        tokens.push_back(r < 0.01 ? 1 : static_cast<uint16_t>(2 + r * static_cast<double>(3 + seed % 7)));
      }
    }
    if (seed % 3 == 0) tokens[0] = 1;
    for (const int64_t min_match : {1, 2, 4}) {
      const TapInConfig config{.min_match = min_match, .max_match = seed % 4 == 0 ? 5 : 100, .cross = seed % 5 != 4};
      const TapInMatcher matcher(tokens, 1, config);
      for (const Window& window : sliding_windows(399, 32, seed % 2 == 0 ? 8 : 5, false)) {
        const std::vector<Row> found = rows(matcher.match(window));
        ASSERT_EQ(found, naive(tokens, window, config)) << "seed " << seed << ", window " << window.start;
        for (const Row& row : found) {
          ++hints;
          cross += row[2];
          longest = std::max(longest, row[3]);
        }
      }
    }
  }
  EXPECT_GT(hints, 10000);
  EXPECT_GT(cross, 1000);
  EXPECT_GT(longest, 20);
}

TEST(TapInMatcher, LooksAtNothingAfterThePosition) {
  std::vector<uint16_t> tokens = testing::tiny_tokens(300, 12);
  tokens[0] = tokens[120] = 1;
  const Window window{180, 64, 48};
  constexpr int64_t kChanged = 225;  // in the stream: position 45 of the window
  const std::vector<Row> before = match(tokens, window, {.min_match = 1});
  for (size_t i = kChanged; i < tokens.size(); ++i) tokens[i] = static_cast<uint16_t>(2 + (tokens[i] + 5) % 11);
  const std::vector<Row> after = match(tokens, window, {.min_match = 1});
  const auto earlier = [&](std::vector<Row> all) {
    std::erase_if(all, [&](const Row& row) { return window.start + row[0] >= kChanged; });
    return all;
  };
  EXPECT_EQ(earlier(before), earlier(after));
  EXPECT_GT(earlier(before).size(), 10u);
  EXPECT_NE(before, after);
}

TEST(TapInWeight, Formula) {  // spec_1584_1555 11.3
  const TapInConfig config{.min_match = 1};
  EXPECT_NEAR(tap_in_weight({.match = 1, .votes = 1}, config), 0.01, 1e-12);
  EXPECT_NEAR(tap_in_weight({.match = 5, .votes = 3}, config), 0.0195156, 5e-8);
  EXPECT_NEAR(tap_in_weight({.cross = true, .match = 1, .votes = 1}, config), 0.06, 1e-12);
  EXPECT_NEAR(tap_in_weight({.cross = true, .match = 10, .votes = 4}, config), 0.1800935, 5e-8);
  EXPECT_EQ(tap_in_weight({.cross = true, .match = 100, .votes = 50}, config), 0.5);
  EXPECT_NEAR(tap_in_weight({.match = 3, .votes = 1}, {.min_match = 3}), 0.01, 1e-12);  // counts from min_match
}

// 8192 terms of fp64 with relative errors below 1e-15 each: 1e-12 leaves room.
TEST(TapInRow, IsADistribution) {
  const std::vector<float> logits = testing::random_values<float>(8192, 3, 12);
  const int32_t likeliest = static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  const TapInHint hint{.position = 5, .token = likeliest, .cross = true, .match = 7, .votes = 3};
  const TapInConfig config{.top_k = 1};
  for (const TapInHint* given : {static_cast<const TapInHint*>(nullptr), &hint}) {
    const TapInRow row(logits, given, config), plain(logits, nullptr, config);
    EXPECT_EQ(row.kept(), given != nullptr);
    double sum = 0;
    for (int32_t token = 0; token < 8192; ++token) {
      const double p = std::exp(row.log_probability(token)), q = std::exp(plain.log_probability(token));
      sum += p;
      ASSERT_NEAR(p, (1 - row.weight()) * q + (token == likeliest ? row.weight() : 0), 1e-14);
    }
    EXPECT_NEAR(sum, 1, 1e-12);
  }
  EXPECT_NEAR(TapInRow(logits, &hint, config).weight(), tap_in_weight(hint, config), 0);
}

TEST(TapInRow, GatesByRankAndEntropy) {
  const std::vector<float> logits = {1, 3, 2, 2, 0};
  const auto kept = [&](int32_t token, const TapInConfig& config) {
    const TapInHint hint{.token = token, .match = 1, .votes = 1};
    return TapInRow(logits, &hint, config).kept();
  };
  EXPECT_TRUE(kept(1, {.top_k = 1}));
  EXPECT_FALSE(kept(2, {.top_k = 1}));
  EXPECT_TRUE(kept(2, {.top_k = 2}));
  EXPECT_FALSE(kept(3, {.top_k = 2}));  // as large as token 2, which has the smaller id
  EXPECT_TRUE(kept(3, {.top_k = 3}));
  EXPECT_TRUE(kept(4, {.top_k = 1000}));
  double norm = 0, entropy = 0;
  for (const float logit : logits) norm += std::exp(static_cast<double>(logit));
  for (const float logit : logits) entropy -= std::exp(static_cast<double>(logit)) / norm * (logit - std::log(norm));
  EXPECT_TRUE(kept(1, {.entropy_min = entropy - 1e-9}));
  EXPECT_FALSE(kept(1, {.entropy_min = entropy + 1e-9}));
}

TEST(TapInPreset, Names) {
  TapInConfig config;
  EXPECT_TRUE(tap_in_preset("effective", &config));
  EXPECT_TRUE(config.enabled);
  EXPECT_EQ(config.within_weight, 0.01);
  EXPECT_TRUE(tap_in_preset("readme", &config));
  EXPECT_EQ(config.within_weight, 0.02);
  EXPECT_EQ(config.cross_weight, 0.06);
  EXPECT_EQ(config.top_k, 1000);
  EXPECT_TRUE(tap_in_preset("none", &config));
  EXPECT_FALSE(config.enabled);
  EXPECT_FALSE(tap_in_preset("published", &config));
}

}  // namespace
}  // namespace sixteen
