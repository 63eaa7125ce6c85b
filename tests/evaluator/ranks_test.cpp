// Scoring spread over ranks has the bits of one rank: losses, sums, trained weights, ledgers; a ledger cut off under so many
// ranks is gone on with by another number of them.
#include <gtest/gtest.h>

#include <algorithm>

#include "evaluator/ledger.h"
#include "evaluator/rank_shares.h"
#include "tests/support/bytes.h"
#include "tests/support/ledger_case.h"
#include "tests/support/rank_threads.h"
#include "tests/support/score_case.h"

namespace sixteen {
namespace {

using testing::LedgerFiles;
using testing::on_ranks;
using testing::Scored;
using testing::Way;

TEST(RankShares, AreTheWindowsInOrder) {
  for (const int ranks : {1, 2, 3, 4, 8}) {
    for (const int64_t count : {0, 1, 3, 8, 29}) {
      std::vector<Window> windows(static_cast<size_t>(count));
      for (int64_t i = 0; i < count; ++i) windows[static_cast<size_t>(i)].start = i;
      int64_t next = 0;
      for (int r = 0; r < ranks; ++r) {
        const std::span<const Window> share = share_of(windows, r, ranks);
        EXPECT_LE(share.size(), static_cast<size_t>(count / ranks + 1));
        for (const Window& window : share) EXPECT_EQ(window.start, next++);
      }
      EXPECT_EQ(next, count) << ranks;
    }
  }
}

std::vector<Scored> score_on(int ranks, const ScoreMethod& method, const std::vector<uint16_t>& tokens) {
  std::vector<Scored> scored(static_cast<size_t>(ranks));
  on_ranks(ranks, [&](int rank, std::shared_ptr<World> world) {
    scored[static_cast<size_t>(rank)] = testing::score(method, 1, tokens, std::move(world));
  });
  return scored;
}

class RankScores : public ::testing::TestWithParam<Way> {};

TEST_P(RankScores, HaveTheBitsOfOneRank) {
  for (const int64_t count : {403, 33}) {  // one window alone: fewer than ranks
    const std::vector<uint16_t> tokens = testing::tiny_tokens(count);
    const ScoreMethod method = testing::method_of(GetParam(), 5);
    const Scored alone = score_on(1, method, tokens).front();
    ASSERT_EQ(alone.nll.size(), tokens.size() - 1);
    for (const int ranks : {2, 3, 4}) {
      for (const Scored& one : score_on(ranks, method, tokens)) {
        EXPECT_EQ(one.nll, alone.nll) << ranks;
        EXPECT_EQ(one.sum.nll, alone.sum.nll) << ranks;
        EXPECT_EQ(one.sum.bytes, alone.sum.bytes) << ranks;
        EXPECT_EQ(one.weights, alone.weights) << ranks;
        EXPECT_EQ(one.tap_in.hints, alone.tap_in.hints) << ranks;
        EXPECT_EQ(one.tap_in.kept, alone.tap_in.kept) << ranks;
      }
    }
  }
}

// The sum of a step's gradients rounds along its tree, so other parts are another sum: but of the same gradient.
TEST(RankTraining, PartsAreWhatTheyAreForAnyNumberOfRanks) {
  const std::vector<uint16_t> tokens = testing::tiny_tokens(700);
  ScoreMethod method = testing::method_of({"", Scoring::kTraining}, 5);
  method.config.ttt.chunk = 32 * 11;
  method.config.ttt.batch_seqs = 9;  // a step of nine windows and one of two
  method.config.ttt.freeze_blocks = 1;
  method.config.ttt.fake_quant.scope = FakeQuantConfig::Scope::kMatrices;
  std::vector<float> first;
  for (const int64_t parts : {1, 2, 8}) {
    method.config.ttt.parts = parts;
    const Scored alone = score_on(1, method, tokens).front();
    for (const int ranks : {2, 3, 4}) {
      for (const Scored& one : score_on(ranks, method, tokens)) {
        EXPECT_EQ(one.weights, alone.weights) << ranks << " ranks, " << parts << " parts";
        EXPECT_EQ(one.nll, alone.nll) << ranks << " ranks, " << parts << " parts";
      }
    }
    if (parts == 1)
      first = alone.weights;
    else
      EXPECT_NE(alone.weights, first);  // parts are there
    ASSERT_EQ(first.size(), alone.weights.size());
    // Six steps of fp32 sums that are rounded elsewhere: some ulps of weights below 1, measured 2e-6.
    for (size_t i = 0; i < first.size(); ++i) ASSERT_NEAR(alone.weights[i], first[i], 2e-5) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, RankScores,
                         ::testing::Values(Way{"Plain", Scoring::kPlain}, Way{"SlidingTapIn", Scoring::kSliding, true},
                                           Way{"Training", Scoring::kTraining},
                                           Way{"TrainingTapIn", Scoring::kTraining, true}),
                         [](const auto& test) { return std::string(test.param.name); });

class RankLedgers : public ::testing::Test {
 protected:
  static LedgerFiles& files() {
    static LedgerFiles made;
    return made;
  }
  static void score(int ranks, Scoring scoring, const std::string& folder, bool resume = false) {
    on_ranks(ranks, [&](int, const std::shared_ptr<World>& world) {
      files().score(files().method(scoring), folder, resume, 1, world);
    });
  }
  // All records but clocks, as they stand in the file: clocks stand at the same places, so numbers of records agree too.
  static std::vector<std::string> records(const std::string& folder) {
    std::vector<std::string> texts;
    for (const LedgerRecord& record : read_ledger(ledger_path(files().path(folder))).records) {
      if (record.kind != "clock") texts.push_back(record.text);
    }
    return texts;
  }
};

TEST_F(RankLedgers, AreTheSameForAnyNumberOfRanks) {
  for (const Scoring scoring : {Scoring::kSliding, Scoring::kTraining}) {
    const std::string name = "ledger" + std::to_string(static_cast<int>(scoring));
    score(1, scoring, name + "-1");
    for (const int ranks : {2, 4}) {
      const std::string folder = name + "-" + std::to_string(ranks);
      score(ranks, scoring, folder);
      EXPECT_EQ(records(folder), records(name + "-1"));
      EXPECT_EQ(read_text_file(nll_path(files().path(folder))), read_text_file(nll_path(files().path(name + "-1"))));
      const Ledger ledger = read_ledger(ledger_path(files().path(folder)));
      EXPECT_EQ(ledger.records.at(1).body.at("ranks"), ranks);  // the clock
      VerifyOptions o = files().options(folder);
      o.threads = 1;
      o.replay = "all";
      const Verdict verdict = files().verify(o, [&](const LedgerCase& c, Verdict* v) { check_replay(o, c, v); });
      EXPECT_TRUE(verdict.legal()) << verdict.text();
    }
  }
}

TEST_F(RankLedgers, GoOnWithAnotherNumberOfRanks) {
  score(1, Scoring::kTraining, "whole");
  const std::string whole = read_text_file(ledger_path(files().path("whole")));
  std::vector<size_t> cuts;
  for (const LedgerRecord& record : read_ledger(ledger_path(files().path("whole"))).records) {
    if (record.kind == "update" || record.kind == "seal") cuts.push_back(record.offset + 70);
  }
  ASSERT_GE(cuts.size(), 6u);
  for (const size_t i : {size_t{0}, cuts.size() / 2, cuts.size() - 1}) {
    std::filesystem::remove_all(files().path("cut"));
    std::filesystem::copy(files().path("whole"), files().path("cut"));
    testing::Scratch::overwrite(ledger_path(files().path("cut")), whole.substr(0, cuts[i]));
    score(2 + static_cast<int>(i % 2), Scoring::kTraining, "cut", true);
    EXPECT_EQ(read_text_file(nll_path(files().path("cut"))), read_text_file(nll_path(files().path("whole"))))
        << cuts[i];
    EXPECT_EQ(read_ledger(ledger_path(files().path("cut"))).records.back().text,
              read_ledger(ledger_path(files().path("whole"))).records.back().text);
    EXPECT_TRUE(files().verify(files().options("cut")).legal()) << cuts[i];
  }
}

// By those who compared; who is still reading the answers may hear first that another one has stopped.
TEST_F(RankLedgers, ARankWithAnotherStateIsNamed) {
  const std::vector<uint16_t> tokens = testing::tiny_tokens(403);
  const ParamStore store = testing::tiny_store(testing::tiny_config());
  std::vector<std::string> lines(3);
  on_ranks(3, [&](int rank, std::shared_ptr<World> world) {
    try {
      Session session(make_device("cpu", 1, std::move(world)), testing::tiny_config(), store.table);
      ParamStore own = store;
      if (rank == 2) own.flat[100] += 0x1p-20f;
      session.set_weights(own);
      const ByteTables tables = testing::tiny_tables();
      ScoreRun run(testing::method_of({"", Scoring::kSliding}, 0), &session, tokens, tables, 1);
      common_digests(&run);
    } catch (const Error& e) {
      lines[static_cast<size_t>(rank)] = e.what();
    }
  });
  const auto named = [](const std::string& line) {
    return line.find("rank 2 holds another state than rank 0") != std::string::npos;
  };
  EXPECT_TRUE(std::any_of(lines.begin(), lines.end(), named)) << lines[0] << '\n' << lines[1] << '\n' << lines[2];
  for (const std::string& line : lines) EXPECT_NE(line, "");
}

}  // namespace
}  // namespace sixteen
