// Schedules against the numbers that the original's code gave (oracle/optim/schedules.json) and the spec's own.
#include "model/schedule.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "formats/file.h"
#include "tests/support/shared_data.h"

namespace sixteen {
namespace {

constexpr double kTolerance = 1e-12;  // the same few double operations, perhaps in another order

nlohmann::json golden() {
  return nlohmann::json::parse(read_text_file(testing::shared_path("oracle/optim/schedules.json")));
}

TEST(Schedule, GoldenLearningRateAndLoopSwitch) {
  REQUIRE_SHARED("oracle/optim/schedules.json");
  const nlohmann::json record = golden().at("1584");
  const ScheduleConfig config{.warmdown_frac = record.at("warmdown_frac"), .min_lr = record.at("min_lr")};
  const double at_frac = record.at("enable_looping_at");
  int switched = 0;
  const auto check = [&](const nlohmann::json& row, double budget) {
    const double frac = progress(row[0], budget);
    EXPECT_NEAR(frac, row[1].get<double>(), kTolerance);
    EXPECT_NEAR(lr_scale(config, frac), row[2].get<double>(), kTolerance) << row;
    EXPECT_EQ(looping_at(frac, at_frac), row[3].get<bool>()) << row;
    switched += looping_at(frac, at_frac);
  };
  for (const auto& row : record.at("wallclock[elapsed_ms,frac,lr_scale,looping]")) check(row, record.at("budget_ms"));
  for (const auto& row : record.at("steps[step,frac,lr_scale,looping]")) {
    check(row, record.at("iterations_without_wallclock"));
  }
  EXPECT_GT(switched, 10);
}

TEST(Schedule, GoldenWarmdownInSteps) {
  REQUIRE_SHARED("oracle/optim/schedules.json");
  for (const char* pr : {"726", "754"}) {
    const nlohmann::json record = golden().at(pr);
    const ScheduleConfig config{.warmdown_steps = record.at("warmdown_iters")};
    const int64_t steps = record.at("iterations_without_wallclock");
    int below = 0;
    for (const auto& row : record.at("wallclock[step,elapsed_ms,lr_scale]")) {
      const double scale = lr_scale_by_time(config, row[0], row[1], record.at("wallclock_ms"));
      EXPECT_NEAR(scale, row[2].get<double>(), kTolerance) << row;
      below += scale < 1;
    }
    for (const auto& row : record.at("steps[step,lr_scale]")) {
      const double scale = lr_scale_by_steps(config, row[0], steps);
      EXPECT_NEAR(scale, row[1].get<double>(), kTolerance) << row;
      below += scale < 1;
    }
    EXPECT_GT(below, 30);
    EXPECT_EQ(lr_scale_by_steps(config, steps, steps), 1);  // the originals' value where no step is left
  }
  // Steps of one length: both forms are one (spec 5.6).
  const ScheduleConfig config{.warmdown_steps = 3500};
  for (const int64_t k : {1, 3722, 3723, 3724, 6524, 7222}) {
    EXPECT_NEAR(lr_scale_by_time(config, k, 2.0 * k, 2.0 * 7223), lr_scale_by_steps(config, k, 7223), kTolerance) << k;
  }
  EXPECT_EQ(lr_scale_by_steps({.warmdown_steps = 10, .min_lr = 0.25}, 99, 100), 0.25);
  EXPECT_EQ(lr_scale_by_time({.warmdown_steps = 10, .min_lr = 0.25}, 99, 99, 100), 0.25);
}

TEST(Schedule, GoldenMomentum) {
  REQUIRE_SHARED("oracle/optim/schedules.json");
  ScheduleConfig slow;
  slow.momentum_end = 0.99;
  for (const auto& row : golden().at("muon_momentum[step, 0.92->0.97 (1584,1555), 0.92->0.99 (726,754)]")) {
    EXPECT_NEAR(muon_momentum({}, row[0]), row[1].get<double>(), kTolerance);
    EXPECT_NEAR(muon_momentum(slow, row[0]), row[2].get<double>(), kTolerance);
  }
}

TEST(Schedule, GoldenTestTimeTrainingCosine) {
  REQUIRE_SHARED("oracle/optim/schedules.json");
  const nlohmann::json cosine = golden().at("ttt_cosine");
  const auto& factors = cosine.at("factors");
  ASSERT_EQ(static_cast<int64_t>(factors.size()), cosine.at("num_chunks").get<int64_t>());
  for (size_t c = 0; c < factors.size(); ++c) {
    EXPECT_NEAR(ttt_lr_scale(c, factors.size()), factors[c].get<double>(), kTolerance);
  }
}

TEST(Schedule, CosineOfTheRecord) {  // spec 11.2
  EXPECT_EQ(ttt_lr_scale(0, 1238), 1);
  EXPECT_NEAR(ttt_lr_scale(1, 1238), 0.9999984, 5e-8);
  EXPECT_NEAR(ttt_lr_scale(100, 1238), 0.9839615, 5e-8);
  EXPECT_NEAR(ttt_lr_scale(309, 1238), 0.8537778, 5e-8);
  EXPECT_NEAR(ttt_lr_scale(618, 1238), 0.5006349, 5e-8);
  EXPECT_NEAR(ttt_lr_scale(1000, 1238), 0.0878710, 5e-8);
  EXPECT_NEAR(ttt_lr_scale(1236, 1238), 1.6125e-6, 5e-11);
  EXPECT_EQ(ttt_lr_scale(0, 1), 1);
}

TEST(Schedule, Edges) {
  EXPECT_EQ(progress(3, 0), 1);
  EXPECT_EQ(lr_scale({.warmdown_frac = 0}, 0.99), 1);
  EXPECT_EQ(lr_scale({.min_lr = 0.1}, 0.999), 0.1);
  EXPECT_EQ(lr_scale({}, 1.01), 0);  // past the budget
  EXPECT_EQ(muon_momentum({.momentum_steps = 0}, 0), 0.97);
  EXPECT_FALSE(looping_at(0.3499999, 0.35));
  EXPECT_TRUE(looping_at(0.35, 0.35));
}

}  // namespace
}  // namespace sixteen
