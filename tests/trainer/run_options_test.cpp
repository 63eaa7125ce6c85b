// The run under its other data orders, averages and fake quantisation: resume to the bit, golden averages, what the choice by
// validation does and says.
#include <gtest/gtest.h>

#include <cmath>

#include "model/checkpoint.h"
#include "model/mixture_plan.h"
#include "tests/support/bytes.h"
#include "tests/support/shared_data.h"
#include "tests/trainer/tiny_run.h"
#include "trainer/corpus.h"
#include "trainer/snapshot_mean.h"
#include "trainer/tokenizer_train.h"
#include "trainer/train_data.h"

namespace sixteen {
namespace {

using testing::Scratch;
using testing::state_but_time;
using testing::tiny_run;

class RunWith : public ::testing::Test {
 protected:
  RunWith() { testing::write_tiny_shards(scratch_); }

  // Everything that a resume must carry: a data order that plans ahead, snapshots, a switch that stays on.
  RunOptions options(const std::string& out, const std::string& loader, int64_t prefetch = 8) const {
    RunOptions o = tiny_run(scratch_, out);
    o.train.steps = 12;
    o.train.warmdown_frac = 0;
    o.train.warmdown_steps = 8;
    o.train.virtual_ranks = 2;
    o.train.micro_windows = 1;
    o.train.data = {
        .loader = loader, .rows = loader == "shuffled" ? 0 : 5, .prefetch = prefetch};  // 2 a step, 5 a plan
    o.train.averaging = {.select = "swa", .swa_source = "ema", .swa_every = 2, .swa_below_scale = 0.7};
    o.train.qat = {.scope = "matrices", .start_lr_scale = 0.9};
    return o;
  }
  static std::string result(const RunOptions& o) { return read_text_file(o.out) + state_but_time(o.out + ".state"); }
  std::string run(const RunOptions& o) const {
    Trainer(o).run();
    return result(o);
  }
  std::string log(const RunOptions& o) const { return read_text_file(o.out + ".log.jsonl"); }

