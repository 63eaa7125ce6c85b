// The ledger of a run: it moves no bit of the score, a run cut off anywhere goes on to the same records, and the second reader,
// written in Python from FORMATS.md, agrees.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <random>

#include "evaluator/exact_sum.h"
#include "evaluator/method_json.h"
#include "tests/support/bytes.h"
#include "tests/support/ledger_case.h"

namespace sixteen {
namespace {

using testing::LedgerFiles;

TEST(ExactSum, RoundsOnceWhateverTheOrder) {
  std::mt19937 random(1);
  std::vector<float> terms;
  long double plain = 0;  // 64 bits of mantissa hold these sums exactly
  for (int i = 0; i < 2000; ++i) {
    terms.push_back(static_cast<float>(random() % 1000003) * 0x1p-16f * (i % 7 == 0 ? -1.0f : 1.0f));
    plain += static_cast<long double>(terms.back());
  }
  ExactSum forward, backward;
  forward.add(terms);
  for (size_t i = terms.size(); i-- > 0;) backward.add(std::span(&terms[i], 1));
  EXPECT_EQ(forward.value(), static_cast<double>(plain));
  EXPECT_EQ(backward.value(), forward.value());
}

TEST(ExactSum, HoldsTheExtremesTogether) {
  const auto sum = [](std::vector<float> terms) {
    ExactSum exact;
    exact.add(terms);
    return exact.value();
  };
  EXPECT_EQ(sum({}), 0);
  EXPECT_EQ(sum({3e38f, 1e-45f, -3e38f}), static_cast<double>(1e-45f));
  EXPECT_EQ(sum({1.0f, 0x1p-53f}), 1.0);                 // a tie goes to even
  EXPECT_EQ(sum({1.0f, 0x1p-53f, 0x1p-149f}), 1.0 + 0x1p-52);  // and just above it goes up
  EXPECT_EQ(sum({-1.5f, -0x1p-30f, 0.25f}), -1.25 - 0x1p-30);
}

class LedgerRuns : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    files_ = std::make_unique<LedgerFiles>();
    outcome_ = std::make_unique<ScoreOutcome>(files_->score(files_->method(Scoring::kTraining), "whole"));
  }
  static void TearDownTestSuite() { files_.reset(); }
  static std::vector<std::string> records(const std::string& folder) {
    std::vector<std::string> texts;
    for (const LedgerRecord& record : read_ledger(ledger_path(files_->path(folder))).records) {
      if (record.kind != "clock") texts.push_back(record.kind == "score" || record.kind == "seal" ? "" : record.text);
      if (record.kind == "score") texts.back() = record.body.at("nll_sha256");  // numbers of records count clocks
    }
    return texts;
  }
  static std::unique_ptr<LedgerFiles> files_;
  static std::unique_ptr<ScoreOutcome> outcome_;
};
std::unique_ptr<LedgerFiles> LedgerRuns::files_;
std::unique_ptr<ScoreOutcome> LedgerRuns::outcome_;

TEST_F(LedgerRuns, MovesNoBitOfTheScore) {
  Session session(make_device("cpu", 2), files_->model().config, files_->model().table);
  session.set_weights(files_->model().store);
  const Tokenizer tokenizer(files_->path("t.model"));
  const ByteTables tables = tokenizer.byte_tables();
  const std::vector<uint16_t> tokens = read_shards(files_->path("v.bin"), LedgerFiles::kVocab);
  const ScoreOutcome plain = run_scoring(files_->method(Scoring::kTraining), &session, tokens, tables, 1, true, testing::kQuiet);
  EXPECT_EQ(plain.nll, outcome_->nll);
  EXPECT_EQ(plain.sum.nll, outcome_->sum.nll);
  const std::string kept = read_text_file(nll_path(files_->path("whole")));
  ASSERT_EQ(kept.size(), plain.nll.size() * sizeof(float));
  EXPECT_EQ(std::memcmp(kept.data(), plain.nll.data(), kept.size()), 0);
}

