// sixteen-train as a user meets it: exit codes, one line an error, what stdout holds, Ctrl-C and --resume, the clock.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "model/checkpoint.h"
#include "tests/support/program.h"
#include "tests/trainer/tiny_run.h"

namespace sixteen {
namespace {

using nlohmann::json;
using testing::Outcome;
using testing::Program;

std::vector<std::string> lines(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> result;
  for (std::string line; std::getline(stream, line);) result.push_back(line);
  return result;
}

Outcome train(std::vector<std::string> args) { return testing::run_program("sixteen-train", std::move(args)); }

json last_line(const Outcome& outcome) {
  const std::vector<std::string> all = lines(outcome.out);
  EXPECT_FALSE(all.empty()) << outcome.err;
  return all.empty() ? json() : json::parse(all.back());
}

// One line on stderr that says `part`, nothing promised on stdout.
void expect_refusal(int code, const std::string& part, const std::vector<std::string>& args) {
  const Outcome o = train(args);
  EXPECT_EQ(o.code, code) << o.err;
  EXPECT_EQ(lines(o.err).size(), 1u) << o.err;
  EXPECT_EQ(o.err.rfind("sixteen-train: ", 0), 0u) << o.err;
  EXPECT_NE(o.err.find(part), std::string::npos) << o.err;
}

class RunCli : public ::testing::Test {
 protected:
  RunCli() { testing::write_tiny_shards(scratch_); }

  std::string path(const std::string& name) const { return scratch_.path(name); }

  // The tiny config with "key = ..." lines replaced.
  std::string config(const std::vector<std::pair<std::string, std::string>>& changes = {}) const {
    std::string text = testing::tiny_toml();
    for (const auto& [from, to] : changes) {
      EXPECT_NE(text.find(from), std::string::npos) << from;
      text.replace(text.find(from), from.size(), to);
    }
    write_file(path("c.toml"), text);
    return path("c.toml");
  }

  std::vector<std::string> run_args(const std::string& out, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> args = {"run",   "--config", path("c.toml"), "--data", scratch_.folder(),
                                     "--out", path(out)};
    args.insert(args.end(), more.begin(), more.end());
    return args;
  }

