// sixteen-eval score as a person calls it: edge rules, hash embedding and Tap-In, in the words, the JSON and the files it leaves.
#include <gtest/gtest.h>

#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>

#include "formats/shard.h"
#include "model/checkpoint.h"
#include "tests/support/program.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"
#include "trainer/corpus.h"
#include "trainer/tokenize.h"
#include "trainer/tokenizer_train.h"

namespace sixteen {
namespace {

using Json = nlohmann::json;
using testing::Outcome;

constexpr int64_t kVocab = 360;

// A checkpoint with windows of 32, its tokenizer and shards of some documents.
class ScoreCli : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const Console quiet{.json = false, .quiet = true};
    folder_ = std::make_unique<testing::Scratch>();
    write_corpus(path("text.txt"), 20000, 1, quiet);
    train_tokenizer({.text = {path("text.txt")}, .vocab = kVocab, .out = path("t.model")}, quiet);
    tokenize({.tokenizer = path("t.model"), .text = {path("text.txt")}, .out = folder_->folder(), .val_documents = 3}, quiet);
    const ModelConfig config = testing::tiny_config(kVocab);
    save_checkpoint(path("m.safetensors"), config, testing::tiny_store(config));
    targets_ = static_cast<int64_t>(read_shards(path("tokens_val_*.bin"), kVocab).size()) - 1;
    write_file(path("eval.toml"), "[eval]\nstride = 8\n[eval.ttt]\nchunk = 256\nlr = 0.01\nepochs = 1\n");
  }
  static void TearDownTestSuite() { folder_.reset(); }
  static std::string path(const std::string& name) { return folder_->path(name); }

  static Outcome score(std::vector<std::string> flags) {
    std::vector<std::string> args = {"score", path("m.safetensors"), "--tokenizer", path("t.model"), "--data", path("tokens_val_*.bin")};
    args.insert(args.end(), flags.begin(), flags.end());
    return testing::run_program("sixteen-eval", args);
  }
  static Json json_of(std::vector<std::string> flags) {
    flags.insert(flags.end(), {"--config", path("eval.toml"), "--json", "--quiet"});
    const Outcome ran = score(flags);
    EXPECT_EQ(ran.code, 0) << ran.err;
    return Json::parse(ran.out);
  }
  static void expect_refused(std::vector<std::string> flags, int code, const std::string& part) {
    const Outcome ran = score(flags);
    EXPECT_EQ(ran.code, code) << part;
    EXPECT_EQ(ran.out, "");
    EXPECT_NE(ran.err.find(part), std::string::npos) << ran.err;
  }

  static std::unique_ptr<testing::Scratch> folder_;
  static int64_t targets_;
};
std::unique_ptr<testing::Scratch> ScoreCli::folder_;
int64_t ScoreCli::targets_ = 0;