TEST_F(LedgerRuns, GoOnFromAnyCutToTheSameRecords) {
  const std::string whole = read_text_file(ledger_path(files_->path("whole"))), nll = read_text_file(nll_path(files_->path("whole")));
  const std::vector<std::string> expected = records("whole");
  const Ledger ledger = read_ledger(ledger_path(files_->path("whole")));
  std::vector<size_t> cuts;
  for (size_t i = 1; i < ledger.records.size(); i += 3) cuts.insert(cuts.end(), {ledger.records[i].offset, ledger.records[i].offset + 70});
  cuts.back() = ledger.records.back().offset;  // all but the final record
  for (const size_t cut : cuts) {
    const std::string folder = files_->path("cut");
    std::filesystem::remove_all(folder);
    std::filesystem::copy(files_->path("whole"), folder);
    testing::Scratch::overwrite(ledger_path(folder), whole.substr(0, cut));
    testing::Scratch::overwrite(nll_path(folder), nll + "torn");  // more than is vouched for
    const ScoreOutcome resumed = files_->score(files_->method(Scoring::kTraining), "cut", true);
    EXPECT_EQ(resumed.sum.nll, outcome_->sum.nll) << cut;
    EXPECT_EQ(resumed.nll, outcome_->nll) << cut;
    EXPECT_EQ(records("cut"), expected) << cut;
    EXPECT_EQ(read_text_file(nll_path(folder)), nll) << cut;
    EXPECT_TRUE(files_->verify(files_->options("cut")).legal()) << files_->verify(files_->options("cut")).text();
  }
}

// State files are written beside the run: the records of one that is killed may speak of a file that is not there yet.
TEST_F(LedgerRuns, GoOnWithoutTheLastStateFiles) {
  const std::vector<std::string> names = {"/state-4.safetensors", "/state-2.safetensors"};
  for (size_t lost = 1; lost <= names.size(); ++lost) {
    files_->forge("whole", "killed", [](auto* records, auto*) { records->pop_back(); });
    for (size_t i = 0; i < lost; ++i) ASSERT_TRUE(std::filesystem::remove(files_->path("killed" + names[i])));
    EXPECT_FALSE(files_->verify(files_->options("killed")).violated(Condition::kIntegrity));
    EXPECT_EQ(files_->score(files_->method(Scoring::kTraining), "killed", true).nll, outcome_->nll);
    EXPECT_EQ(records("killed"), records("whole"));
    for (const std::string& name : names) {
      EXPECT_TRUE(read_text_file(files_->path("killed" + name)) == read_text_file(files_->path("whole" + name)));
    }
    std::filesystem::remove(files_->path("killed" + names[0]));  // of a complete run
    EXPECT_TRUE(files_->verify(files_->options("killed")).violated(Condition::kIntegrity));
  }
}

TEST_F(LedgerRuns, GoOnWithoutTrainingBehindTheLastSeal) {
  const ScoreMethod sliding = files_->method(Scoring::kSliding);
  const ScoreOutcome once = files_->score(sliding, "sliding");
  const std::string whole = read_text_file(ledger_path(files_->path("sliding")));
  for (const LedgerRecord& record : read_ledger(ledger_path(files_->path("sliding"))).records) {
    if (record.offset == 17) continue;
    testing::Scratch::overwrite(ledger_path(files_->path("sliding")), whole.substr(0, record.offset));
    EXPECT_EQ(files_->score(sliding, "sliding", true).nll, once.nll) << record.kind;
    EXPECT_TRUE(files_->verify(files_->options("sliding")).legal()) << record.kind;
  }
}

TEST_F(LedgerRuns, RefusesAnotherRunAndNewFoldersThatExist) {
  ScoreMethod other = files_->method(Scoring::kTraining);
  other.config.ttt.lr = 0.01;
  testing::expect_error("exists already", [&] { files_->score(other, "whole"); });
  testing::expect_error("the run is complete", [&] { files_->score(other, "whole", true); });
  files_->forge("whole", "short", [](auto* records, auto*) { records->pop_back(); });
  testing::expect_error("belongs to another run: method", [&] { files_->score(other, "short", true); });
  testing::expect_error("cannot open", [&] { files_->score(other, "nowhere", true); });
  // A state, or a loss, that does not come out the same again is not gone on with.
  files_->forge("whole", "lie", [](LedgerFiles::Records* records, LedgerFiles::Losses* losses) {
    records->pop_back();
    losses->back() += 1;
  });
  testing::expect_error("does not come out the same again", [&] { files_->score(files_->method(Scoring::kTraining), "lie", true); });
}