  Scratch scratch_;
};

TEST_F(RunWith, EveryDataOrderResumesBitForBit) {
  std::vector<std::string> wholes;
  for (const char* loader : {"shuffled", "stream", "mixture"}) {
    const std::string whole = run(options("whole", loader));
    EXPECT_EQ(run(options("plain", loader, 0)), whole) << loader << " without reading ahead";
    for (const int stop : {3, 9}) {  // in the middle of a plan; before and behind the switch and the first snapshot
      RunOptions part = options("part", loader);
      {
        Trainer trainer(part);
        for (int i = 0; i < stop; ++i) trainer.step();
        trainer.save();
      }
      EXPECT_EQ(TrainStateFile(part.out + ".state").progress().trainer.size(), stop == 3 ? 0u : 2u);
      part.resume = true;
      EXPECT_EQ(run(part), whole) << loader << " stopped after step " << stop;
    }
    wholes.push_back(read_text_file(scratch_.path("whole")));
  }
  EXPECT_NE(wholes[0], wholes[1]);
  EXPECT_NE(wholes[1], wholes[2]);
}

TEST_F(RunWith, OtherDataOrderOrSeedIsNotResumed) {
  RunOptions o = options("m", "mixture");
  run(o);
  o.resume = true;
  o.train.data.seed = "0x5";
  testing::expect_error("another configuration", [&] { Trainer t(o); });
}

TEST_F(RunWith, MixtureSeedFromThePathsAsTheRecordSpellsThem) {
  const std::vector<std::string> files = find_train_shards(scratch_.folder());
  EXPECT_EQ(mixture_seed_of_files(files),
            mixture_seed(scratch_.folder() + "/tiny_train_*.bin", files, std::vector<int64_t>{3000, 3100}));
  uint64_t seed = 0;
  EXPECT_TRUE(parse_data_seed("0xbbcf9bad873f8a7a", &seed));
  EXPECT_EQ(seed, 0xbbcf9bad873f8a7au);
  EXPECT_TRUE(parse_data_seed("18446744073709551615", &seed));
  for (const char* bad : {"", "0x", "x", "1 ", " 1", "18446744073709551616"}) EXPECT_FALSE(parse_data_seed(bad, &seed));
}

// warmdown_steps = 8 of 12: the multiplier is 1 until step 4, then 1, 7/8, ...; spec_726_754 5.6.
TEST_F(RunWith, FakeQuantisationSwitchesOnceAndActs) {
  RunOptions with = options("with", "shuffled"), without = options("without", "shuffled");
  without.train.qat = {};
  Trainer a(with), b(without);
  for (int step = 0; step < 12; ++step) {
    const double loss_a = a.step(), loss_b = b.step();
    EXPECT_EQ(loss_a == loss_b, step <= 4) << step;
  }
  const std::string event = "fake quantisation of matrices is on";
  EXPECT_NE(log(with).find("{\"step\":5,\"event\":\"" + event + "\"}"), std::string::npos) << log(with);
  EXPECT_EQ(log(with).find(event), log(with).rfind(event));
  EXPECT_EQ(log(without).find(event), std::string::npos);

  RunOptions by_frac = options("frac", "shuffled");
  by_frac.train.qat = {.scope = "matrices", .start_frac = 0.5};
  Trainer c(by_frac);
  for (int step = 0; step < 8; ++step) c.step();
  EXPECT_NE(log(by_frac).find("{\"step\":6,\"event\":\"" + event), std::string::npos) << log(by_frac);
}

// Snapshots after steps 8, 10 and 12: the multipliers of those steps are 5/8, 3/8 and 1/8; step 6's is 7/8.
TEST_F(RunWith, SnapshotsAreTheMeanOfTheAverages) {
  const RunOptions o = options("swa", "shuffled");
  Trainer trainer(o);
  std::vector<double> sum(ParamTable(o.model).flat_size());
  for (int step = 1; step <= 12; ++step) {
    trainer.step();
    if (step != 8 && step != 10 && step != 12) continue;
    RunOptions ema = o;  // the same steps, saved with the moving average
    ema.out = scratch_.path("ema");
    ema.train.averaging = {};
    Trainer other(ema);
    for (int i = 0; i < step; ++i) other.step();
    other.save();
    const std::vector<float> flat = load_checkpoint(ema.out).store.flat;
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += flat[i];
  }
  trainer.save();
  const std::vector<float> mean = load_checkpoint(o.out).store.flat;
  double largest = 0;
  for (size_t i = 0; i < mean.size(); ++i) {
    ASSERT_EQ(mean[i], static_cast<float>(sum[i] / 3)) << i;
    largest = std::max(largest, std::fabs(static_cast<double>(mean[i])));
  }
  EXPECT_GT(largest, 0.1);
  EXPECT_EQ(TrainStateFile(o.out + ".state").progress().trainer.at("swa_snapshots"), "3");
}

// oracle/optim/steps_754: the mean of the moving averages (decay 0.9) after steps 1, 2 and 3, block 1 left out.
TEST(SnapshotMean, Golden) {
  REQUIRE_SHARED("oracle/optim/steps_754.safetensors");
  const SafetensorsFile file(testing::shared_path("oracle/optim/steps_754.safetensors"));
  const auto table = std::make_shared<ParamTable>(tiny_run(Scratch(), "").model);  // any that is large enough
  int compared = 0;
  for (const TensorView& tensor : file.tensors()) {
    const std::string prefix = "fp32.swa3.";
    if (!tensor.name.starts_with(prefix)) continue;
    const std::string name = tensor.name.substr(prefix.size());
    const auto values = [&](const std::string& part) {
      std::vector<float> result(tensor.numel());
      copy_as_float(file.at(part + name), result);
      return result;
    };
    const auto init = values("init."), first = values("fp32.after1."), last = values("fp32.after3.");
    const auto ema3 = values("fp32.ema3."), golden = values(prefix);
    SnapshotMean swa(table);
    for (int k = 1; k <= 3; ++k) {
      ParamStore store(table);
      for (size_t i = 0; i < golden.size(); ++i) {
        const double ema2 = (ema3[i] - 0.1 * last[i]) / 0.9;
        store.flat[i] = static_cast<float>(k == 1 ? 0.9 * init[i] + 0.1 * first[i] : k == 2 ? ema2 : ema3[i]);
      }
      swa.add(store);
    }
    const ParamStore mean = swa.mean();
    // fp32 roundings of values up to 4, those of the average taken back by 1 / 0.9.
    for (size_t i = 0; i < golden.size(); ++i, ++compared) ASSERT_NEAR(mean.flat[i], golden[i], 1e-6) << name;
  }
  EXPECT_GT(compared, 2000);
}

class Choice : public RunWith {
 protected:
  Choice() {
    const Console quiet{.json = false, .quiet = true};
    write_corpus(scratch_.path("text.txt"), 200000, 1, quiet);
    train_tokenizer({.text = {scratch_.path("text.txt")}, .vocab = 400, .out = scratch_.path("t.model")}, quiet);
    write_shard(scratch_.path("v_val_0.bin"), testing::learnable_tokens(1000, 3));
  }
  RunOptions chosen(const std::string& out, const std::string& select) const {
    RunOptions o = options(out, "shuffled");
    o.model.vocab = 400;
    o.val = scratch_.path("v_val_*.bin");
    o.tokenizer = scratch_.path("t.model");
    o.train.averaging.select = select;
    return o;
  }
};

TEST_F(Choice, ByValidationTakesTheBestAndSaysSo) {
  const RunOptions o = chosen("best", "best_on_val");
  const RunResult best = Trainer(o).run();
  double lowest = best.val_bpb_raw;
  std::string name = "raw";
  for (const std::string select : {"ema", "swa"}) {
    const RunOptions one = chosen(select, select);
    const RunResult r = Trainer(one).run();
    EXPECT_EQ(r.selected, select);
    EXPECT_EQ(r.val_bpb_raw, best.val_bpb_raw);
    EXPECT_EQ(log(one).find("validation data chose"), std::string::npos);
    if (r.val_bpb < lowest) {
      lowest = r.val_bpb;
      name = select;
    }
  }
  const RunOptions raw = chosen("raw", "raw");
  EXPECT_EQ(Trainer(raw).run().val_bpb, best.val_bpb_raw);
  EXPECT_EQ(best.selected, name);
  EXPECT_EQ(best.val_bpb, lowest);
  EXPECT_NE(log(o).find("validation data chose the " + name + " weights (best_on_val: raw "), std::string::npos)
      << log(o);
  EXPECT_EQ(load_checkpoint(o.out).store.flat, load_checkpoint(scratch_.path(name)).store.flat);
  const SafetensorsFile file(o.out);
  EXPECT_EQ(file.metadata().at("weights"), name);
  EXPECT_EQ(file.metadata().at("weights_chosen_by"), "validation data");
}

}  // namespace
}  // namespace sixteen
