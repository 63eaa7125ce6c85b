// verify by executing: honest runs replay to the bit, by the fp64 reference within rounding, and under every change of the future; a
// loss made better by hand and schemes that look ahead are caught.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "evaluator/exact_sum.h"
#include "evaluator/verify_perturb.h"
#include "tests/support/ledger_case.h"

namespace sixteen {
namespace {

using testing::LedgerFiles;

class VerifyExecutes : public ::testing::TestWithParam<Scoring> {
 protected:
  static LedgerFiles& files() {
    static LedgerFiles made;
    return made;
  }
  static std::string folder() {
    const std::string name = "run" + std::to_string(static_cast<int>(GetParam()));
    if (!std::filesystem::exists(files().path(name))) files().score(files().method(GetParam()), name);
    return name;
  }
};

TEST_P(VerifyExecutes, AnHonestRunIsLegal) {
  VerifyOptions o = files().options(folder());
  o.replay = "all";
  o.perturb = 4;
  o.normalised = 6;
  o.random_stream = 300;
  const Verdict verdict = files().verify(o, [&](const LedgerCase& c, Verdict* v) {
    check_replay(o, c, v);
    check_perturbed(o, c, v);
    check_normalised(o, c, v);
    check_random_stream(o, c, v);
  });
  EXPECT_EQ(verdict.headline(), "LEGAL") << verdict.text();
}

TEST_P(VerifyExecutes, SomeChunksByTheReferenceAreWithinRounding) {
  VerifyOptions o = files().options(folder());
  o.replay = "2";
  o.reference = true;
  const Verdict verdict = files().verify(o, [&](const LedgerCase& c, Verdict* v) { check_replay(o, c, v); });
  EXPECT_TRUE(verdict.legal()) << verdict.text();
  EXPECT_NE(verdict.text().find("fp64"), std::string::npos);
}

// Sums, digests and chain are right; only executing tells.
TEST_P(VerifyExecutes, ALossMadeBetterIsCaught) {
  files().forge(folder(), "better", [](LedgerFiles::Records* records, LedgerFiles::Losses* losses) {
    for (size_t i = 150; i < 153; ++i) losses->at(i) = 0.01f;
    double nats = 0;
    ExactSum exact;
    exact.add(*losses);
    for (const nlohmann::json& r : *records) {
      if (r.at("kind") != "score") continue;
      double chunk = 0;
      for (size_t i = 0; i < r.at("count").get<size_t>(); ++i) chunk += losses->at(r.at("first_nll").get<size_t>() + i);
      nats += chunk;
    }
    nlohmann::json& last = records->back();
    last["nats"] = nats;
    last["nats_exact"] = exact.value();
    last["bpb"] = ScoreSum{nats, last.at("targets"), last.at("bytes")}.bpb();
  });
  VerifyOptions o = files().options("better");
  o.replay = "all";
  EXPECT_TRUE(files().verify(o).legal()) << files().verify(o).text();  // nothing executed: it fits together
  const Verdict replayed = files().verify(o, [&](const LedgerCase& c, Verdict* v) { check_replay(o, c, v); });
  EXPECT_TRUE(replayed.violated(Condition::kC3)) << replayed.text();
  EXPECT_NE(replayed.text().find("first at target 151"), std::string::npos) << replayed.text();
  o.normalised = 200;  // of 429 targets; half of the positions are the best predicted ones of their windows
  const Verdict looked = files().verify(o, [&](const LedgerCase& c, Verdict* v) { check_normalised(o, c, v); });
  EXPECT_TRUE(looked.violated(Condition::kC2)) << looked.text();
}

INSTANTIATE_TEST_SUITE_P(Methods, VerifyExecutes, ::testing::Values(Scoring::kPlain, Scoring::kSliding, Scoring::kTraining),
                         [](const auto& test) {
                           return std::string(test.param == Scoring::kPlain ? "plain" : test.param == Scoring::kSliding ? "sliding" : "ttt");
                         });

// A stand-in for a model: the loss of a target is a mixed-up function of the two tokens before it, plus what a scheme adds.
using Scheme = std::function<float(std::span<const uint16_t> tokens, int64_t target)>;

FutureResult probe(const Scheme& scheme) {
  std::vector<uint16_t> tokens = testing::tiny_tokens(600);
  for (const size_t start : {0, 130, 300, 450, 560}) tokens[start] = 1;
  NumpyRandom random(5);
  FutureResult all;
  for (const int64_t cut : {95, 129, 200, 299, 400}) {
    const FutureProbe future{cut, 20, [&](std::span<const uint16_t> changed) {
                               std::vector<float> losses;
                               for (int64_t t = 20; t <= cut; ++t) {
                                 losses.push_back(1 + testing::noise(changed[t - 1] * 97u + changed[t - 2] * 13u) + scheme(changed, t));
                               }
                               return losses;
                             }};
    const FutureResult result = probe_future(future, tokens, future.score(tokens), ids_of(tokens, 1), 1, 16, &random);
    all.runs += result.runs;
    if (!result.moved.empty()) return result;
  }
  return all;
}

TEST(ProbeFuture, HonestSchemesDoNotMove) {
  EXPECT_EQ(probe([](auto, int64_t) { return 0.0f; }).moved, "");
  EXPECT_EQ(probe([](auto tokens, int64_t t) { return 0.01f * static_cast<float>(std::count(tokens.begin(), tokens.begin() + t, tokens[t - 1])); }).moved, "");
  EXPECT_EQ(probe([](auto, int64_t) { return 0.0f; }).runs, 5 * 8);
}

TEST(ProbeFuture, SchemesThatReadAheadMove) {
  const std::map<std::string, Scheme> cheats = {
      {"one token ahead", [](auto s, int64_t t) { return t + 1 < static_cast<int64_t>(s.size()) && s[t + 1] % 2 == 0 ? 0.1f : 0.0f; }},
      {"a table of the whole stream", [](auto s, int64_t t) { return 1e-3f * static_cast<float>(std::count(s.begin(), s.end(), s[t])); }},
      {"the number of documents", [](auto s, int64_t) { return 1e-3f * static_cast<float>(std::count(s.begin(), s.end(), 1)); }},
      {"the length of this document", [](auto s, int64_t t) {
         return 1e-3f * static_cast<float>(std::find(s.begin() + t, s.end(), 1) - s.begin());
       }},
      {"a chunk's end", [](auto s, int64_t t) { return s[std::min<int64_t>(t / 64 * 64 + 63, static_cast<int64_t>(s.size()) - 1)] % 3 == 0 ? 0.2f : 0.0f; }},
  };
  for (const auto& [name, scheme] : cheats) {
    const FutureResult result = probe(scheme);
    EXPECT_NE(result.moved, "") << name;
    EXPECT_GE(result.first_target, 20) << name;
  }
}

}  // namespace
}  // namespace sixteen
