// The streams of scorer_streams.h: what stays, what changes, what is in them.
#include "evaluator/scorer_streams.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace sixteen {
namespace {

constexpr int kBos = 1;

// Five documents of 40 tokens.
Tokens text() {
  Tokens tokens;
  for (int i = 0; i < 200; ++i) tokens.push_back(static_cast<uint16_t>(i % 40 == 0 ? kBos : 10 + (i * 7) % 90));
  return tokens;
}

TEST(ScorerStreams, TokensUpToTheCutStayAndSomethingBehindItChanges) {
  const Tokens tokens = text(), ids = ids_of(tokens, kBos), other(50, 99);
  NumpyRandom random(5);
  for (const Change change : kChanges) {
    for (const int64_t cut : {1, 39, 40, 41, 100, 150}) {
      const Tokens changed = change_after(tokens, cut, change, other, ids, kBos, &random);
      const size_t kept = static_cast<size_t>(cut) + 1;
      ASSERT_GE(changed.size(), kept);
      EXPECT_TRUE(std::equal(tokens.begin(), tokens.begin() + cut + 1, changed.begin())) << change_name(change);
      const bool one_document_left = change == Change::kShuffled && cut == 150;
      EXPECT_EQ(changed == tokens, one_document_left) << change_name(change) << " " << cut;
      EXPECT_EQ(changed.size(), change == Change::kTruncated ? kept : tokens.size());
      if (keeps_lengths(change) && tokens[kept] != kBos) {
        EXPECT_EQ(document_starts(changed, kBos), document_starts(tokens, kBos));
      }
      if (change == Change::kPermuted || change == Change::kShuffled) {
        EXPECT_EQ(std::multiset<uint16_t>(changed.begin(), changed.end()), std::multiset<uint16_t>(tokens.begin(), tokens.end()));
      }
    }
  }
}

TEST(ScorerStreams, CutsAreInsideAndMany) {
  NumpyRandom random(6);
  const std::vector<int64_t> cuts = choose_cuts(text(), 24, kBos, &random);
  EXPECT_EQ(cuts.size(), 24u);
  EXPECT_TRUE(std::is_sorted(cuts.begin(), cuts.end()));
  EXPECT_GE(cuts.front(), 1);
  EXPECT_LE(cuts.back(), 198);
}

TEST(ScorerStreams, RandomStreamsFollowTheirLaw) {
  const Tokens ids = {5, 6};
  const std::vector<double> law = {3, 1};
  NumpyRandom random(7);
  const Tokens stream = random_stream(4000, ids, law, kBos, &random);
  EXPECT_EQ(stream[0], kBos);
  EXPECT_EQ(stream[200], kBos);
  const double share = static_cast<double>(std::count(stream.begin(), stream.end(), 5)) / 3980;
  EXPECT_NEAR(share, 0.75, 0.03);  // 4 deviations of sqrt(0.75 x 0.25 / 3980) = 0.007
}

}  // namespace
}  // namespace sixteen
