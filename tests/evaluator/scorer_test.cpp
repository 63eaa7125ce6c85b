// verify --scorer against honest programs and against the planted faults of legality 4.12 that concern scoring: each cheat is caught
// under the condition it breaks, and no honest program is accused. docs/LEGALITY.md has the same table.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/evaluator/scorer_fixture.h"

namespace sixteen {
namespace {

using testing::ScorerFixture;

struct Cheat {
  const char* kind;
  int number;  // of legality 4.12; 0: not among them
  Condition condition;
  int64_t first_target;  // that must be named; -1: none; 0: any
};

// Targets of the 1500 tokens: 1 .. 1499. The last 16 count twice: 1484 on; 1499 mod 64 = 27 are dropped: 1473 on; rank 5 of 8 at 16
// targets each: 81 on.
constexpr Cheat kCheats[] = {{"off_by_one", 1, Condition::kC3, 0},   {"lookahead", 2, Condition::kC1, 0},
                             {"hashed_key", 3, Condition::kC2, 0},   {"tail_twice", 4, Condition::kC4, 1484},
                             {"dropped_batch", 5, Condition::kC4, 1473}, {"double_space", 6, Condition::kBytes, 0},
                             {"byte_fallback", 7, Condition::kBytes, 0}, {"sorted_undeclared", 8, Condition::kC4, 0},
                             {"two_epochs", 9, Condition::kC4, 0},   {"smear", 11, Condition::kC1, 0},
                             {"no_stop", 16, Condition::kTime, -1},  {"slot", 17, Condition::kC1, 0},
                             {"dropped_rank", 20, Condition::kC4, 81}, {"slow", 0, Condition::kTime, -1},
                             {"hashed_key+", 0, Condition::kC2, 0},  {"off_by_one+", 0, Condition::kC3, 0}};

TEST_F(ScorerFixture, EveryCheatIsCaughtUnderItsConditionAndSaysWhere) {
  for (const Cheat& cheat : kCheats) {
    for (const int64_t seed : {1, 2}) {
      const Verdict verdict = verify_scorer(options(cheat.kind, seed));
      EXPECT_FALSE(verdict.legal()) << cheat.kind;
      const Evidence* fault = fault_of(verdict, cheat.condition);
      ASSERT_NE(fault, nullptr) << cheat.kind << " (" << cheat.number << ")\n" << verdict.text();
      if (cheat.first_target == 0) {
        EXPECT_GE(fault->first_target, 1) << verdict.text();
      } else {
        EXPECT_EQ(fault->first_target, cheat.first_target) << verdict.text();
      }
    }
  }
}

TEST_F(ScorerFixture, FaultsOfOneKindAloneBlameNothingElse) {
  const std::pair<const char*, Condition> cases[] = {{"lookahead", Condition::kC1},     {"hashed_key", Condition::kC2},
                                                     {"tail_twice", Condition::kC4},    {"dropped_batch", Condition::kC4},
                                                     {"double_space", Condition::kBytes}, {"smear", Condition::kC1},
                                                     {"no_stop", Condition::kTime}};
  for (const auto& [kind, condition] : cases) {
    const Verdict verdict = verify_scorer(options(kind));
    for (int i = 0; i < kConditionCount; ++i) {
      const Condition each = static_cast<Condition>(i);
      EXPECT_EQ(verdict.violated(each), each == condition) << kind << "\n" << verdict.text();
    }
  }
}

// (10), (18), (19): the distributions are sound and causal; only a text that nobody can have seen, or the trace, tells.
TEST_F(ScorerFixture, WhatHidesInTheArtifactShowsAgainstTheTwinSet) {
  std::vector<uint16_t> stored = train_, fitted = train_;
  size_t from = 0, to = 0;
  for (size_t i = 0, documents = 0; i < official_.size(); ++i) {
    documents += official_[i] == 1 ? 1 : 0;
    if (documents <= 20) from = i + 1;
    if (documents <= 24) to = i + 1;
  }
  stored.insert(stored.end(), official_.begin() + static_cast<int64_t>(from), official_.begin() + static_cast<int64_t>(to));
  for (int copies = 0; copies < 8; ++copies) fitted.insert(fitted.end(), official_.begin(), official_.end());
  write_shard(path("stored.bin"), stored);
  write_shard(path("fitted.bin"), fitted);
  const auto judge = [&](const std::string& kind, const std::string& artifact) {
    VerifyOptions o = options(kind);
    o.artifact = path(artifact);
    o.scorer.twin = path("twin.bin");
    return verify_scorer(o);
  };
  for (const char* kind : {"plain", "stored", "ttt", "mixture"}) EXPECT_TRUE(judge(kind, "train.bin").legal()) << judge(kind, "train.bin").text();
  const Verdict canary = judge("stored", "stored.bin");
  ASSERT_NE(fault_of(canary, Condition::kC1), nullptr) << canary.text();
  EXPECT_EQ(fault_of(canary, Condition::kC1)->check, "twin set");
  EXPECT_EQ(fault_of(canary, Condition::kC1)->first_target, static_cast<int64_t>(from) + 1);  // behind the first stored document's BOS
  const Verdict calibrated = judge("plain", "fitted.bin");
  ASSERT_NE(fault_of(calibrated, Condition::kC1), nullptr) << calibrated.text();
  EXPECT_EQ(fault_of(calibrated, Condition::kC1)->check, "twin set");
}

TEST_F(ScorerFixture, AHiddenFileShowsInTheTrace) {
  write_shard(path("hidden.bin"), official_);
  VerifyOptions o = options("plain");
  o.scorer.trace = true;
  o.scorer.allow = {bin("test_scorer"), std::string(SIXTEEN_BINARY_DIR)};
  EXPECT_TRUE(verify_scorer(o).legal()) << verify_scorer(o).text();
  o.scorer.command = bin("test_scorer") + " hidden " + path("t.model") + " " + path("hidden.bin");
  const Verdict hidden = verify_scorer(o);
  ASSERT_NE(fault_of(hidden, Condition::kC1), nullptr) << hidden.text();
  EXPECT_NE(fault_of(hidden, Condition::kC1)->detail.find(path("hidden.bin")), std::string::npos) << hidden.text();
}

TEST_F(ScorerFixture, HonestProgramsPassWithTwentySeeds) {
  const char* kinds[] = {"plain", "sliding", "ttt", "mixture", "ttt+", "mixture+", "sliding+", "isolated+", "whole_windows", "stored"};
  for (int64_t seed = 1; seed <= 20; ++seed) {
    for (const char* kind : kinds) {
      VerifyOptions o = options(kind, seed);
      o.normalised = 2;
      o.scorer.short_text = 96;
      const Verdict verdict = verify_scorer(o);
      EXPECT_TRUE(verdict.legal()) << kind << " seed " << seed << "\n" << verdict.text();
      EXPECT_EQ(verdict.headline(), "LEGAL") << verdict.text();
    }
  }
}

TEST_F(ScorerFixture, ADeclaredOrderIsWeak) {
  const Verdict verdict = verify_scorer(options("sorted+"));
  EXPECT_TRUE(verdict.legal()) << verdict.text();
  EXPECT_EQ(verdict.json().at("order"), "weak");
}

TEST_F(ScorerFixture, AProgramThatScoresOtherwiseEachTimeIsJudgedNoFurther) {
  VerifyOptions o = options("plain");
  o.scorer.command = "n=0; while read -r l; do n=$((n+1)); id=${l#*\\\"id\\\":}; id=${id%%,*}; case $l in *score*) "
                     "t=$(echo \"$l\" | tr -cd , | wc -c); echo \"{\\\"id\\\":$id,\\\"nll\\\":[$n.5],\\\"total\\\":$n.5,\\\"targets\\\":1,\\\"bytes\\\":1,\\\"bpb\\\":1}\";; "
                     "*) echo \"{\\\"id\\\":$id,\\\"unsupported\\\":true}\";; esac; done";
  const Verdict verdict = verify_scorer(o);
  ASSERT_NE(fault_of(verdict, Condition::kC4), nullptr) << verdict.text();
  EXPECT_EQ(verdict.evidence().size(), 1u);
  EXPECT_EQ(verdict.evidence()[0].check, "repeatable");
}

}  // namespace
}  // namespace sixteen