  testing::Scratch scratch_;
};

TEST_F(RunCli, DryRunCountsTheRecordsParameters) {
  const Outcome o =
      train({"run", "--config", std::string(SIXTEEN_SOURCE_DIR) + "/configs/pr1584.toml", "--dry-run", "--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  const json result = last_line(o);
  EXPECT_EQ(result["parameters"], 35944602);
  EXPECT_EQ(result["tokens_per_step"], 786432);
  EXPECT_GT(result["loop_on"]["flops_per_token"], result["loop_off"]["flops_per_token"]);
  EXPECT_GT(result["arena_bytes"], 0);
  EXPECT_NE(o.out.find("35944602 parameters"), std::string::npos) << o.out;
}

TEST_F(RunCli, HelpOfEveryCommand) {
  for (const std::string command : {"run", "bench", "corpus", "tokenizer", "tokenize"}) {
    const Outcome o = train({command, "--help"});
    EXPECT_EQ(o.code, 0) << command;
    EXPECT_EQ(o.err, "");
    for (const std::string option : {"--json", "--quiet"}) EXPECT_NE(o.out.find(option), std::string::npos) << o.out;
  }
  const Outcome o = train({"--help"});
  EXPECT_EQ(o.code, 0);
  EXPECT_NE(o.out.find("tokenize"), std::string::npos) << o.out;
}

TEST_F(RunCli, WrongUsageExits2) {
  config();
  expect_refusal(2, "--nonsense", run_args("m", {"--nonsense"}));
  expect_refusal(2, "--config", {"run", "--data", scratch_.folder(), "--out", path("m")});
  expect_refusal(2, "--data", {"run", "--config", path("c.toml"), "--out", path("m")});
  expect_refusal(2, "--out", {"run", "--config", path("c.toml"), "--data", scratch_.folder()});
  expect_refusal(2, "--tokenizer", run_args("m", {"--val", path("*.bin")}));
  expect_refusal(2, "--threads", run_args("m", {"--threads", "-1"}));
  expect_refusal(2, "--steps", run_args("m", {"--steps", "many"}));
  expect_refusal(2, "'sing' is not a command; expected one of: ", {"sing"});
  expect_refusal(2, "subcommand", {});
}

TEST_F(RunCli, BadInputExits1WithOneLine) {
  config();
  const size_t before = scratch_.count();
  expect_refusal(1, "make it first", run_args("no/folder/m"));
  expect_refusal(1, "absent", {"run", "--config", path("c.toml"), "--data", path("absent"), "--out", path("m")});
  expect_refusal(1, "absent.toml",
                 {"run", "--config", path("absent.toml"), "--data", scratch_.folder(), "--out", path("m")});
  expect_refusal(1, "--device tpu", run_args("m", {"--device", "tpu"}));
  expect_refusal(1, "steps: expected 1 or more", run_args("m", {"--steps", "-5"}));
  expect_refusal(1, "budget_seconds", run_args("m", {"--budget-seconds", "0"}));
  expect_refusal(1, "start it without --resume", run_args("m", {"--resume"}));
#ifndef SIXTEEN_CUDA
  expect_refusal(1, "--device cuda", run_args("m", {"--device", "cuda"}));
#endif
  config({{"micro_windows", "micro_window"}});
  expect_refusal(1, "micro_windows", run_args("m"));
  EXPECT_EQ(scratch_.count(), before);
  config();
  write_file(path("tiny_train_0.bin"), read_text_file(path("tiny_train_0.bin")).substr(0, 2000));
  expect_refusal(1, "tiny_train_0.bin", run_args("m"));
  EXPECT_EQ(scratch_.count(), before);
}

TEST_F(RunCli, StreamsAndResult) {
  config();
  const Outcome full = train(run_args("m", {"--json"}));
  ASSERT_EQ(full.code, 0) << full.err;
  EXPECT_EQ(full.err, "");
  const json result = last_line(full);
  EXPECT_EQ(result["steps"], 20);
  EXPECT_EQ(result["checkpoint"], path("m"));
  EXPECT_GT(result["tokens_per_second"], 0);
  EXPECT_NE(full.out.find("step 20  mean loss "), std::string::npos) << full.out;
  EXPECT_NE(full.out.find("step 10  depth recurrence is on"), std::string::npos) << full.out;

  const Outcome quiet = train(run_args("q", {"--quiet"}));
  EXPECT_EQ(quiet.code, 0);
  EXPECT_EQ(quiet.out + quiet.err, "");
  EXPECT_EQ(read_text_file(path("m")), read_text_file(path("q")));
  EXPECT_EQ(lines(train(run_args("q", {"--quiet", "--json"})).out).size(), 1u);
}

TEST_F(RunCli, OptionsOverrideTheConfig) {
  config();
  EXPECT_EQ(last_line(train(run_args("a", {"--steps", "3", "--json"})))["steps"], 3);
  ASSERT_EQ(train(run_args("b", {"--steps", "3", "--seed", "0"})).code, 0);
  ASSERT_EQ(train(run_args("c", {"--steps", "3", "--seed", "1337"})).code, 0);
  EXPECT_NE(read_text_file(path("a")), read_text_file(path("b")));
  EXPECT_EQ(read_text_file(path("a")), read_text_file(path("c")));
}

// Text to validation in bpb with the program's own commands; the log as JSON lines.
TEST_F(RunCli, TextToValidatedModelWithLog) {
  ASSERT_EQ(train({"corpus", "--out", path("t.txt"), "--bytes", "200000", "--seed", "1"}).code, 0);
  ASSERT_EQ(train({"tokenizer", "--text", path("t.txt"), "--vocab", "400", "--out", path("t.model")}).code, 0);
  const Outcome tokenized = train(
      {"tokenize", "--tokenizer", path("t.model"), "--text", path("t.txt"), "--out", path("d"), "--val-docs", "3"});
  ASSERT_EQ(tokenized.code, 0) << tokenized.err;
  config({{"vocab = 64", "vocab = 400"}, {"log_every = 5", "log_every = 5\nval_every = 10\nval_tokens = 500"}});
  const Outcome o = train({"run", "--config", path("c.toml"), "--data", path("d"), "--val", path("d/*_val_*.bin"),
                           "--tokenizer", path("t.model"), "--out", path("m"), "--log", path("log"), "--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  const json result = last_line(o);
  EXPECT_GT(result["val_bpb"], 1.0);
  EXPECT_LT(result["val_bpb"], 8.0);
  std::vector<int64_t> steps;
  std::vector<std::string> validations;
  bool loop_event = false;
  for (const std::string& line : lines(read_text_file(path("log")))) {
    const json entry = json::parse(line);
    ASSERT_TRUE(entry.contains("step")) << line;
    if (entry.contains("ms_per_step")) {
      steps.push_back(entry["step"]);
      EXPECT_EQ(entry["looping"], entry["step"] > 10) << line;  // of the step that was done
      EXPECT_GT(entry["peak_share"], 0) << line;
    } else if (entry.contains("validation")) {
      validations.push_back(std::to_string(entry["step"].get<int>()) + entry["validation"].get<std::string>());
      EXPECT_GT(entry["bpb"], 0) << line;
    } else {
      loop_event = loop_event || entry.at("event") == "depth recurrence is on";
    }
  }
  EXPECT_EQ(steps, (std::vector<int64_t>{5, 10, 15, 20}));
  EXPECT_EQ(validations, (std::vector<std::string>{"10raw", "20raw", "20ema"}));
  EXPECT_TRUE(loop_event);
  EXPECT_EQ(load_checkpoint(path("m")).config.vocab, 400);
}

// Waits for a line of the log, signals, resumes: the bytes of a run that nobody touched.
TEST_F(RunCli, CtrlCThenResumeGivesTheSameBytes) {
  config({{"steps = 20", "steps = 300"}, {"log_every = 5", "log_every = 1"}});
  ASSERT_EQ(train(run_args("whole", {"--quiet"})).code, 0);
  for (const int number : {SIGINT, SIGTERM}) {
    Program program("sixteen-train", run_args("part"));
    const std::string log = path("part.log.jsonl");
    std::filesystem::remove(log);
    const auto start = std::chrono::steady_clock::now();
    while (!std::filesystem::exists(log) || std::filesystem::file_size(log) < 200) {
      ASSERT_LT(std::chrono::steady_clock::now() - start, std::chrono::minutes(4));
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    program.signal(number);
    const Outcome stopped = program.wait();
    EXPECT_EQ(stopped.code, 1) << stopped.err;
    EXPECT_EQ(lines(stopped.err).size(), 1u) << stopped.err;
    EXPECT_NE(stopped.err.find("interrupted after step "), std::string::npos) << stopped.err;
    EXPECT_NE(stopped.err.find("go on with --resume"), std::string::npos) << stopped.err;
    const int64_t step = TrainStateFile(path("part.state")).progress().step;
    EXPECT_LT(step, 300);
    EXPECT_NE(stopped.err.find("step " + std::to_string(step) + ":"), std::string::npos) << stopped.err;
    EXPECT_EQ(load_checkpoint(path("part")).config.layers, 4);

    const Outcome resumed = train(run_args("part", {"--resume"}));
    ASSERT_EQ(resumed.code, 0) << resumed.err;
    EXPECT_EQ(read_text_file(path("part")), read_text_file(path("whole")));
    EXPECT_EQ(testing::state_but_time(path("part.state")), testing::state_but_time(path("whole.state")));
    EXPECT_NE(read_text_file(log).find("resumed after"), std::string::npos);
  }
}

TEST_F(RunCli, CtrlCBehindTheLastStepSaysWhatIsThere) {
  config({{"[train]", "[pack]\ncalib_windows = 1000000\n[train]"}});
  Program program("sixteen-train", run_args("m", {"--hessians", path("h")}));
  const auto start = std::chrono::steady_clock::now();
  while (!std::filesystem::exists(path("m.state"))) {
    ASSERT_LT(std::chrono::steady_clock::now() - start, std::chrono::minutes(4));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  program.signal(SIGINT);
  const Outcome stopped = program.wait();
  EXPECT_EQ(stopped.code, 1) << stopped.err;
  EXPECT_NE(stopped.err.find("interrupted after step 20: " + path("m") + " and " + path("m.state") + " are complete"), std::string::npos)
      << stopped.err;
  EXPECT_FALSE(std::filesystem::exists(path("h")));
}

TEST_F(RunCli, BenchProfilesTheStepByOp) {
  const std::vector<std::string> args = {"bench", "--config", config(), "--steps", "1", "--threads", "1", "--json"};
  const json plain = last_line(train(args));
  std::vector<std::string> more = args;
  more.push_back("--profile");
  const Outcome o = train(more);
  ASSERT_EQ(o.code, 0) << o.err;
  const json result = last_line(o);
  EXPECT_GT(result["stream_bytes_per_second"], 0);
  EXPECT_LT(result["device_seconds"], result["weights_seconds"]);
  EXPECT_LT(result["weights_seconds"], result["first_step_seconds"]);
  for (const char* graph : {"loop_off", "loop_on"}) {
    EXPECT_EQ(result[graph]["hash"], plain[graph]["hash"]);  // profiling does not reach what is timed
    const json& profile = result[graph]["profile"];
    double ms = 0, before = 1e30;
    int64_t count = 0;
    for (const json& op : profile["ops"]) {
      ms += op["ms"].get<double>();
      count += op["count"].get<int64_t>();
      EXPECT_LE(op["ms"].get<double>(), before);  // the costliest first
      before = op["ms"];
      for (const char* key : {"op", "bytes", "flops", "gb_per_s", "tflop_per_s", "share_of_floor", "share_of_step"}) {
        EXPECT_TRUE(op.contains(key)) << key;
      }
    }
    EXPECT_EQ(profile["all_ops"]["count"], count);
    EXPECT_NEAR(profile["all_ops"]["ms"], ms, 1e-9 * ms);
    EXPECT_NEAR(profile["uncovered_ms"].get<double>(), profile["step_ms"].get<double>() - ms, 1e-9 * ms);
  }
  EXPECT_NE(o.out.find("newton_schulz"), std::string::npos) << o.out;  // the optimiser is part of the step
}

TEST_F(RunCli, BenchRefusesWhatTheMachineDoesNotHave) {
  config();
  expect_refusal(1, "--tune: cpu", {"bench", "--config", path("c.toml"), "--tune"});
#ifndef SIXTEEN_CUDA
  expect_refusal(1, "this build has no CUDA backend", {"bench", "--config", path("c.toml"), "--device", "cuda"});
#endif
}

// The clock stops the run after the first step that ends beyond it, however slow the machine is at that moment.
TEST_F(RunCli, TheClockEndsTheRun) {
  config({{"clock = \"steps\"", "clock = \"wall\""},
          {"steps = 20", "steps = 1000000"},
          {"log_every = 5", "log_every = 1"}});
  const Outcome o = train(run_args("m", {"--budget-seconds", "4", "--reserve-seconds", "3", "--json"}));
  ASSERT_EQ(o.code, 0) << o.err;
  std::vector<double> seconds;
  for (const std::string& line : lines(read_text_file(path("m.log.jsonl")))) {
    const json entry = json::parse(line);
    if (entry.contains("train_seconds")) seconds.push_back(entry["train_seconds"]);
  }
  ASSERT_GT(seconds.size(), 1u);
  EXPECT_LT(seconds[seconds.size() - 2], 1);
  EXPECT_GE(seconds.back(), 1);
  const json result = last_line(o);
  EXPECT_EQ(result["train_seconds"], seconds.back());
  EXPECT_EQ(result["steps"], seconds.size());
  EXPECT_EQ(TrainStateFile(path("m.state")).progress().step, result["steps"].get<int64_t>());
}

}  // namespace
}  // namespace sixteen