// A disk that is full after so many bytes of a file, wherever that is: the error says what is there and how to go on, and it does.
TEST_F(LedgerRuns, GoOnAfterAFullDisk) {
  const ScoreMethod method = files_->method(Scoring::kTraining);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  std::vector<std::string> messages;
  for (const rlim_t bytes : {900u, 5000u, 9000u, 60000u}) {  // in the first record; in later ones; in a state file alone
    const std::string folder = "full" + std::to_string(bytes);
    const rlimit small{bytes, before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    messages.push_back(testing::error_of([&] { files_->score(method, folder); }));
    setrlimit(RLIMIT_FSIZE, &before);
    if (bytes == 900) continue;
    EXPECT_EQ(files_->score(method, folder, true).nll, outcome_->nll) << bytes;
    EXPECT_EQ(records(folder), records("whole")) << bytes;
  }
  std::signal(SIGXFSZ, handler);
  for (const std::string& message : messages) EXPECT_NE(message.find("cannot write"), std::string::npos) << message;
  EXPECT_NE(messages[0].find("full900 holds no record yet: remove it"), std::string::npos) << messages[0];
  EXPECT_NE(messages[3].find("state-2.safetensors: cannot write"), std::string::npos) << messages[3];
  for (size_t i = 1; i < messages.size(); ++i) EXPECT_NE(messages[i].find("of 5 chunks; the same command with --resume-ledger goes on"), std::string::npos) << messages[i];
}

TEST_F(LedgerRuns, MethodsSurviveJson) {
  for (const Scoring scoring : {Scoring::kPlain, Scoring::kSliding, Scoring::kTraining}) {
    const nlohmann::json json = method_to_json(files_->method(scoring));
    EXPECT_EQ(method_to_json(method_from_json(json, "x")), json);
  }
  nlohmann::json json = method_to_json(files_->method(Scoring::kTraining));
  json["more"] = 1;
  testing::expect_error("expected 30 keys, found 31", [&] { method_from_json(json, "x"); });
  json.erase("more");
  json.erase("ttt.parts");  // an older ledger's
  EXPECT_EQ(method_from_json(json, "x").config.ttt.parts, 1);
  json["window"] = "wide";
  testing::expect_error("method.window", [&] { method_from_json(json, "x"); });
}

TEST_F(LedgerRuns, TheSecondReaderAgrees) {
  if (std::system("python3 -c 'pass' >/dev/null 2>&1") != 0) GTEST_SKIP() << "no python3";
  const auto read = [](const std::string& folder) {
    const std::string command = "python3 " SIXTEEN_SOURCE_DIR "/tests/support/ledger_reader.py " + folder + " 2>&1";
    FILE* pipe = popen(command.c_str(), "r");
    std::string out;
    for (char part[256]; pipe != nullptr && std::fgets(part, sizeof part, pipe) != nullptr;) out += part;
    return std::pair{pclose(pipe), out};
  };
  const Ledger ledger = read_ledger(ledger_path(files_->path("whole")));
  const nlohmann::json& last = ledger.records.back().body;
  const auto [code, out] = read(files_->path("whole"));
  EXPECT_EQ(code, 0) << out;
  std::istringstream words(out);
  size_t records = 0;
  int64_t targets = 0, bytes = 0;
  double bpb = 0, exact = 0;
  words >> records >> targets >> bytes >> bpb >> exact;
  EXPECT_EQ(records, ledger.records.size());
  EXPECT_EQ(targets, last.at("targets"));
  EXPECT_EQ(bytes, last.at("bytes"));
  EXPECT_EQ(bpb, last.at("bpb"));
  EXPECT_EQ(exact, last.at("nats_exact"));
  files_->forge("whole", "twice", [](LedgerFiles::Records* r, auto*) {
    for (auto& record : *r) {
      if (record.at("kind") == "score") record["ranges"] = {{1, record.at("count")}};
    }
  });
  const auto [bad, why] = read(files_->path("twice"));
  EXPECT_NE(bad, 0);
  EXPECT_NE(why.find("a target is scored twice"), std::string::npos) << why;
}

}  // namespace
}  // namespace sixteen
