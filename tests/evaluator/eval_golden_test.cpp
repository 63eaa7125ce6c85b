// Evaluation of PR 1584 against the original's: every target's loss in order, sums, bytes, and the weights that test-time
// training leaves. Tolerances are eval.json's (20 times the golden data's own distance from fp64).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "evaluator/ttt.h"
#include "model/score.h"
#include "model/windows.h"
#include "tests/support/golden_1584.h"

namespace sixteen {
namespace {

using testing::floats_of;
using testing::Golden1584;
using testing::shared_path;

double max_difference(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  double worst = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(difference <= worst)) worst = difference;  // NaN counts
  }
  return worst;
}

void check_sum(const Golden1584& golden, const std::string& name, const ScoreSum& sum) {
  const nlohmann::json& c = golden.json.at("cases").at(name);
  EXPECT_EQ(sum.targets, golden.json.at("stream").at("scored_targets_after_truncation").get<int64_t>());
  EXPECT_EQ(sum.bytes, golden.json.at("stream").at("total_bytes_of_targets").get<int64_t>());
  const double tolerance = c.at("tolerance").at("val_loss");
  EXPECT_NEAR(sum.loss(), c.at("val_loss").get<double>(), tolerance);
  EXPECT_NEAR(sum.bpb(), c.at("val_bpb").get<double>(), tolerance);  // 0.6 of the loss
}

void check_nll(const Golden1584& golden, const std::string& name, std::span<const float> nll) {
  const std::vector<float> expected = floats_of(golden.results.at(name + ".nll"));
  const double tolerance = golden.json.at("cases").at(name).at("tolerance").at("nll_abs");
  const double worst = max_difference(nll, expected);
  EXPECT_LE(worst, tolerance);
  ::testing::Test::RecordProperty("nll_worst", std::to_string(worst));
}

TEST(EvalGolden, ByteTablesOfTheStream) {
  REQUIRE_SHARED("oracle/eval/eval.json");
  const Golden1584 golden;
  const std::vector<float> expected = floats_of(golden.results.at("stream.target_bytes"));
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(golden.tables.bytes(golden.tokens[i + 1], golden.tokens[i]), expected[i]) << "target " << i + 1;
  }
}

TEST(EvalGolden, PlainAndSliding) {
  REQUIRE_SHARED("oracle/eval/eval.json");
  const Golden1584 golden;
  const auto session = golden.session();
  const int64_t seq = golden.json.at("seq_len"), stride = golden.json.at("stride");
  std::vector<float> plain, sliding;
  check_sum(golden, "1584.plain",
            score_windows(session.get(), golden.tokens, plain_windows(golden.targets(), seq, true), &golden.tables, {},
                          &plain, nullptr));
  const std::vector<Window> windows = sliding_windows(golden.targets(), seq, stride, true);
  check_sum(golden, "1584.sliding",
            score_windows(session.get(), golden.tokens, windows, &golden.tables, {}, &sliding, nullptr));
  check_nll(golden, "1584.sliding", sliding);
  ASSERT_EQ(plain.size(), sliding.size());
  EXPECT_TRUE(std::equal(plain.begin(), plain.begin() + seq, sliding.begin()));  // the first window is the same in both

  std::vector<float> starts, targets;
  for (const Window& window : windows) {
    for (int64_t i = 0; i < window.scored; ++i) {
      starts.push_back(static_cast<float>(window.start));
      targets.push_back(static_cast<float>(window.first_target() + i));
    }
  }
  EXPECT_EQ(starts, floats_of(golden.results.at("1584.sliding.ws")));
  EXPECT_EQ(targets, floats_of(golden.results.at("1584.sliding.target_pos")));
}

class TttGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(TttGolden, LossesStepsAndFinalWeights) {
  REQUIRE_SHARED("oracle/eval/eval.json");
  const Golden1584 golden;
  const std::string name = GetParam();
  const nlohmann::json &c = golden.json.at("cases").at(name), &t = c.at("ttt");
  EvalConfig config;
  config.window = golden.json.at("seq_len");
  config.stride = golden.json.at("stride");
  config.drop_tail = true;
  config.ttt = {.lr = t.at("lr"),
                .epochs = t.at("epochs"),
                .chunk = t.at("chunk"),
                .batch_seqs = t.at("batch_seqs"),
                .momentum = t.at("momentum"),
                .clip_norm = t.at("clip"),
                .freeze_blocks = t.at("freeze_blocks")};
  const auto session = golden.session();
  const int64_t buckets = t.at("hash_rows");
  if (buckets > 0) session->enable_hash({.buckets = buckets, .multiplier = 2039});
  std::vector<float> nll;
  const TttResult result = score_with_training(session.get(), golden.tokens, golden.tables, config, &nll, nullptr);
  check_sum(golden, name, result.sum);
  check_nll(golden, name, nll);
  EXPECT_EQ(result.steps, c.at("ttt_steps").get<int64_t>());

  ParamStore trained(golden.table);
  session->get_weights(&trained);
  const double tolerance = c.at("tolerance").at("final_param_abs");
  const SafetensorsFile final_parameters(shared_path("oracle/eval/" + c.at("final_params_file").get<std::string>()));
  double most_moved = 0;
  for (const TensorView& tensor : final_parameters.tensors()) {
    const std::vector<float> expected = floats_of(tensor);
    if (tensor.name == "hash_emb.weight") {
      std::vector<float> found(expected.size());
      ASSERT_EQ(session->hash_table().bytes(), found.size() * sizeof(float));
      session->device().download(found.data(), session->hash_table().data(), session->hash_table().bytes());
      EXPECT_LE(max_difference(found, expected), tolerance) << tensor.name;
      EXPECT_GT(max_difference(found, std::vector<float>(found.size(), 0.0f)), 100 * tolerance);
    } else {
      EXPECT_LE(max_difference(trained.tensor(tensor.name), expected), tolerance) << tensor.name;
      most_moved = std::max(most_moved, max_difference(trained.tensor(tensor.name), golden.store.tensor(tensor.name)));
    }
  }
  EXPECT_GT(most_moved, 100 * tolerance);  // the comparison is about training, not about the start
}

INSTANTIATE_TEST_SUITE_P(Cases, TttGolden, ::testing::Values("1584.ttt", "1584.ttt_hash", "1584.ttt_freeze"),
                         [](const auto& test) { return std::string(test.param).substr(5); });

}  // namespace
}  // namespace sixteen