TEST_F(ScoreCli, EdgeRulesSayWhatTheyScoreTwiceOrNever) {
  const Json exact = json_of({"--sliding", "--nll-out", path("exact.nll")});
  EXPECT_EQ(exact.at("edge"), "exact");
  EXPECT_EQ(exact.at("targets"), targets_);
  EXPECT_EQ(exact.at("repeated_targets"), 0);
  EXPECT_EQ(exact.at("unscored_targets"), 0);
  EXPECT_TRUE(exact.at("notes").empty());
  const std::string exact_nll = read_text_file(path("exact.nll"));
  ASSERT_EQ(exact_nll.size(), static_cast<size_t>(targets_) * 4);

  const Json repeated = json_of({"--sliding", "--edge", "tail_repeated", "--nll-out", path("r.nll"), "--report", path("r.html")});
  const int64_t again = repeated.at("repeated_targets");
  EXPECT_GE(again, 3 * 8);  // windows that start 8, 16 and 24 before the last whole one's end
  EXPECT_EQ(repeated.at("targets"), targets_ + again);
  const std::string note = "parity rule tail_repeated: " + std::to_string(again) + " targets scored more than once, 0 targets never scored";
  EXPECT_EQ(repeated.at("notes").at(0), note);
  EXPECT_NE(read_text_file(path("r.html")).find(note), std::string::npos);
  const std::string nll = read_text_file(path("r.nll"));
  ASSERT_EQ(nll.size(), static_cast<size_t>(targets_ + again) * 4);
  EXPECT_EQ(nll.substr(0, exact_nll.size() - 32), exact_nll.substr(0, exact_nll.size() - 32));  // but the last 8 targets

  const Json full = json_of({"--sliding", "--edge", "full_only", "--nll-out", path("f.nll")});
  EXPECT_GE(full.at("unscored_targets"), 24);  // the first window's, and a rest at the end
  EXPECT_EQ(full.at("targets"), targets_ - full.at("unscored_targets").get<int64_t>());
  const std::string some = read_text_file(path("f.nll"));
  EXPECT_EQ(some.substr(0, 32), exact_nll.substr(0, 32));
  EXPECT_EQ(some.substr(32, 400), exact_nll.substr(128, 400));

  write_file(path("drop.toml"), "[eval]\nstride = 8\ndrop_tail = true\nedge = 'full_only'\n");
  const Outcome dropped = score({"--sliding", "--config", path("drop.toml"), "--json"});
  const Json json = Json::parse(dropped.out.substr(dropped.out.rfind('\n', dropped.out.size() - 2) + 1));
  EXPECT_EQ(json.at("dropped_targets"), targets_ % 32);
  EXPECT_EQ(json.at("unscored_targets"), 24);
  EXPECT_NE(targets_ % 32, 0);  // so that the line below is there to be found
  EXPECT_NE(dropped.out.find("drop_tail: the last " + std::to_string(targets_ % 32) + " targets"), std::string::npos) << dropped.out;
  EXPECT_NE(dropped.out.find("24 targets never scored"), std::string::npos) << dropped.out;

  const Outcome spoken = score({"--config", path("eval.toml"), "--ttt", "--edge", "tail_repeated"});
  EXPECT_EQ(spoken.code, 0) << spoken.err;
  EXPECT_NE(spoken.out.find("targets scored more than once"), std::string::npos) << spoken.out;
}

TEST_F(ScoreCli, TapInIsCountedAndLabelled) {
  const std::string label = "online n-gram cache over evaluation tokens (causal and normalised; its category is disputed)";
  for (const std::string mode : {"--sliding", "--ttt"}) {
    const Json plain = json_of({mode, "--tap-in", "none"});
    const Json effective = json_of({mode, "--tap-in", "effective", "--report", path("t.html")}), readme = json_of({mode, "--tap-in", "readme"});
    EXPECT_EQ(plain.count("tap_in"), 0u);
    const Json& t = effective.at("tap_in");
    EXPECT_GT(t.at("hints"), 100);
    EXPECT_GE(t.at("hints"), t.at("kept_hints"));
    EXPECT_GT(t.at("kept_hints"), 0);
    EXPECT_GT(t.at("cross_hints"), 0);
    EXPECT_EQ(t.at("within_weight"), 0.01);
    EXPECT_EQ(readme.at("tap_in").at("within_weight"), 0.02);
    EXPECT_EQ(readme.at("tap_in").at("hints"), t.at("hints"));
    EXPECT_NE(plain.at("bpb"), effective.at("bpb"));
    EXPECT_NE(readme.at("bpb"), effective.at("bpb"));
    EXPECT_NE(effective.at("notes").at(0).get<std::string>().find(label), std::string::npos);
    const std::string html = read_text_file(path("t.html"));
    for (const char* part : {"category is disputed", "0.01 within", "hints (", "edge rule", "exact"}) {
      EXPECT_NE(html.find(part), std::string::npos) << part;
    }
  }
  const Outcome spoken = score({"--config", path("eval.toml"), "--sliding", "--tap-in", "effective"});
  EXPECT_NE(spoken.out.find(label), std::string::npos) << spoken.out;
}

