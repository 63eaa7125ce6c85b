// Tap-In against the original's: every hint, which ones the top-k gate keeps, their weights, and each target's loss.
// Tolerances are eval.json's.
#include <gtest/gtest.h>

#include <cmath>

#include "evaluator/tap_in.h"
#include "tests/support/golden_eval.h"

namespace sixteen {
namespace {

using testing::floats_of;
using testing::GoldenEval;

class TapInGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(TapInGolden, HintsGateWeightsAndLosses) {
  REQUIRE_SHARED("oracle/eval/eval.json");
  const GoldenEval golden("1555");
  const std::string name = GetParam();
  const nlohmann::json& c = golden.json.at("cases").at(name);
  const TapInConfig config = testing::golden_tap_in(c.at("tapin"));
  const TapInMatcher matcher(golden.tokens, golden.json.at("stream").at("bos_id"), config);
  TapIn tap_in(golden.tokens, golden.json.at("stream").at("bos_id"), config);
  std::vector<int32_t> fires, kept;
  std::vector<float> weights, before, nll;
  const auto mix = [&](const Window& window, std::span<const float> logits, std::span<float> out) {
    const size_t vocab = static_cast<size_t>(golden.config.vocab);
    const int32_t start = static_cast<int32_t>(window.start);
    for (const TapInHint& hint : matcher.match(window)) {
      const int32_t position = static_cast<int32_t>(hint.position);
      fires.insert(fires.end(), {start, position, hint.token, hint.cross, static_cast<int32_t>(hint.match), static_cast<int32_t>(hint.votes)});
      const size_t i = static_cast<size_t>(hint.position - (window.length - window.scored));
      const TapInRow row(logits.subspan(i * vocab, vocab), &hint, config);
      if (!row.kept()) continue;
      kept.insert(kept.end(), {start, position, hint.token});
      weights.push_back(static_cast<float>(row.weight()));
      before.push_back(static_cast<float>(row.probability_before()));
    }
    tap_in(window, logits, out);
  };
  const std::vector<Window> windows = sliding_windows(golden.targets(), golden.json.at("seq_len"), golden.json.at("stride"), true);
  const ScoreSum sum = score_windows(golden.session().get(), golden.tokens, windows, &golden.tables, {.mixture = mix}, &nll, nullptr);

  EXPECT_EQ(fires, golden.ints(name + ".fires"));
  EXPECT_EQ(kept, golden.ints(name + ".kept_ws_pos_hint"));
  const auto expect_near = [&](const std::vector<float>& found, const std::string& tensor, double tolerance) {
    const std::vector<float> expected = floats_of(golden.results.at(name + tensor));
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], tolerance) << tensor << " " << i;
  };
  expect_near(weights, ".kept_weight", 1e-7);             // fp32 of equal formulas, at most 0.5
  expect_near(before, ".kept_hint_prob_before", 1e-5);  // logits differ by up to 1e-5
  expect_near(nll, ".nll", c.at("tolerance").at("nll_abs"));
  EXPECT_NEAR(sum.loss(), c.at("val_loss").get<double>(), c.at("tolerance").at("val_loss"));
  EXPECT_NEAR(sum.bpb(), c.at("val_bpb").get<double>(), c.at("tolerance").at("val_loss"));
  const nlohmann::json& counts = c.at("fires_kept_cross");
  EXPECT_EQ(tap_in.counts().hints, counts.at(0).get<int64_t>());
  EXPECT_EQ(tap_in.counts().kept, counts.at(1).get<int64_t>());
  EXPECT_EQ(tap_in.counts().cross_hints, counts.at(2).get<int64_t>());
}

// The way of `score`: hints go to the device, no logits come back.
TEST_P(TapInGolden, LossesByHints) {
  REQUIRE_SHARED("oracle/eval/eval.json");
  const GoldenEval golden("1555");
  const std::string name = GetParam();
  const nlohmann::json& c = golden.json.at("cases").at(name);
  const std::vector<Window> windows = sliding_windows(golden.targets(), golden.json.at("seq_len"), golden.json.at("stride"), true);
  for (const int64_t batch : {0, 3}) {
    TapIn mixture(golden.tokens, golden.json.at("stream").at("bos_id"), testing::golden_tap_in(c.at("tapin")));
    std::vector<float> nll;
    score_windows(golden.session().get(), golden.tokens, windows, &golden.tables, {.batch = batch, .hints = &mixture}, &nll, nullptr);
    const std::vector<float> expected = floats_of(golden.results.at(name + ".nll"));
    ASSERT_EQ(nll.size(), expected.size());
    for (size_t i = 0; i < nll.size(); ++i) ASSERT_NEAR(nll[i], expected[i], c.at("tolerance").at("nll_abs").get<double>()) << i;
    const nlohmann::json& counts = c.at("fires_kept_cross");
    EXPECT_EQ(mixture.counts().hints, counts.at(0).get<int64_t>());
    EXPECT_EQ(mixture.counts().kept, counts.at(1).get<int64_t>());
    EXPECT_EQ(mixture.counts().cross_hints, counts.at(2).get<int64_t>());
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, TapInGolden, ::testing::Values("1555.sliding_tapin", "1555.sliding_tapin_min3_nocross"),
                         [](const auto& test) { return std::string(test.param).substr(5); });

}  // namespace
}  // namespace sixteen
