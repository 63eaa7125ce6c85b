// The [eval] section: what it reads, and what it refuses by key, value and rule.
#include "evaluator/eval_config.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/bytes.h"
#include "tests/support/tiny_model.h"

namespace sixteen {
namespace {

using testing::expect_error;
using testing::tiny_config;

EvalConfig read(const std::string& toml) {
  ConfigFile file = ConfigFile::parse("[eval]\n" + toml, "x.toml");
  return read_eval_config(file.section("eval"), "x.toml");
}

// Reads and validates against a model of 4 layers trained on windows of 32.
EvalConfig settled(const std::string& toml, Scoring scoring) {
  EvalConfig config = read(toml);
  validate(&config, tiny_config(), scoring, "x.toml");
  return config;
}

void expect_refused(const std::string& part, const std::string& toml, Scoring scoring) {
  expect_error("x.toml: " + part, [&] { settled(toml, scoring); });
}

TEST(EvalConfig, ReadsEveryKey) {
  const EvalConfig c = settled(
      "window = 48\nstride = 6\nedge = 'tail_repeated'\nbatch = 3\ndrop_tail = true\nlogits_bf16 = true\n"
      "[eval.ttt]\nlr = 0.25\nepochs = 7\nchunk = 96\nbatch_seqs = 5\nmomentum = 0.5\nclip_norm = 0.75\nfreeze_blocks = 2\n"
      "fake_quant = 'matrices'\nfake_quant_low = -31\n"
      "[eval.hash]\nbuckets = 64\nmultiplier = 31\nbefore_norm = true\nown_previous = true\nlr_mult = 10\n"
      "[eval.tap_in]\nenabled = true\nmin_match = 2\nmax_match = 9\ntop_k = 50\nwithin_weight = 0.02\ncross_weight = 0.03\n"
      "cross = false\nentropy_min = 0.5\n",
      Scoring::kTraining);
  EXPECT_EQ(c.window, 48);  // longer than the model's training length
  EXPECT_EQ(c.stride, 6);
  EXPECT_EQ(c.edge, Edge::kTailRepeated);
  EXPECT_EQ(c.batch, 3);
  EXPECT_TRUE(c.drop_tail && c.logits_bf16);
  EXPECT_EQ(c.ttt.lr, 0.25);
  EXPECT_EQ(c.ttt.epochs, 7);
  EXPECT_EQ(c.ttt.chunk, 96);
  EXPECT_EQ(c.ttt.batch_seqs, 5);
  EXPECT_EQ(c.ttt.momentum, 0.5);
  EXPECT_EQ(c.ttt.clip_norm, 0.75);
  EXPECT_EQ(c.ttt.freeze_blocks, 2);
  EXPECT_EQ(c.ttt.fake_quant.scope, FakeQuantConfig::Scope::kMatrices);
  EXPECT_EQ(c.ttt.fake_quant.low, -31);
  EXPECT_EQ(c.hash.buckets, 64);
  EXPECT_EQ(c.hash.multiplier, 31);
  EXPECT_TRUE(c.hash.before_norm && c.hash.own_previous);
  EXPECT_EQ(c.hash_lr_mult, 10);
  EXPECT_TRUE(c.tap_in.enabled && !c.tap_in.cross);
  EXPECT_EQ(c.tap_in.min_match, 2);
  EXPECT_EQ(c.tap_in.max_match, 9);
  EXPECT_EQ(c.tap_in.top_k, 50);
  EXPECT_EQ(c.tap_in.within_weight, 0.02);
  EXPECT_EQ(c.tap_in.cross_weight, 0.03);
  EXPECT_EQ(c.tap_in.entropy_min, 0.5);
}

TEST(EvalConfig, LooksAtWhatTheModeUses) {
  EXPECT_EQ(settled("", Scoring::kPlain).window, 32);  // stride 64 and chunk 32768 against a window of 32
  expect_refused("stride: expected 1 to the window of 32, found 64", "", Scoring::kSliding);
  settled("stride = 16\n[eval.ttt]\nchunk = 31\n", Scoring::kSliding);
  expect_refused("ttt.chunk: expected at least the window of 32, found 31", "stride = 16\n[eval.ttt]\nchunk = 31\n",
                 Scoring::kTraining);
}

TEST(EvalConfig, TrainingMayHaveAnEdgeRuleOfItsOwn) {
  const std::string both = "stride = 8\nedge = 'full_only'\n[eval.ttt]\nedge = 'tail_repeated'\n";
  EXPECT_EQ(settled(both, Scoring::kSliding).edge, Edge::kFullOnly);
  EXPECT_EQ(settled(both, Scoring::kTraining).edge, Edge::kTailRepeated);
  EXPECT_EQ(settled("stride = 8\nedge = 'tail_repeated'\n", Scoring::kTraining).edge, Edge::kTailRepeated);
}

TEST(EvalConfig, EveryConfigWeShipIsValid) {
  size_t read = 0;
  for (const auto& entry : std::filesystem::directory_iterator(SIXTEEN_SOURCE_DIR "/configs")) {
    const std::string path = entry.path();
    ConfigFile file(path);
    const ModelConfig model = read_model_config(file.section("model"), path);
    for (const Scoring scoring : {Scoring::kSliding, Scoring::kTraining}) {
      EvalConfig config = read_eval_config(file.section("eval"), path);
      validate(&config, model, scoring, path);
    }
    ++read;
  }
  EXPECT_GT(read, 2u);
}

TEST(EvalConfig, RefusesByKeyValueAndRule) {
  expect_refused("edge: expected \"exact\", \"tail_repeated\" or \"full_only\", found \"sharp\"", "edge = 'sharp'\n", Scoring::kPlain);
  expect_refused("ttt.edge: expected \"exact\"", "[eval.ttt]\nedge = ''\n", Scoring::kPlain);
  expect_refused("window: expected 1 or more, found -4", "window = -4\n", Scoring::kPlain);
  expect_refused("hash.buckets: expected 1 or more, found 0", "[eval.hash]\nbuckets = 0\n", Scoring::kPlain);
  expect_refused("hash.lr_mult: expected 0 or more, found -1", "[eval.hash]\nlr_mult = -1\n", Scoring::kPlain);
  expect_refused("ttt.fake_quant: expected \"none\", \"projections\" or \"matrices\", found \"all\"", "[eval.ttt]\nfake_quant = 'all'\n",
                 Scoring::kPlain);
  const auto refuse_training = [](const std::string& part, const std::string& toml) {
    expect_refused(part, "stride = 8\n" + toml, Scoring::kTraining);
  };
  refuse_training("edge: expected \"exact\" or \"tail_repeated\" with --ttt", "edge = 'full_only'\n");
  refuse_training("ttt.freeze_blocks: expected 0 to the model's 4 layers, found 5", "[eval.ttt]\nfreeze_blocks = 5\n");
  refuse_training("ttt.momentum: expected a number in [0, 1), found 1", "[eval.ttt]\nmomentum = 1\n");
  refuse_training("ttt.fake_quant_low: expected -32 or -31, found -30", "[eval.ttt]\nfake_quant_low = -30\n");
  refuse_training("ttt.fake_quant: expected \"none\" or \"matrices\" for a model without bigram and value embedding, found projections",
                  "[eval.ttt]\nfake_quant = 'projections'\n");
}

TEST(EvalConfig, RefusesTapInThatMakesNoSense) {
  EXPECT_FALSE(settled("[eval.tap_in]\nenabled = true\n", Scoring::kPlain).tap_in.enabled);
  const auto refuse = [](const std::string& part, const std::string& line) {
    expect_refused(part, "stride = 8\n[eval.tap_in]\nenabled = true\n" + line + "\n", Scoring::kSliding);
    settled("stride = 8\n[eval.tap_in]\n" + line + "\n", Scoring::kSliding);  // off: nobody looks
  };
  refuse("tap_in.min_match: expected 1 or more, found 0", "min_match = 0");
  refuse("tap_in.max_match: expected at least tap_in.min_match = 5, found 4", "min_match = 5\nmax_match = 4");
  refuse("tap_in.top_k: expected 1 or more, found 0", "top_k = 0");
  refuse("tap_in.within_weight: expected a number in 0 .. 0.5, found 0.6", "within_weight = 0.6");
  refuse("tap_in.cross_weight: expected a number in 0 .. 0.5, found -1", "cross_weight = -1");
  refuse("tap_in.entropy_min: expected 0 or more nats, found -0.5", "entropy_min = -0.5");
}

}  // namespace
}  // namespace sixteen
