// Programs that die, hang, write garbage or close their pipes: one clear line each, and nothing left running. What a trace sees. The
// command as a person calls it, our own session under test, and the Python adapter.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>

#include "evaluator/scorer_client.h"
#include "formats/error.h"
#include "model/checkpoint.h"
#include "tests/evaluator/scorer_fixture.h"
#include "tests/support/program.h"
#include "tests/support/tiny_model.h"

namespace sixteen {
namespace {

using testing::Outcome;
using testing::ScorerFixture;

// Only score, for `read`-loops of the shell.
const std::string kUnsupported = R"(read l; echo '{"id":1,"unsupported":true}'; )";

std::string failure(const std::string& command, double timeout_s = 20) {
  try {
    Scorer scorer({.command = command, .artifact = "", .seed = 1, .timeout_s = timeout_s, .trace_fd = -1});
    const std::vector<uint16_t> tokens(50000, 7);  // more than a pipe holds
    scorer.score(tokens);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void expect_nothing_left() {
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST(ScorerProcess, EveryWayToFailIsOneLine) {
  const std::pair<std::string, std::string> cases[] = {
      {"exit 3", "load: exited with code 3"},
      {"/no/such/program", "exited with code 127; last line of its stderr"},
      {"kill -9 $$", "was killed by signal 9"},
      {"echo oh dear >&2; exit 1", "last line of its stderr: oh dear"},
      {"echo hello; cat", "reply to load 'hello'"},
      {"exec 1>&-; exec sleep 60", "closed its output and goes on running"},
      {"exec 0<&-; sleep 0.2; exit 7", "exited with code 7"},
      {"while read l; do echo '{}'; done", "the reply lacks \"id\""},
      {"while read l; do echo '{\"id\":99}'; done", "expected the reply to request 1, found id 99"},
      {"while read l; do echo '{\"id\":1,\"error\":\"no GPU\"}'; done", "it reports \"no GPU\""},
      {"while read l; do echo '{\"id\":1}'; echo more; done", "'more"},
      {"read l; tr '\\0' x </dev/zero", "without a complete reply; it starts with 'xxx"},
      {kUnsupported + "read l; echo '{\"id\":2,\"unsupported\":true}'; read l; echo '{\"id\":3,\"unsupported\":true}'; read l", "score is the one hook"},
      {kUnsupported + "read l; echo '{\"id\":2,\"unsupported\":true}'; read l; echo '{\"id\":3,\"nll\":[1,\"a\"]}'; read l", "score: nll[1]: expected a number"},
      {kUnsupported + "read l; echo '{\"id\":2,\"unsupported\":true}'; exec 0<&-; sleep 60", "no reply within 1 s"},
  };
  for (const auto& [command, part] : cases) {
    const std::string message = failure(command, part.find("within") == std::string::npos ? 20 : 1);
    EXPECT_NE(message.find(part), std::string::npos) << command << " -> " << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    expect_nothing_left();
  }
}

TEST(ScorerProcess, AHangEndsAtTheTimeoutWithItsChildren) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_NE(failure("sleep 61.25 & sleep 61.25", 1).find("no reply within 1 s"), std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
  expect_nothing_left();
  usleep(100000);
  EXPECT_NE(std::system("ps ax 2>/dev/null | grep -q '[s]leep 61.25'"), 0);
}

TEST_F(ScorerFixture, ATraceSeesSocketsAndLetsAProgramReadItsOwnFiles) {
  VerifyOptions o = options("plain");
  o.scorer.trace = true;
  o.scorer.allow = {std::string(SIXTEEN_BINARY_DIR)};
  const std::string honest = o.scorer.command, scratch = path("own.tmp");
  o.scorer.command = "echo x >" + scratch + "; cat " + scratch + " >/dev/null; rm " + scratch + "; " + honest;
  const Verdict own = verify_scorer(o);
  EXPECT_TRUE(own.legal()) << own.text();
  o.scorer.command = "cat " + path("text.txt") + " >/dev/null & " + honest;
  const Verdict other = verify_scorer(o);
  EXPECT_FALSE(other.legal());
  EXPECT_NE(other.text().find(path("text.txt")), std::string::npos) << other.text();
  if (std::system("command -v bash >/dev/null") != 0) GTEST_SKIP() << "no bash to open a socket with";
  o.scorer.command = "bash -c 'exec 3<>/dev/udp/127.0.0.1/9' 2>/dev/null; " + honest;
  const Verdict network = verify_scorer(o);
  EXPECT_NE(network.text().find("neither artifact nor allowed: socket"), std::string::npos) << network.text();
}

Outcome verify(std::vector<std::string> args) {
  args.insert(args.begin(), "verify");
  return testing::run_program("sixteen-eval", args);
}

TEST_F(ScorerFixture, TheCommandSaysItAndExitsWithIt) {
  const std::vector<std::string> base = {"--data", path("official.bin"), "--tokenizer", path("t.model"), "--artifact", path("train.bin"),
                                         "--tokens", "600", "--perturb", "4", "--normalised", "2", "--short-text", "80"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), base.begin(), base.end());
    return verify(more);
  };
  const std::string scorer = bin("test_scorer");
  const Outcome good = with({"--scorer", scorer + " ttt+ " + path("t.model"), "--json", "--report", path("r.html")});
  EXPECT_EQ(good.code, 0) << good.err;
  EXPECT_NE(good.out.find("LEGAL\n"), std::string::npos) << good.out;
  EXPECT_NE(good.out.find("(counts, ttt)"), std::string::npos) << good.out;
  const auto json = nlohmann::json::parse(good.out.substr(good.out.rfind('\n', good.out.size() - 2) + 1));
  EXPECT_EQ(json.at("legal"), true);
  EXPECT_NE(read_text_file(path("r.html")).find("What was not checked"), std::string::npos);
  const Outcome bad = with({"--scorer", scorer + " hashed_key " + path("t.model")});
  EXPECT_EQ(bad.code, 1);
  EXPECT_NE(bad.err.find("NOT LEGAL: C2"), std::string::npos) << bad.err;
  const Outcome broken = with({"--scorer", "exit 4"});
  EXPECT_EQ(broken.code, 1);
  EXPECT_NE(broken.err.find("exited with code 4"), std::string::npos) << broken.err;
  EXPECT_EQ(verify({"--scorer", "cat"}).code, 2);
  EXPECT_EQ(verify({"ledger", "--scorer", "cat"}).code, 2);
  EXPECT_EQ(verify({}).code, 2);
  EXPECT_EQ(verify({"--scorer", "cat", "--data", path("none.bin")}).code, 1);
}

TEST_F(ScorerFixture, OurOwnScoringPasses) {
  const ModelConfig config = testing::tiny_config(kVocab);
  save_checkpoint(path("m.safetensors"), config, testing::tiny_store(config));
  write_file(path("eval.toml"), "[eval]\nwindow = 32\nstride = 8\n[eval.ttt]\nchunk = 128\nlr = 0.01\nepochs = 1\n");
  for (const char* kind : {"sliding", "ttt"}) {
    VerifyOptions o = options("");
    o.scorer.command = bin("session_scorer") + " " + path("m.safetensors") + " " + path("t.model") + " " + path("eval.toml") + " " + kind;
    o.scorer.tokens = 400;
    o.perturb = 4;
    o.normalised = 1;
    o.scorer.short_text = 48;
    const Verdict verdict = verify_scorer(o);
    EXPECT_EQ(verdict.headline(), "LEGAL") << kind << "\n" << verdict.text();
  }
}

TEST_F(ScorerFixture, ThePythonAdapterPutsAScriptUnderTest) {
  if (std::system("command -v python3 >/dev/null") != 0) GTEST_SKIP() << "no python3";
  VerifyOptions o = options("");
  o.tokenizer.clear();
  o.scorer.tokens = 400;
  o.perturb = 2;
  o.normalised = 1;
  o.scorer.short_text = 64;
  const std::string adapter = "python3 " + std::string(SIXTEEN_SOURCE_DIR) + "/docs/scorer_adapter.py ";
  o.scorer.command = adapter + SIXTEEN_SOURCE_DIR + "/tests/scorers/script.py";
  const Verdict honest = verify_scorer(o);
  EXPECT_TRUE(honest.legal()) << honest.text();
  o.scorer.command = "PEEK=1 " + o.scorer.command;
  const Verdict peeking = verify_scorer(o);
  EXPECT_NE(fault_of(peeking, Condition::kC1), nullptr) << peeking.text();
}

}  // namespace
}  // namespace sixteen
