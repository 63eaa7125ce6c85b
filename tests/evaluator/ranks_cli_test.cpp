// sixteen-eval score --gpus N as a person calls it, on the CPU: one report, the same files for any number of ranks, and what a
// killed rank leaves behind.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/support/ledger_case.h"
#include "tests/support/program.h"

namespace sixteen {
namespace {

using Json = nlohmann::json;
using testing::LedgerFiles;
using testing::Outcome;

class RanksCli : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    files_ = std::make_unique<LedgerFiles>();
    write_shard(path("long.bin"), testing::tiny_tokens(60000, LedgerFiles::kVocab));
    write_file(path("eval.toml"),
               "[eval]\nstride = 8\n[eval.ttt]\nchunk = 64\nlr = 0.01\nepochs = 1\nbatch_seqs = 2\n");
  }
  static void TearDownTestSuite() { files_.reset(); }
  static std::string path(const std::string& name) { return files_->path(name); }
  static std::vector<std::string> score(const std::string& data, std::vector<std::string> flags) {
    std::vector<std::string> args = {
        "score",    path("m.safetensors"), "--tokenizer", path("t.model"), "--data", path(data),
        "--config", path("eval.toml")};
    args.insert(args.end(), flags.begin(), flags.end());
    return args;
  }
  static std::unique_ptr<LedgerFiles> files_;
};
std::unique_ptr<LedgerFiles> RanksCli::files_;

TEST_F(RanksCli, OneReportAndTheSameFilesForAnyNumberOfRanks) {
  for (const std::string mode : {"--sliding", "--ttt"}) {
    Json alone;
    for (const std::string ranks : {"1", "2", "4"}) {
      const Outcome ran = testing::run_program(
          "sixteen-eval", score("v.bin", {mode, "--gpus", ranks, "--threads", "1", "--json", "--quiet", "--nll-out",
                                          path(mode + ranks), "--report", path("r.html")}));
      ASSERT_EQ(ran.code, 0) << ran.err;
      const Json json = Json::parse(ran.out);  // one object: ranks behind the first say nothing
      EXPECT_EQ(json.at("ranks"), std::stoi(ranks));
      if (ranks == "1") alone = json;
      EXPECT_EQ(json.at("bpb"), alone.at("bpb"));
      EXPECT_EQ(json.at("ttt_steps"), alone.at("ttt_steps"));
      EXPECT_EQ(read_text_file(path(mode + ranks)), read_text_file(path(mode + "1")));
    }
  }
}

TEST_F(RanksCli, WhatIsWrongBeforehandIsSaidOnce) {
  const Outcome ran = testing::run_program("sixteen-eval", {"score", path("nothing.s16"), "--tokenizer",
                                                            path("t.model"), "--data", path("v.bin"), "--gpus", "2"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
}

TEST_F(RanksCli, PackMakesTheSameArtifact) {
  const auto pack = [](const std::string& out, std::vector<std::string> flags) {
    std::vector<std::string> args = {"pack", path("m.safetensors"), "-o", path(out), "--quiet"};
    args.insert(args.end(), flags.begin(), flags.end());
    return testing::run_program("sixteen-pack", args);
  };
  write_file(path("pack.toml"), "[pack]\nmax_plain_numel = 256\ncalib_windows = 40\ncalib_batch = 3\n");
  const std::string calib = path("tokens_train_*.bin"), config = path("pack.toml");
  for (const std::string ranks : {"1", "2", "4"}) {
    const Outcome ran = pack("p" + ranks, {"--calib", calib, "--config", config, "--gpus", ranks});
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(read_text_file(path("p" + ranks)), read_text_file(path("p1")));
  }
  const Outcome refused = pack("p", {"--nearest", "--gpus", "2"});
  EXPECT_EQ(refused.code, 2) << refused.err;
  EXPECT_NE(refused.err.find("--gpus is for --calib"), std::string::npos) << refused.err;
}

// Process ids of the launcher's ranks, by rank.
std::map<int, pid_t> ranks_of(pid_t launcher) {
  std::map<int, pid_t> ranks;
  std::ifstream children("/proc/" + std::to_string(launcher) + "/task/" + std::to_string(launcher) + "/children");
  for (pid_t child = 0; children >> child;) {
    std::ifstream environment("/proc/" + std::to_string(child) + "/environ");
    for (std::string entry; std::getline(environment, entry, '\0');) {
      if (entry.starts_with("RANK=")) ranks[std::stoi(entry.substr(5))] = child;
    }
  }
  return ranks;
}

size_t lines_of(const std::string& file) {
  if (!std::filesystem::exists(file)) return 0;
  const std::string text = read_text_file(file);
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST_F(RanksCli, AKilledRankStopsAllAndTheLedgerIsGoodUpToItsEnd) {
  for (const int lost : {1, 0}) {
    const std::string folder = "killed" + std::to_string(lost);
    testing::Program program("sixteen-eval", score("long.bin", {"--ttt", "--gpus", "3", "--quiet", "--threads", "1",
                                                                "--ledger", path(folder)}));
    for (int i = 0; i < 600 && lines_of(ledger_path(path(folder))) < 30; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const std::map<int, pid_t> ranks = ranks_of(program.pid());
    ASSERT_EQ(ranks.size(), 3u);
    const auto begin = std::chrono::steady_clock::now();
    kill(ranks.at(lost), SIGKILL);
    const Outcome ran = program.wait();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
    EXPECT_EQ(ran.code, 1);
    EXPECT_NE(ran.err.find("rank " + std::to_string(lost) + " ("), std::string::npos) << ran.err;
    for (const auto& [rank, child] : ranks) EXPECT_NE(kill(child, 0), 0) << "rank " << rank << " is still there";
    const Ledger ledger = read_ledger(ledger_path(path(folder)));
    EXPECT_TRUE(ledger.fault.empty() || (lost == 0 && ledger.torn)) << ledger.fault;
    EXPECT_GE(ledger.records.size(), 25u);
    if (lost == 0) continue;  // its writer may have been killed between the losses and the record that vouches for them
    VerifyOptions o = files_->options(folder);
    o.data = path("long.bin");
    const Verdict verdict = files_->verify(o);
    for (const Evidence& evidence : verdict.evidence()) {
      if (evidence.result != Evidence::Result::kFault) continue;
      EXPECT_EQ(evidence.check, "complete") << evidence.detail;
    }
  }
}

}  // namespace
}  // namespace sixteen