TEST_F(ScoreCli, EveryWindowLengthAndHashEmbeddingRun) {
  write_file(path("hash.toml"),
             "[eval]\nwindow = 48\nstride = 16\n[eval.ttt]\nchunk = 256\n[eval.hash]\nbuckets = 64\nbefore_norm = true\n"
             "own_previous = true\nlr_mult = 10\n");
  const std::vector<std::string> flags = {"--config", path("hash.toml"), "--ttt", "--hash-embed", "--json", "--quiet", "--report", path("h.html")};
  const Outcome ran = score(flags);
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(Json::parse(ran.out).at("targets"), targets_);
  const std::string html = read_text_file(path("h.html"));
  EXPECT_NE(html.find("64 rows, multiplier 2039, added before the norm"), std::string::npos);
  EXPECT_NE(html.find("lr x 10"), std::string::npos);
  EXPECT_NE(html.find("0 blocks frozen"), std::string::npos);
}

TEST_F(ScoreCli, RefusesWhatMakesNoSense) {
  expect_refused({"--ttt", "--hash-buckets", "0"}, 2, "--hash-buckets: expected more than 0, found 0");
  expect_refused({"--tap-in", "effective"}, 2, "--tap-in effective needs --sliding or --ttt");
  expect_refused({"--edge", "exact"}, 2, "--edge needs --sliding or --ttt");
  expect_refused({"--sliding", "--edge", "sharp"}, 2, "--edge");
  expect_refused({"--sliding", "--tap-in", "published"}, 2, "--tap-in");
  expect_refused({"--config", path("eval.toml"), "--ttt", "--edge", "full_only"}, 1, "edge: expected \"exact\" or \"tail_repeated\"");
  write_file(path("tap.toml"), "[eval]\nstride = 8\n[eval.tap_in]\nenabled = true\n");
  EXPECT_EQ(score({"--config", path("tap.toml")}).code, 0);  // plain windows: off
  EXPECT_EQ(score({"--config", path("tap.toml"), "--tap-in", "none"}).code, 0);
  EXPECT_EQ(score({"--config", path("tap.toml"), "--sliding"}).code, 0);
}

// Ctrl-C and SIGTERM in the middle: the words say what the ledger holds, and the same command with --resume-ledger ends as if nothing had been.
TEST_F(ScoreCli, AStoppedLedgerSaysHowToGoOn) {
  const std::vector<std::string> args = {"score", path("m.safetensors"), "--tokenizer", path("t.model"), "--data", path("tokens_val_*.bin"), "--config",
                                         path("eval.toml"), "--ttt", "--ttt-epochs", "60", "--threads", "1", "--json", "--quiet"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), args.begin(), args.end());
    return more;
  };
  const Json whole = Json::parse(testing::run_program("sixteen-eval", args).out);
  for (const int number : {SIGINT, SIGTERM}) {
    const std::string folder = path("stopped" + std::to_string(number)), ledger = folder + "/ledger.txt";
    testing::Program program("sixteen-eval", with({"--ledger", folder}));
    for (int i = 0; i < 60000; ++i) {  // until the first chunk is sealed; it is then trained on, 60 times
      usleep(1000);
      if (access(ledger.c_str(), R_OK) == 0 && read_text_file(ledger).find("\"kind\":\"seal\"") != std::string::npos) break;
    }
    program.signal(number);
    const Outcome stopped = program.wait();
    EXPECT_EQ(stopped.code, 1);
    EXPECT_NE(stopped.err.find("interrupted; " + folder + " holds the scores of "), std::string::npos) << stopped.err;
    EXPECT_NE(stopped.err.find("--resume-ledger"), std::string::npos) << stopped.err;
    EXPECT_EQ(stopped.err.find("nothing was written"), std::string::npos) << stopped.err;
    const Outcome resumed = testing::run_program("sixteen-eval", with({"--ledger", folder, "--resume-ledger"}));
    ASSERT_EQ(resumed.code, 0) << resumed.err;
    EXPECT_EQ(Json::parse(resumed.out).at("bpb"), whole.at("bpb"));
  }
}

}  // namespace
}  // namespace sixteen
