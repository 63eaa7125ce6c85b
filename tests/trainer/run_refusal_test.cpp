// What a training run refuses or stops at, each with one line, and that nothing which was there before is lost by it.
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "tests/support/bytes.h"
#include "tests/trainer/tiny_run.h"
#include "trainer/corpus.h"
#include "trainer/tokenizer_train.h"

namespace sixteen {
namespace {

using testing::error_of;
using testing::expect_error;
using testing::Scratch;
using testing::tiny_run;

class RunRefusal : public ::testing::Test {
 protected:
  RunRefusal() { testing::write_tiny_shards(scratch_); }
  RunOptions options(const std::string& out) const { return tiny_run(scratch_, out); }
  Scratch scratch_;
};

TEST_F(RunRefusal, DivergenceStopsAndKeepsTheCheckpoint) {
  RunOptions o = options("model");
  Trainer(o).run();
  const std::string checkpoint = read_text_file(o.out), state = read_text_file(o.out + ".state");
  o.train.optim.matrix_lr = o.train.optim.token_lr = o.train.optim.scalar_lr = 1e30;
  const std::string message = error_of([&] { Trainer(o).run(); });
  EXPECT_NE(message.find("step "), std::string::npos) << message;
  EXPECT_NE(message.find("the run diverged and was stopped; the last checkpoint is untouched"), std::string::npos)
      << message;
  EXPECT_EQ(read_text_file(o.out), checkpoint);
  EXPECT_EQ(read_text_file(o.out + ".state"), state);
}

TEST_F(RunRefusal, NanInTheWeightsIsFoundByTheStepAndBySaving) {
  for (const int64_t ranks : {1, 2}) {
    RunOptions o = options("nan");
    o.train.virtual_ranks = ranks;
    o.train.clip_scope = "local";
    Trainer trainer(o);
    trainer.step();
    ParamStore store(std::make_shared<ParamTable>(o.model));
    trainer.session().get_weights(&store);
    store.tensor("blocks.2.mlp.fc.weight")[5] = std::numeric_limits<float>::quiet_NaN();
    trainer.session().set_weights(store);
    expect_error("step 1: weights are not finite", [&] { trainer.save(); });
    EXPECT_FALSE(std::filesystem::exists(o.out));
    expect_error("step 1: loss ", [&] { trainer.step(); });
    EXPECT_FALSE(std::filesystem::exists(o.out));
  }
}

TEST_F(RunRefusal, ResumeOfAnotherRun) {
  RunOptions o = options("model");
  o.resume = true;
  expect_error(o.out + ".state: not found, so there is no run to resume; start it without --resume",
               [&] { Trainer t(o); });
  EXPECT_FALSE(std::filesystem::exists(o.out + ".log.jsonl"));
  o.resume = false;
  Trainer(o).run();

  RunOptions other = o;
  other.resume = true;
  other.train.optim.matrix_lr *= 2;
  const std::string message = error_of([&] { Trainer t(other); });
  EXPECT_NE(message.find(config_hash(o.model, o.train)), std::string::npos) << message;
  EXPECT_NE(message.find(config_hash(other.model, other.train)), std::string::npos) << message;

  RunOptions cadence = o;  // what changes no bit may change
  cadence.resume = true;
  cadence.train.log_every = 7;
  EXPECT_EQ(error_of([&] { Trainer t(cadence); }), "");

  RunOptions data = o;
  data.resume = true;
  write_shard(scratch_.path("tiny_train_1.bin"), testing::learnable_tokens(3777, 1));
  expect_error("the training data is not the one this run was saved with", [&] { Trainer t(data); });
}

TEST_F(RunRefusal, DamagedState) {
  RunOptions o = options("model");
  Trainer(o).run();
  o.resume = true;
  std::string bytes = read_text_file(o.out + ".state");
  bytes[bytes.size() - 9] ^= 4;
  write_file(o.out + ".state", bytes);
  expect_error("damaged: expected content SHA-256", [&] { Trainer t(o); });
}

TEST_F(RunRefusal, DataThatDoesNotFit) {
  RunOptions o = options("model");
  o.train.windows_per_step = 6;
  o.train.virtual_ranks = 3;
  expect_error("2 training shards for 3 ranks", [&] { Trainer t(o); });
  o = options("model");
  o.train.seq_len = 5000;
  expect_error("lower seq_len or give more text", [&] { Trainer t(o); });
  o = options("model");
  o.data = scratch_.path("nowhere");
  expect_error("nowhere", [&] { Trainer t(o); });

  std::vector<uint16_t> tokens = testing::learnable_tokens(3000, 1);
  for (size_t i = 1500; i < tokens.size(); i += 50) tokens[i] = testing::kTinyVocab;  // the run reads not every window
  write_shard(scratch_.path("tiny_train_1.bin"), tokens);
  o = options("poisoned");
  const std::string message = error_of([&] { Trainer(o).run(); });
  EXPECT_NE(message.find("tiny_train_1.bin: offset "), std::string::npos) << message;
  EXPECT_NE(message.find("is beyond the vocabulary of 64"), std::string::npos) << message;
  EXPECT_FALSE(std::filesystem::exists(o.out));
}

TEST_F(RunRefusal, ChoiceByValidationWithoutAny) {
  RunOptions o = options("model");
  o.train.averaging.select = "best_on_val";
  expect_error("averaging.select = \"best_on_val\": needs validation data; give --val and --tokenizer",
               [&] { Trainer t(o); });
}

TEST_F(RunRefusal, FakeQuantisationOfNothing) {
  RunOptions o = options("model");
  o.train.qat = {.scope = "projections", .start_frac = 0.5};
  expect_error("qat.scope = \"projections\": the model has none", [&] { Trainer t(o); });
}

TEST_F(RunRefusal, ValidationThatDoesNotFit) {
  const Console quiet{.json = false, .quiet = true};
  write_corpus(scratch_.path("text.txt"), 200000, 1, quiet);
  train_tokenizer({.text = {scratch_.path("text.txt")}, .vocab = 400, .out = scratch_.path("t.model")}, quiet);
  RunOptions o = options("model");
  o.tokenizer = scratch_.path("t.model");
  o.val = scratch_.path("v_val_*.bin");
  expect_error("v_val_*.bin", [&] { Trainer t(o); });
  write_shard(scratch_.path("v_val_0.bin"), testing::learnable_tokens(100, 3));
  expect_error("t.model: vocabulary of 400 pieces, but the model's is 64", [&] { Trainer t(o); });
  o.model.vocab = 400;
  EXPECT_EQ(error_of([&] { Trainer t(o); }), "");
  for (const int64_t count : {32, 0}) {
    write_shard(scratch_.path("v_val_0.bin"), testing::learnable_tokens(count, 3));
    expect_error(std::to_string(count) + " validation tokens, but one window needs 33", [&] { Trainer t(o); });
  }
}

TEST_F(RunRefusal, OutputThatCannotBeWritten) {
  const size_t before = scratch_.count();
  expect_error("make it first", [&] { Trainer t(options("no/such/folder/model")); });
  RunOptions o = options("model");
  o.out = scratch_.folder();
  expect_error("expected a file to write, found a folder", [&] { Trainer t(o); });
  o.out = "/proc/model";
  EXPECT_NE(error_of([&] { Trainer t(o); }), "");
  EXPECT_EQ(scratch_.count(), before);
}

// The error for [train] with `line` added.
std::string config_error(const std::string& line) {
  return error_of([&] {
    ConfigFile file = ConfigFile::parse("[train]\n" + line + "\n", "c.toml");
    read_train_config(file.section("train"), "c.toml");
  });
}

TEST(TrainConfig, NamesTheKeyThatIsWrong) {
  EXPECT_EQ(config_error("steps = 5"), "");
  const std::string unknown = config_error("windows_per_stp = 8");
  EXPECT_NE(unknown.find("windows_per_stp"), std::string::npos) << unknown;
  EXPECT_NE(unknown.find("windows_per_step"), std::string::npos) << unknown;
  const std::string nested = config_error("[train.optim]\nmatrx_lr = 0.1");
  EXPECT_NE(nested.find("matrix_lr"), std::string::npos) << nested;
  const char* const bad[][2] = {
      {"steps = 0", "steps"},
      {"steps = \"many\"", "steps"},
      {"seed = -1", "seed"},
      {"seq_len = 0", "seq_len"},
      {"windows_per_step = 0", "windows_per_step"},
      {"windows_per_step = 8\nvirtual_ranks = 3", "virtual_ranks"},
      {"windows_per_step = 8\nmicro_windows = 3", "micro_windows"},
      {"clip_scope = \"mine\"", "clip_scope"},
      {"clock = \"sun\"", "clock"},
      {"budget_seconds = 10.0\nreserve_seconds = 10.0", "budget_seconds"},
      {"warmdown_frac = 1.5", "warmdown_frac"},
      {"min_lr = -0.1", "min_lr"},
      {"warmdown_steps = -1", "warmdown_steps"},
      {"warmdown_steps = 100\nwarmdown_frac = 0.5",
       "warmdown_steps = 100: exactly one of warmdown_frac and warmdown_steps acts"},
      {"[train.data]\nloader = \"random\"", "data.loader = \"random\": expected one of \"shuffled\""},
      {"[train.data]\nlaoder = \"stream\"", "did you mean train.data.loader"},
      {"[train.data]\nrows = 4", "data.rows = 4: the shuffled order has no spans or plans"},
      {"[train.data]\nrows = -4\nloader = \"stream\"", "data.rows"},
      {"[train.data]\nseed = 5", "train.data.seed: expected a string"},
      {"[train.data]\nloader = \"mixture\"\nseed = \"0x1g\"", "data.seed = \"0x1g\""},
      {"[train.data]\nloader = \"mixture\"\nseed = \"0x10000000000000000\"", "data.seed"},
      {"[train.data]\nloader = \"mixture\"\nseed = \"-1\"", "data.seed"},
      {"[train.data]\nloader = \"stream\"\nseed = \"5\"", "only the mixture takes a seed"},
      {"[train.data]\nramp_batches = 0", "data.ramp_batches"},
      {"[train.data]\nprefetch = -1", "data.prefetch"},
      {"[train.averaging]\nselect = \"best\"", "averaging.select = \"best\""},
      {"[train.averaging]\nselect = \"swa\"", "averaging.select = \"swa\": no snapshots"},
      {"[train.averaging]\nswa_source = \"ema\"\n[train.optim]\nema_decay = 0",
       "averaging.swa_source = \"ema\": there is none while optim.ema_decay is 0"},
      {"[train.averaging]\nswa_every = 0", "averaging.swa_every"},
      {"[train.averaging]\nswa_below_scale = 0", "averaging.swa_below_scale"},
      {"[train.qat]\nscope = \"all\"", "qat.scope = \"all\""},
      {"[train.qat]\nscope = \"matrices\"", "exactly one of qat.start_lr_scale and qat.start_frac"},
      {"[train.qat]\nscope = \"matrices\"\nstart_frac = 0.5\nstart_lr_scale = 0.5",
       "exactly one of qat.start_lr_scale and qat.start_frac"},
      {"[train.qat]\nstart_frac = 1.5", "qat.start_frac"},
      {"[train.qat]\nlow = -30", "qat.low = -30"},
      {"log_every = 0", "log_every"},
      {"checkpoint_seconds = -1.0", "checkpoint_seconds"},
      {"[train.optim]\nns_steps = 0", "optim.ns_steps"},
      {"[train.optim]\nema_decay = 1.0", "optim.ema_decay"},
      {"[train.optim]\nbeta2 = 1.0", "optim.beta2"},
      {"[train.optim]\nmatrix_lr = nan", "optim.matrix_lr"},
      {"[train.optim]\ntoken_lr = -0.1", "optim.token_lr"}};
  for (const auto& [line, key] : bad) {
    const std::string message = config_error(line);
    EXPECT_NE(message.find(key), std::string::npos) << line << ": " << message;
    EXPECT_EQ(message.rfind("c.toml", 0), 0u) << message;
  }
}

// Every field that decides bits must be in the hash, the cadence must not.
TEST(TrainConfig, HashCoversWhatDecidesBits) {
  const ModelConfig model;
  const auto hash_of = [&](const std::string& line) {
    ConfigFile file = ConfigFile::parse("[train]\n" + line + "\n", "c.toml");
    return config_hash(model, read_train_config(file.section("train"), "c.toml"));
  };
  const std::string plain = hash_of("");
  EXPECT_EQ(plain.size(), 64u);
  for (const char* line : {"seed = 2",
                           "seq_len = 7",
                           "windows_per_step = 96",
                           "micro_windows = 24",
                           "virtual_ranks = 2",
                           "clip_scope = \"local\"",
                           "clock = \"steps\"",
                           "steps = 7",
                           "budget_seconds = 7.5",
                           "reserve_seconds = 0.5",
                           "warmdown_frac = 0.5",
                           "min_lr = 0.1",
                           "[train.optim]\nscalar_lr = 0.021",
                           "[train.optim]\nrow_norm = false",
                           "[train.optim]\nmuon_bf16 = true",
                           "[train.optim]\neps = 1e-9",
                           "warmdown_steps = 9",
                           "[train.data]\nloader = \"stream\"",
                           "[train.data]\nloader = \"mixture\"",
                           "[train.data]\nloader = \"mixture\"\nseed = \"7\"",
                           "[train.data]\nramp_batches = 9",
                           "[train.averaging]\nselect = \"raw\"",
                           "[train.averaging]\nswa_source = \"raw\"",
                           "[train.averaging]\nswa_every = 9",
                           "[train.averaging]\nswa_below_scale = 0.5",
                           "[train.qat]\nlow = -31",
                           "[train.qat]\nscope = \"matrices\"\nstart_frac = 0.5"}) {
    EXPECT_NE(hash_of(line), plain) << line;
  }
  for (const char* line :
       {"log_every = 7", "val_every = 7", "val_tokens = 7", "checkpoint_seconds = 7.0", "[train.data]\nprefetch = 0"}) {
    EXPECT_EQ(hash_of(line), plain) << line;
  }
  ModelConfig other = model;
  other.loop.at_frac = 0.4;
  EXPECT_NE(config_hash(other, TrainConfig()), config_hash(model, TrainConfig()));
}

}  // namespace
}  // namespace sixteen
