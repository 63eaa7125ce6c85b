// sixteen-train with --gpus as a user meets it: what the ranks print, what a killed, a stopped and an interrupted rank leave
// behind, and what is refused. The ranks are real processes of the launcher.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "graph/heartbeat.h"
#include "tests/support/program.h"
#include "tests/trainer/tiny_run.h"

namespace sixteen {
namespace {

using testing::Outcome;
using testing::Program;
using testing::Scratch;

constexpr int kTimeoutS = 2;   // of the heartbeat
constexpr double kEndS = 6;    // the launcher's patience once a rank has failed

std::string content(const std::string& path) {  // of /proc, whose files say that they are empty
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

void wait_for(const std::function<bool()>& condition) {
  for (int i = 0; i < 3000 && !condition(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

class RunRanksCli : public ::testing::Test {
 protected:
  RunRanksCli() {
    setenv("SIXTEEN_TIMEOUT", std::to_string(kTimeoutS).c_str(), 1);
    testing::write_tiny_shards(scratch_, 4);
  }
  ~RunRanksCli() override { unsetenv("SIXTEEN_TIMEOUT"); }

  // The tiny run in four micro-batches a step; endless: with a checkpoint five times a second.
  std::vector<std::string> args(const std::string& out, const std::string& gpus, bool endless = false) const {
    std::string text = testing::tiny_toml();
    const auto replace = [&](const std::string& from, const std::string& to) { text.replace(text.find(from), from.size(), to); };
    replace("micro_windows = 2", "micro_windows = 1");
    if (endless) {
      replace("steps = 20", "steps = 1000000");
      replace("checkpoint_seconds = 0.0", "checkpoint_seconds = 0.2");
    }
    const std::string config = out + (endless ? ".endless.toml" : ".toml");
    write_file(config, text);
    std::vector<std::string> all = {"run", "--config", config, "--data", scratch_.folder(), "--out", out, "--threads", "1"};
    if (!gpus.empty()) all.insert(all.end(), {"--gpus", gpus});
    return all;
  }

  // The launcher's processes by rank, once there is a checkpoint.
  static std::vector<pid_t> ranks_of(const Program& launcher, const std::string& out, size_t count) {
    std::vector<pid_t> ranks(count, 0);
    wait_for([&] { return std::filesystem::exists(out + ".state"); });
    const std::string pid = std::to_string(launcher.pid());
    std::istringstream children(content("/proc/" + pid + "/task/" + pid + "/children"));
    for (pid_t child = 0; children >> child;) {
      const std::string environment = content("/proc/" + std::to_string(child) + "/environ");
      for (size_t r = 0; r < count; ++r) {
        const std::string entry = std::string(1, '\0') + "RANK=" + std::to_string(r) + std::string(1, '\0');
        if ((std::string(1, '\0') + environment).find(entry) != std::string::npos) ranks[r] = child;
      }
    }
    for (const pid_t rank : ranks) {
      if (rank <= 0) throw std::runtime_error("no such rank");  // kill() would take the whole group
    }
    return ranks;
  }

  // All ended in time and nothing is left behind.
  static void expect_clean_end(Program* launcher, const std::vector<pid_t>& ranks, const std::string& line,
                               std::chrono::steady_clock::time_point start) {
    const Outcome o = launcher->wait();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    EXPECT_EQ(o.code, 1) << o.err;
    EXPECT_NE(o.err.find(line), std::string::npos) << o.err;
    EXPECT_LT(seconds, kTimeoutS + Heartbeat::kGraceS + kEndS + 3);
    for (const pid_t rank : ranks) EXPECT_NE(kill(rank, 0), 0) << "process " << rank << " is left";
  }

  std::string path(const std::string& name) const { return scratch_.path(name); }
  Scratch scratch_;
};

TEST_F(RunRanksCli, TwoRanksWriteWhatOneDoes) {
  std::vector<std::string> two = args(path("two"), "2");
  two.insert(two.end(), {"--json", "--hessians", path("two.h")});
  std::vector<std::string> alone = args(path("one"), "");
  alone.insert(alone.end(), {"--hessians", path("one.h")});
  const Outcome one = testing::run_program("sixteen-train", alone), o = testing::run_program("sixteen-train", two);
  ASSERT_EQ(one.code, 0) << one.err;
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_TRUE(read_text_file(path("one")) == read_text_file(path("two")));
  EXPECT_EQ(testing::state_but_time(path("one.state")), testing::state_but_time(path("two.state")));
  EXPECT_TRUE(read_text_file(path("one.h")) == read_text_file(path("two.h")));
  std::istringstream lines(o.out);
  int objects = 0;
  for (std::string line; std::getline(lines, line);) objects += line.front() == '{' ? 1 : 0;
  EXPECT_EQ(objects, 1) << o.out;  // rank 0's
  EXPECT_NE(o.out.find(", 2 ranks"), std::string::npos) << o.out;
}

TEST_F(RunRanksCli, AKilledRankEndsAll) {
  for (const int lost : {0, 1}) {
    const std::string out = path("killed" + std::to_string(lost));
    Program run("sixteen-train", args(out, "2", true));
    const std::vector<pid_t> ranks = ranks_of(run, out, 2);
    const auto start = std::chrono::steady_clock::now();
    kill(ranks[static_cast<size_t>(lost)], SIGKILL);
    expect_clean_end(&run, ranks, "rank " + std::to_string(lost) + " (", start);
    EXPECT_GT(TrainStateFile(out + ".state").progress().step, 0);
  }
}

TEST_F(RunRanksCli, AStoppedRankEndsAll) {
  const std::string out = path("stopped");
  Program run("sixteen-train", args(out, "2", true));
  const std::vector<pid_t> ranks = ranks_of(run, out, 2);
  const auto start = std::chrono::steady_clock::now();
  kill(ranks[1], SIGSTOP);
  expect_clean_end(&run, ranks, "rank 1 (", start);
  EXPECT_GT(TrainStateFile(out + ".state").progress().step, 0);
}

// One line, a complete state, and the run goes on alone.
TEST_F(RunRanksCli, AnInterruptEndsAllWithTheirStateSaved) {
  const std::string out = path("interrupted");
  Program run("sixteen-train", args(out, "2", true));
  const std::vector<pid_t> ranks = ranks_of(run, out, 2);
  run.signal(SIGINT);
  const Outcome o = run.wait();
  EXPECT_EQ(o.code, 1);
  EXPECT_EQ(std::count(o.err.begin(), o.err.end(), '\n'), 1) << o.err;
  EXPECT_NE(o.err.find("interrupted after step"), std::string::npos) << o.err;
  for (const pid_t rank : ranks) EXPECT_NE(kill(rank, 0), 0);
  std::vector<std::string> more = args(out, "", true);
  more.emplace_back("--resume");
  Program resumed("sixteen-train", more);
  const int64_t before = TrainStateFile(out + ".state").progress().step;
  const auto written = std::filesystem::last_write_time(out + ".state");
  wait_for([&] { return std::filesystem::last_write_time(out + ".state") != written; });
  EXPECT_GT(TrainStateFile(out + ".state").progress().step, before);
}

TEST_F(RunRanksCli, WhatCannotBeSharedOrIsStartedTwiceIsRefusedInOneLine) {
  const Outcome o = testing::run_program("sixteen-train", args(path("m"), "3"));
  EXPECT_EQ(o.code, 1);
  EXPECT_EQ(o.err, "sixteen-train: [train]: a step has 4 micro-batches (windows_per_step / micro_windows), which 3 ranks cannot share "
                   "evenly; start 1, 2 or 4 of them\n");
  setenv("RANK", "0", 1);
  setenv("WORLD_SIZE", "2", 1);
  const Outcome twice = testing::run_program("sixteen-train", args(path("m"), "2"));
  unsetenv("RANK");
  unsetenv("WORLD_SIZE");
  EXPECT_EQ(twice.code, 2);
  EXPECT_NE(twice.err.find("leave --gpus out"), std::string::npos) << twice.err;
}

}  // namespace
}  // namespace sixteen
