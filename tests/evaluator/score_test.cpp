// Scores do not depend on batch size or threads, bit for bit, in any mode; every target is scored once and in order.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "evaluator/scoring.h"
#include "model/score.h"
#include "model/windows.h"
#include "tests/support/bytes.h"
#include "tests/support/score_case.h"
#include "tests/support/tiny_model.h"

namespace sixteen {
namespace {

using testing::tiny_config;
using testing::tiny_store;
using testing::tiny_tokens;

using testing::Scored;
using testing::Way;
using testing::score;
using testing::tiny_tables;

constexpr int64_t kVocab = testing::kScoreVocab, kWindow = testing::kScoreWindow, kStride = testing::kScoreStride;
constexpr Console kQuiet{.json = false, .quiet = true};

class Scores : public ::testing::TestWithParam<Way> {};

TEST_P(Scores, HaveTheSameBitsForAnyBatchAndThreads) {
  const std::vector<uint16_t> tokens = tiny_tokens(403);
  const Scored reference = score(GetParam(), 1, 1, tokens);
  ASSERT_EQ(reference.nll.size(), tokens.size() - 1);
  for (const auto& [batch, threads] :
       std::vector<std::pair<int64_t, int>>{{2, 1}, {5, 1}, {16, 1}, {1, 2}, {16, 2}, {5, 3}, {0, 3}}) {
    const Scored other = score(GetParam(), batch, threads, tokens);
    EXPECT_EQ(other.nll, reference.nll) << "batch " << batch << ", threads " << threads;
    EXPECT_EQ(other.sum.nll, reference.sum.nll) << "batch " << batch << ", threads " << threads;
    EXPECT_EQ(other.weights, reference.weights) << "batch " << batch << ", threads " << threads;
  }
}

TEST_P(Scores, CoverEveryTargetOnceAndInOrder) {
  for (const int64_t count : {33, 65, 100, 129, 203}) {  // whole windows, and tails of every kind
    const std::vector<uint16_t> tokens = tiny_tokens(count);
    const Scored scored = score(GetParam(), 0, 2, tokens);
    EXPECT_EQ(scored.sum.targets, count - 1);
    ASSERT_EQ(scored.nll.size(), tokens.size() - 1);
    const ByteTables tables = tiny_tables();
    double nll = 0;
    int64_t bytes = 0;
    for (size_t i = 0; i < scored.nll.size(); ++i) {
      nll += scored.nll[i];
      bytes += tables.bytes(tokens[i + 1], tokens[i]);
    }
    EXPECT_EQ(scored.sum.bytes, bytes);
    EXPECT_NEAR(scored.sum.nll, nll, 1e-9 * nll);  // chunks are summed apart
    EXPECT_NEAR(scored.sum.bpb(), nll / std::log(2.0) / static_cast<double>(bytes), 1e-9);
  }
}

// A target's loss may depend on what stands before it alone: with training too, also on no later chunk.
TEST_P(Scores, NeverLookAhead) {
  std::vector<uint16_t> tokens = tiny_tokens(300);
  const Scored before = score(GetParam(), 0, 2, tokens);
  constexpr size_t kChanged = 170;
  tokens[kChanged] = static_cast<uint16_t>((tokens[kChanged] + 7) % kVocab);
  const Scored after = score(GetParam(), 0, 2, tokens);
  const auto first = std::mismatch(before.nll.begin(), before.nll.end(), after.nll.begin()).first - before.nll.begin();
  EXPECT_EQ(first, static_cast<ptrdiff_t>(kChanged) - 1);  // nll[i] is target i + 1
}

constexpr Way kPlain{"Plain", Scoring::kPlain}, kSliding{"Sliding", Scoring::kSliding}, kTraining{"Training", Scoring::kTraining};

INSTANTIATE_TEST_SUITE_P(Modes, Scores,
                         ::testing::Values(kPlain, kSliding, kTraining, Way{"SlidingTapIn", Scoring::kSliding, true},
                                           Way{"TrainingTapIn", Scoring::kTraining, true}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(TapInScores, ChangeThePlacesOfHintsAlone) {
  std::vector<uint16_t> tokens = tiny_tokens(403);
  tokens[0] = tokens[90] = 1;
  const Scored plain = score(kSliding, 0, 2, tokens), mixed = score({"", Scoring::kSliding, true}, 0, 2, tokens);
  std::vector<bool> hinted(tokens.size());
  const TapInMatcher matcher(tokens, 1, {.min_match = 1});
  for (const Window& window : sliding_windows(402, kWindow, kStride, false)) {
    for (const TapInHint& hint : matcher.match(window)) hinted[static_cast<size_t>(window.start + hint.position)] = true;
  }
  int64_t changed = 0;
  for (size_t i = 0; i < plain.nll.size(); ++i) {
    const double difference = std::abs(plain.nll[i] - mixed.nll[i]);
    if (!hinted[i]) {
      EXPECT_LT(difference, 2e-6) << i;  // the same softmax in fp32 and in fp64
    }
    changed += difference > 1e-3;
  }
  EXPECT_GT(changed, 20);
}

// One step more on weights of few bits is another step; the score of the first chunk sees neither.
TEST(Ttt, FakeQuantisationReachesTheTrainingPassAlone) {
  const std::vector<uint16_t> tokens = tiny_tokens(403);
  const ParamStore store = tiny_store(tiny_config());
  std::vector<std::vector<float>> nll(2);
  for (const bool fake : {false, true}) {
    Session session(std::shared_ptr<Device>(make_device("cpu", 2)), tiny_config(), store.table);
    session.set_weights(store);
    EvalConfig config = testing::tiny_eval(0);
    if (fake) config.ttt.fake_quant.scope = FakeQuantConfig::Scope::kMatrices;
    nll[fake] = run_scoring({Scoring::kTraining, false, config}, &session, tokens, tiny_tables(), 1, true, kQuiet).nll;
  }
  const auto first = std::mismatch(nll[0].begin(), nll[0].end(), nll[1].begin()).first - nll[0].begin();
  EXPECT_EQ(first, 96);
}

TEST(Ttt, TheHashTableHasALearningRateOfItsOwn) {
  const std::vector<uint16_t> tokens = tiny_tokens(200);
  const ParamStore store = tiny_store(tiny_config());
  std::vector<std::vector<float>> tables;
  for (const double mult : {1.0, 10.0, 0.0}) {
    Session session(std::shared_ptr<Device>(make_device("cpu", 2)), tiny_config(), store.table);
    session.set_weights(store);
    EvalConfig config = testing::tiny_eval(0);
    config.ttt.chunk = 160;  // two chunks: one round of training
    config.ttt.epochs = 1;
    config.ttt.batch_seqs = 32;
    config.hash = {.buckets = 64, .multiplier = 2039};
    config.hash_lr_mult = mult;
    run_scoring({Scoring::kTraining, true, config}, &session, tokens, tiny_tables(), 1, false, kQuiet);
    tables.emplace_back(64 * 32);
    session.device().download(tables.back().data(), session.hash_table().data(), session.hash_table().bytes());
  }
  for (size_t i = 0; i < tables[0].size(); ++i) {
    ASSERT_NEAR(tables[1][i], 10 * tables[0][i], 1e-5 * std::abs(tables[1][i]));  // one step from zero
    ASSERT_EQ(tables[2][i], 0);
  }
  EXPECT_GT(*std::max_element(tables[0].begin(), tables[0].end()), 1e-5);
}

TEST(Ttt, HelpsOnTextThatRepeatsAndDivergesWithAMessage) {
  const std::vector<uint16_t> tokens = tiny_tokens(403);
  const Scored sliding = score(kSliding, 0, 2, tokens), trained = score(kTraining, 0, 2, tokens);
  EXPECT_TRUE(std::equal(sliding.nll.begin(), sliding.nll.begin() + 96,
                         trained.nll.begin()));  // the first chunk is scored untrained
  EXPECT_LT(trained.sum.loss(), sliding.sum.loss() - 0.05);

  const ParamStore store = tiny_store(tiny_config());
  Session session(std::shared_ptr<Device>(make_device("cpu", 2)), tiny_config(), store.table);
  session.set_weights(store);
  EvalConfig config = testing::tiny_eval(0);
  config.ttt.lr = 1e30;
  testing::expect_error("[eval.ttt] lr",
                        [&] { run_scoring({Scoring::kTraining, false, config}, &session, tokens, tiny_tables(), 1, false, kQuiet); });
}

}  // namespace
}  // namespace sixteen
