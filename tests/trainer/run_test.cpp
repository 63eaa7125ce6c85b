// The training run step by step: the same bits whatever interrupts it, gradients as written down in the spec, averages.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/checkpoint.h"
#include "model/sensitivity.h"
#include "model/shuffled_loader.h"
#include "tests/support/bytes.h"
#include "tests/trainer/tiny_run.h"

namespace sixteen {
namespace {

using testing::Scratch;
using testing::state_but_time;
using testing::tiny_run;

class Run : public ::testing::Test {
 protected:
  Run() { testing::write_tiny_shards(scratch_); }

  RunOptions options(const std::string& out) const { return tiny_run(scratch_, out); }

  // The bytes that decide whether two runs were the same: the checkpoint, and the state without its seconds.
  static std::string result(const RunOptions& o) { return read_text_file(o.out) + state_but_time(o.out + ".state"); }

  std::string run(const RunOptions& o) const {
    Trainer(o).run();
    return result(o);
  }

  Scratch scratch_;
};

std::vector<float> download(Trainer& trainer, const Buffer& buffer) {
  std::vector<float> values(trainer.session().table().flat_size());
  trainer.session().device().download(values.data(), buffer.data(), values.size() * sizeof(float));
  return values;
}

double norm(const std::vector<float>& values) {
  double sum = 0;
  for (const float x : values) sum += static_cast<double>(x) * x;
  return std::sqrt(sum);
}

// |a - b| / |b|
double distance(const std::vector<float>& a, const std::vector<float>& b) {
  std::vector<float> difference(a.size());
  for (size_t i = 0; i < a.size(); ++i) difference[i] = a[i] - b[i];
  return norm(difference) / norm(b);
}

TEST_F(Run, TheSameRunGivesTheSameBytes) {
  const std::string first = run(options("a"));
  EXPECT_EQ(first, run(options("b")));
  RunOptions other = options("c");
  other.train.seed = 2;
  EXPECT_NE(read_text_file(scratch_.path("a")), (run(other), read_text_file(other.out)));
}

TEST_F(Run, ThreadsChangeNoBit) {
  RunOptions two = options("b");
  two.threads = 2;
  EXPECT_EQ(run(options("a")), run(two));
}

// Stops on either side of the loop switch at step 10, and at it; local clips and two streams have state of their own.
TEST_F(Run, ResumeContinuesBitForBit) {
  for (const bool local : {false, true}) {
    const auto make = [&](const std::string& out) {
      RunOptions o = options(out);
      o.train.virtual_ranks = local ? 2 : 1;
      o.train.clip_scope = local ? "local" : "reduced";
      return o;
    };
    const std::string whole = run(make("whole"));
    for (const int stop : {8, 10, 13}) {
      RunOptions part = make("part");
      {
        Trainer trainer(part);
        for (int i = 0; i < stop; ++i) trainer.step();
        EXPECT_EQ(trainer.looping(), stop >= 10);
        trainer.save();
      }
      EXPECT_NE(result(part), whole);
      part.resume = true;
      EXPECT_EQ(run(part), whole) << "stopped after step " << stop << ", local " << local;
    }
  }
}

TEST_F(Run, ResumeOfAFinishedRunChangesNothing) {
  RunOptions o = options("done");
  const std::string whole = run(o);
  o.resume = true;
  const RunResult again = Trainer(o).run();
  EXPECT_EQ(result(o), whole);
  EXPECT_EQ(again.steps, 20);
  EXPECT_TRUE(std::isnan(again.loss));  // no step was left, so there is none to tell
}

// Sums in another order: fp32 rounding of a few hundred terms, far below what a micro-batch weighted wrongly would do.
TEST_F(Run, AccumulatedGradientsEqualOnePass) {
  std::vector<std::vector<float>> gradients;
  std::vector<double> losses;
  for (const int64_t micro : {1, 2, 4}) {
    RunOptions o = options("m" + std::to_string(micro));
    o.train.micro_windows = micro;
    Trainer trainer(o);
    losses.push_back(trainer.step());
    gradients.push_back(download(trainer, trainer.session().grads()));
  }
  EXPECT_GT(norm(gradients[2]), 1e-3);
  for (const int i : {0, 1}) {
    EXPECT_NEAR(losses[i], losses[2], 1e-6 * losses[2]);
    EXPECT_LT(distance(gradients[i], gradients[2]), 1e-5);
  }
}

// Trap T5: each rank's gradient over its own stream, clipped by its own norm, then the mean; spec 5.2.
TEST_F(Run, LocalClipIsTheMeanOfClippedGradients) {
  constexpr double kClip = 0.05;
  constexpr int64_t kRanks = 2, kWindows = 2, kSeq = 32;
  RunOptions o = options("local");
  o.train.virtual_ranks = kRanks;
  o.train.clip_scope = "local";
  o.train.optim.clip_norm = kClip;
  Trainer trainer(o);
  ParamStore initial(std::make_shared<ParamTable>(o.model));
  trainer.session().get_weights(&initial);
  Session session(make_device("cpu", 1), o.model, initial.table);
  session.set_weights(initial);
  std::vector<float> clipped(initial.flat.size()), unclipped(initial.flat.size());
  double loss = 0;
  for (int64_t rank = 0; rank < kRanks; ++rank) {
    ShuffledLoader loader(find_train_shards(o.data), static_cast<int>(rank), kRanks, kSeq, o.model.vocab);
    std::vector<int32_t> ids(kWindows * kSeq), targets(kWindows * kSeq);
    loader.next_batch(kWindows, ids.data(), targets.data());
    session.zero_grads();
    const std::vector<float> mean(ids.size(), 1.0f / (kWindows * kSeq));
    loss += session.train(ids, targets, mean, kWindows, kSeq, false) / kRanks;
    std::vector<float> g(initial.flat.size());
    session.device().download(g.data(), session.grads().data(), g.size() * sizeof(float));
    const double scale = std::min(1.0, kClip / (norm(g) + 1e-6));
    EXPECT_LT(scale, 0.9) << "nothing is clipped, so nothing is tested";
    for (size_t i = 0; i < g.size(); ++i) {
      clipped[i] += static_cast<float>(scale * g[i] / kRanks);
      unclipped[i] += g[i] / kRanks;
    }
  }
  EXPECT_NEAR(trainer.step(), loss, 1e-6 * loss);
  EXPECT_LT(distance(download(trainer, trainer.session().grads()), clipped), 1e-6);
  const double scale_of_mean = kClip / norm(unclipped);
  for (float& g : unclipped) g *= static_cast<float>(scale_of_mean);
  EXPECT_GT(distance(unclipped, clipped), 1e-3) << "the clip of the mean is the same here, so nothing is tested";
}

TEST_F(Run, ReducedClipLeavesTheMeanGradientOfAllRanks) {
  std::vector<std::vector<float>> gradients;
  for (const double clip : {0.0, 0.05}) {
    RunOptions o = options("reduced");
    o.train.virtual_ranks = 2;
    o.train.optim.clip_norm = clip;
    Trainer trainer(o);
    trainer.step();
    gradients.push_back(download(trainer, trainer.session().grads()));
  }
  EXPECT_EQ(gradients[0], gradients[1]);  // the optimiser applies the clip, the gradients stay
  RunOptions one = options("one");
  Trainer trainer(one);
  trainer.step();
  EXPECT_GT(distance(gradients[0], download(trainer, trainer.session().grads())), 1e-2) << "two streams are one";
}

TEST_F(Run, LearnsAPattern) {
  RunOptions o = options("learn");
  o.train.steps = 150;
  Trainer trainer(o);
  const double first = trainer.step();
  double last = 0;
  for (int i = 1; i < 150; ++i) last = trainer.step();
  EXPECT_NEAR(first, std::log(64.0), 0.3);  // starts without knowledge
  // One token in seven is random: the floor is ln(64) / 7 = 0.59.
  EXPECT_LT(last, 1.5);
  EXPECT_GT(last, 0.5);
}

TEST_F(Run, AverageStartsFromTheInitialWeights) {
  const RunOptions o = options("ema");
  Trainer trainer(o);
  ParamStore before(std::make_shared<ParamTable>(o.model)), after = before;
  trainer.session().get_weights(&before);
  trainer.save();
  EXPECT_EQ(load_checkpoint(o.out).store.flat, before.flat);
  trainer.step();
  trainer.session().get_weights(&after);
  EXPECT_GT(distance(after.flat, before.flat), 1e-3);
  trainer.save();
  std::vector<float> expected(before.flat.size());
  for (size_t i = 0; i < expected.size(); ++i)
    expected[i] = static_cast<float>(0.9 * before.flat[i] + 0.1 * after.flat[i]);
  // Two roundings of a value that is mostly the old one.
  EXPECT_LT(distance(load_checkpoint(o.out).store.flat, expected), 1e-6);
}

// Of the checkpoint's weights (the average here), and nothing else about the run changes.
TEST_F(Run, HessiansAreThoseOfTheCheckpoint) {
  RunOptions o = options("a");
  o.train.qat = {.scope = "matrices", .start_frac = 0.5};  // of the last steps, not of what is measured behind them
  const std::string without = run(o);
  o.out = scratch_.path("b");
  o.hessians = scratch_.path("h.safetensors");
  o.calibration = {.windows = 7, .batch = 3, .seq_len = 32, .sensitivity_windows = 3};
  EXPECT_EQ(run(o), without);
  const Model model = load_checkpoint(o.out);
  Session session(make_device("cpu"), model.config, model.table);
  session.set_weights(model.store);
  Console quiet;
  quiet.quiet = true;
  Sensitivities sensitivities;
  EXPECT_EQ(load_hessians(o.hessians, model.store, o.out, &sensitivities),
            collect_hessians(&session, train_pattern(o.data), o.calibration, quiet));
  EXPECT_EQ(sensitivities, measure_sensitivities(&session, train_pattern(o.data), o.calibration, 2, quiet));
  o.hessians = scratch_.path("none/h");
  EXPECT_THROW(Trainer{o}, Error);
}

TEST_F(Run, WithoutAverageTheCheckpointIsTheWeights) {
  RunOptions o = options("plain");
  o.train.optim.ema_decay = 0;
  Trainer trainer(o);
  for (int i = 0; i < 3; ++i) trainer.step();
  trainer.save();
  ParamStore weights(std::make_shared<ParamTable>(o.model));
  trainer.session().get_weights(&weights);
  EXPECT_EQ(load_checkpoint(o.out).store.flat, weights.flat);
}

}  // namespace
}  // namespace sixteen
