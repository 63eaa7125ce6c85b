// Training over ranks of this host: the bits of one rank from two and four, resumes on other numbers of ranks, what cannot be
// shared, and what a lost rank leaves behind.
#include <gtest/gtest.h>

#include <cmath>

#include "model/checkpoint.h"
#include "tests/support/ranks.h"
#include "tests/trainer/tiny_run.h"

namespace sixteen {
namespace {

using testing::require;
using testing::Scratch;
using testing::state_but_time;
using testing::tiny_run;

class RunRanks : public testing::Ranks {
 protected:
  RunRanks() { testing::write_tiny_shards(scratch_, 4); }

  // 20 steps of four windows, a micro-batch each, loop and all.
  RunOptions options(const std::string& out, int64_t virtual_ranks, const char* clip_scope) const {
    RunOptions o = tiny_run(scratch_, out);
    o.train.micro_windows = 1;
    o.train.virtual_ranks = virtual_ranks;
    o.train.clip_scope = clip_scope;
    o.train.optim.clip_norm = 0.05;  // of gradients that are several times as long
    return o;
  }

  static std::string result(const RunOptions& o) { return read_text_file(o.out) + state_but_time(o.out + ".state"); }

  // Up to step `until` on so many ranks.
  void run(const RunOptions& o, int ranks, int64_t until = 20) {
    const auto body = [o, until](std::shared_ptr<World> world) {
      RunOptions mine = o;
      mine.world = std::move(world);
      if (until == o.train.steps) return void(Trainer(mine).run());
      Trainer trainer(mine);
      while (trainer.steps_done() < until) trainer.step();
      trainer.save();
    };
    if (ranks == 1) return body(nullptr);
    start_worlds(ranks, body);
    for (int r = 0; r < ranks; ++r) expect_good(r);
    clear();
  }

  Scratch scratch_;
};

TEST_F(RunRanks, OneTwoAndFourGiveTheSameBytes) {
  for (const auto& [virtual_ranks, scope] : {std::pair(1, "reduced"), std::pair(4, "reduced"), std::pair(4, "local")}) {
    const RunOptions one = options("one", virtual_ranks, scope);
    run(one, 1);
    for (const int ranks : {2, 4}) {
      const RunOptions several = options("several", virtual_ranks, scope);
      run(several, ranks);
      EXPECT_EQ(result(one) == result(several), true) << virtual_ranks << " virtual ranks, " << scope << ", " << ranks << " ranks";
    }
  }
}

// Of another clip the weights differ, so the comparison above can fail.
TEST_F(RunRanks, TheClipScopeChangesTheBytes) {
  const RunOptions local = options("local", 4, "local"), reduced = options("reduced", 4, "reduced");
  run(local, 2);
  run(reduced, 2);
  EXPECT_FALSE(result(local) == result(reduced));
}

TEST_F(RunRanks, ARunGoesOnWithAnotherNumberOfRanks) {
  for (const auto& [virtual_ranks, scope] : {std::pair(1, "reduced"), std::pair(4, "local")}) {
    const RunOptions whole = options("whole", virtual_ranks, scope);
    run(whole, 1);
    RunOptions part = options("part", virtual_ranks, scope);
    run(part, 2, 7);
    EXPECT_FALSE(result(part) == result(whole));
    part.resume = true;
    run(part, 4, 13);
    run(part, 1);
    EXPECT_TRUE(result(part) == result(whole)) << virtual_ranks << " virtual ranks, " << scope;
  }
}

// Sums over three ranks take another order, and their banks are padded: fp32 rounding, grown over 20 steps of normalised
// updates; a matrix left out or taken twice moves the weights by 1e-2 and more.
TEST_F(RunRanks, ThreeRanksAgreeWithOne) {
  const auto make = [&](const char* out) {
    RunOptions o = options(out, 1, "reduced");
    o.train.windows_per_step = 6;
    o.train.optim.token_bf16 = false;  // roundings would hide and grow differences
    return o;
  };
  const RunOptions one = make("one"), three = make("three");
  run(one, 1);
  run(three, 3);
  const Model a = load_model(one.out), b = load_model(three.out);
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.store.flat.size(); ++i) {
    difference += std::pow(static_cast<double>(a.store.flat[i]) - b.store.flat[i], 2);
    size += std::pow(static_cast<double>(a.store.flat[i]), 2);
  }
  EXPECT_LT(std::sqrt(difference / size), 1e-4);
  EXPECT_GT(size, 1);
}

// Under the wall clock every decision is rank 0's: the loop, the end, when to save. Ranks that took their own would come to different
// collectives, which ends or hangs the run.
TEST_F(RunRanks, TheWallClockIsRankZeros) {
  RunOptions o = options("wall", 1, "reduced");
  o.train.clock = "wall";
  o.train.steps = 1000000;
  o.train.budget_seconds = 1.5;
  o.train.checkpoint_seconds = 0.1;
  start_worlds(4, [o](std::shared_ptr<World> world) {
    RunOptions mine = o;
    mine.world = std::move(world);
    Trainer trainer(mine);
    const RunResult result = trainer.run();
    require(trainer.looping(), "the loop is off");
    const std::vector<double> steps = trainer.session().device().ranks().gather(static_cast<double>(result.steps) + result.train_seconds);
    for (const double other : steps) require(other == steps[0], "other steps or seconds");
  });
  for (int r = 0; r < 4; ++r) expect_good(r);
  EXPECT_GE(TrainStateFile(o.out + ".state").progress().elapsed_ms, 1500);
}

TEST_F(RunRanks, AStepThatCannotBeSharedIsRefused) {
  const RunOptions o = options("o", 4, "local");
  const auto refusal = [&](int ranks) -> std::string {
    try {
      StepShare(o.train, 0, ranks);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(refusal(4), "");
  EXPECT_NE(refusal(3).find("4 virtual ranks, each clipped on its own (clip_scope = \"local\"), which 3 ranks cannot share evenly; "
                            "start 1, 2 or 4 of them"), std::string::npos) << refusal(3);
  EXPECT_NE(refusal(8), "");
}

// Weights that are not the other ranks' are not saved.
TEST_F(RunRanks, ARankThatWentAstrayIsNamed) {
  const RunOptions o = options("astray", 1, "reduced");
  start_worlds(2, [o](std::shared_ptr<World> world) {
    RunOptions mine = o;
    mine.world = world;
    Trainer trainer(mine);
    trainer.step();
    trainer.save();
    if (world->rank() == 1) {
      const float wrong = 0.5f;
      trainer.session().device().upload(trainer.session().weights().data(), &wrong, sizeof wrong);
    }
    trainer.step();
    trainer.save();
  });
  expect_stopped(0, "the weights of rank 1 differ");
  const TrainStateFile state(o.out + ".state");
  EXPECT_EQ(state.progress().step, 1);
}

}  // namespace
}  // namespace sixteen
