// Evaluation of every system against the originals': each score in order, sums, bytes, steps of test-time training and the
// weights that it leaves. Tolerances are eval.json's (20 times the golden data's own distance from fp64).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "evaluator/score_run.h"
#include "model/score.h"
#include "model/windows.h"
#include "tests/support/golden_eval.h"

namespace sixteen {
namespace {

using testing::floats_of;
using testing::GoldenEval;
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

// The part before the dot.
std::string pr_of(const std::string& name) { return name.substr(0, name.find('.')); }

void check_sum(const GoldenEval& golden, const std::string& name, const ScoreSum& sum) {
  const nlohmann::json& c = golden.json.at("cases").at(name);
  if (!c.at("tokens").is_null()) {
    EXPECT_EQ(sum.targets, c.at("tokens").get<int64_t>());
    EXPECT_EQ(sum.bytes, c.at("bytes").get<int64_t>());
    EXPECT_NEAR(sum.nll, c.at("nll_sum").get<double>(), 1e-5 * sum.nll);  // "totals 1e-5"
  }
  const double tolerance = c.at("tolerance").at("val_loss");
  EXPECT_NEAR(sum.loss(), c.at("val_loss").get<double>(), tolerance);
  EXPECT_NEAR(sum.bpb(), c.at("val_bpb").get<double>(), tolerance);  // 0.6 of the loss
}

void check_nll(const GoldenEval& golden, const std::string& name, std::span<const float> nll) {
  const std::vector<float> expected = floats_of(golden.results.at(name + ".nll"));
  const double tolerance = golden.json.at("cases").at(name).at("tolerance").at("nll_abs");
  const double worst = max_difference(nll, expected);
  EXPECT_LE(worst, tolerance);
  ::testing::Test::RecordProperty("nll_worst", std::to_string(worst));
}

Edge edge_of(const std::string& name) {
  if (name == "754.sliding") return Edge::kFullOnly;
  return pr_of(name) == "726" || pr_of(name) == "754" ? Edge::kTailRepeated : Edge::kExact;
}

TEST(EvalGolden, ByteTablesOfTheStream) {
  REQUIRE_SHARED("oracle/eval/eval.json");
  const GoldenEval golden;
  const std::vector<float> expected = floats_of(golden.results.at("stream.target_bytes"));
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(golden.tables.bytes(golden.tokens[i + 1], golden.tokens[i]), expected[i]) << "target " << i + 1;
  }
}

class PlainGolden : public ::testing::TestWithParam<const char*> {};
TEST_P(PlainGolden, Sums) {
  REQUIRE_SHARED("oracle/eval/eval.json");
  const GoldenEval golden(pr_of(GetParam()));
  const int64_t seq = golden.json.at("seq_len");
  check_sum(golden, GetParam(),
            score_windows(golden.session().get(), golden.tokens, plain_windows(golden.targets(), seq, true), &golden.tables, {},
                          nullptr, nullptr));
}
INSTANTIATE_TEST_SUITE_P(Cases, PlainGolden, ::testing::Values("1584.plain", "726.plain"),
                         [](const auto& test) { return pr_of(test.param); });

class SlidingGolden : public ::testing::TestWithParam<const char*> {};
TEST_P(SlidingGolden, LossesInOrder) {
  REQUIRE_SHARED("oracle/eval/eval.json");
  const std::string name = GetParam();
  const GoldenEval golden(pr_of(name));
  const int64_t seq = golden.json.at("seq_len"), stride = golden.json.at("stride");
  const std::vector<Window> windows = sliding_windows(golden.targets(), seq, stride, true, edge_of(name));
  std::vector<float> nll;
  check_sum(golden, name, score_windows(golden.session().get(), golden.tokens, windows, &golden.tables, {}, &nll, nullptr));
  check_nll(golden, name, nll);
}
INSTANTIATE_TEST_SUITE_P(Cases, SlidingGolden,
                         ::testing::Values("1584.sliding", "726.sliding", "754.sliding", "1555.sliding_no_tapin"),
                         [](const auto& test) { return pr_of(test.param); });

// [eval] as a case's JSON says it.
EvalConfig training_config(const GoldenEval& golden, const std::string& name) {
  const nlohmann::json &c = golden.json.at("cases").at(name), &t = c.at("ttt");
  EvalConfig config;
  config.window = golden.json.at("seq_len");
  config.stride = golden.json.at("stride");
  config.drop_tail = true;
  config.edge = edge_of(name);
  config.ttt.lr = t.at("lr");
  config.ttt.epochs = t.at("epochs");
  config.ttt.chunk = t.at("chunk");
  config.ttt.batch_seqs = t.at("batch_seqs");
  config.ttt.momentum = t.at("momentum");
  config.ttt.clip_norm = t.at("clip");
  config.ttt.freeze_blocks = t.value("freeze_blocks", 0);
  if (t.value("fake_quant_in_training_forward", false)) config.ttt.fake_quant.scope = FakeQuantConfig::Scope::kProjections;
  const bool before = pr_of(name) == "1555";
  config.hash = {.buckets = t.value("hash_rows", 0), .multiplier = 2039, .before_norm = before, .own_previous = before};
  config.hash_lr_mult = t.value("hash_lr_mult", 1.0);
  if (c.contains("tapin") && !c.at("tapin").is_null()) {
    config.tap_in = testing::golden_tap_in(c.at("tapin"));
  }
  return config;
}

void check_steps(const GoldenEval& golden, const std::string& name, const std::vector<TttStep>& steps) {
  std::vector<int32_t> chunks;
  std::vector<float> lr, norm, loss;
  for (const TttStep& step : steps) {
    chunks.push_back(static_cast<int32_t>(step.chunk));
    lr.push_back(static_cast<float>(step.lr));
    norm.push_back(static_cast<float>(step.grad_norm));
    loss.push_back(static_cast<float>(step.loss));
  }
  EXPECT_EQ(chunks, golden.ints(name + ".step_chunk"));
  EXPECT_LE(max_difference(lr, floats_of(golden.results.at(name + ".step_lr"))), 1e-9);  // fp32 of equal formulas
  const double tolerance = golden.json.at("cases").at(name).at("tolerance").at("nll_abs");
  EXPECT_LE(max_difference(loss, floats_of(golden.results.at(name + ".step_loss"))), tolerance);
  const std::vector<float> expected = floats_of(golden.results.at(name + ".step_grad_norm"));
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(norm.at(i), expected[i], 1e-4 * expected[i]) << "step " << i;  // as gradients in oracle/README: 2e-4
  }
}

class TttGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(TttGolden, LossesStepsAndFinalWeights) {
  REQUIRE_SHARED("oracle/eval/eval.json");
  const std::string name = GetParam();
  const GoldenEval golden(pr_of(name));
  const nlohmann::json& c = golden.json.at("cases").at(name);
  const EvalConfig config = training_config(golden, name);
  const auto session = golden.session();
  ScoreRun run({Scoring::kTraining, config.hash.buckets > 0, config}, session.get(), golden.tokens, golden.tables, 1);
  ScoreSum sum;
  std::vector<float> nll;
  std::vector<TttStep> steps;
  for (int64_t chunk = 0; chunk < static_cast<int64_t>(run.chunks().size()); ++chunk) {
    sum.add(run.score(chunk, &nll));
    for (const TttStep& step : run.train(chunk)) steps.push_back(step);
  }
  check_sum(golden, name, sum);
  check_nll(golden, name, nll);
  check_steps(golden, name, steps);

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

INSTANTIATE_TEST_SUITE_P(Cases, TttGolden,
                         ::testing::Values("1584.ttt", "1584.ttt_hash", "1584.ttt_freeze", "726.ttt", "726.ttt_freeze",
                                           "726.ttt_qat", "754.ttt", "754.ttt_freeze", "754.ttt_qat", "1555.ttt",
                                           "1555.ttt_hash_tapin"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

}  // namespace
}  // namespace sixteen
