// verify by executing: honest runs replay to the bit, by the fp64 reference within rounding, and under every change of the future; a
// loss made better by hand and schemes that look ahead are caught.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "evaluator/exact_sum.h"
#include "evaluator/verify_distribution.h"
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

// A stand-in for a model at one position, and what a scheme makes of it: distribution before the target, or with a look at it, and losses.
constexpr size_t kIds = 50;
constexpr int64_t kTarget = 40;
constexpr size_t kRow = 20;  // targets 20 .. 40 have losses

std::vector<double> honest_log_p(std::span<const uint16_t> tokens, int64_t target) {
  std::vector<double> log_p(kIds);
  double sum = 0;
  for (size_t v = 0; v < kIds; ++v) {
    log_p[v] = 3 * testing::noise(tokens[static_cast<size_t>(target) - 1] * 31u + static_cast<uint32_t>(v));
    sum += std::exp(log_p[v]);
  }
  for (double& l : log_p) l -= std::log(sum);
  return log_p;
}

struct DistributionScheme {
  std::function<std::vector<double>(std::span<const uint16_t>, int64_t)> log_p = honest_log_p;  // what the score is made from
  std::function<std::vector<double>(std::span<const uint16_t>, int64_t)> shown = {};            // what is shown instead, if anything
  double recorded = 0;                                                                          // added to the ledger's loss
};

Verdict look_at(const DistributionScheme& scheme) {
  std::vector<uint16_t> tokens = testing::tiny_tokens(60, kIds);
  NumpyRandom random(3);
  const DistributionProbe probe{.target = kTarget, .row = kRow, .tolerance = 2e-4,  // verify's for fp32 losses
                                .losses =
                                    [&](std::span<const uint16_t> changed) {
                                      std::vector<float> losses;
                                      for (int64_t t = kTarget - static_cast<int64_t>(kRow); t <= kTarget; ++t) {
                                        losses.push_back(static_cast<float>(-scheme.log_p(changed, t)[changed[static_cast<size_t>(t)]]));
                                      }
                                      return losses;
                                    },
                                .log_p =
                                    [&](std::span<const uint16_t> changed) {
                                      return (scheme.shown ? scheme.shown : scheme.log_p)(changed, kTarget);
                                    }};
  Verdict verdict("a scheme");
  DistributionFindings findings;
  const float expected = probe.losses(tokens)[kRow] + static_cast<float>(scheme.recorded);
  if (probe_distribution(probe, tokens, expected, &random, &findings, &verdict)) verdict.pass(Condition::kC2, "distributions", "");
  return verdict;
}

void expect_c2(const char* name, const Verdict& verdict, const char* says, int64_t target) {
  EXPECT_EQ(verdict.headline().substr(0, 13), "NOT LEGAL: C2") << name << verdict.text();
  ASSERT_EQ(verdict.evidence().size(), 1u) << name;
  EXPECT_NE(verdict.evidence()[0].detail.find(says), std::string::npos) << name << ": " << verdict.evidence()[0].detail;
  EXPECT_EQ(verdict.evidence()[0].first_target, target) << name;
}

TEST(ProbeDistribution, AnHonestOneIsNormalisedAndDoesNotMove) { EXPECT_FALSE(look_at({}).violated(Condition::kC2)) << look_at({}).text(); }

TEST(ProbeDistribution, PlantedFaultsAreCaughtAsC2) {
  using Tokens = std::span<const uint16_t>;
  const auto target_of = [](Tokens s, int64_t t) { return size_t{s[static_cast<size_t>(t)]}; };
  const auto raised = [&](Tokens s, int64_t t) {  // as much as it takes: the target's probability times 1.5, the rest scaled down
    std::vector<double> log_p = honest_log_p(s, t);
    double sum = 0;
    log_p[target_of(s, t)] += std::log(1.5);
    for (const double l : log_p) sum += std::exp(l);
    for (double& l : log_p) l -= std::log(sum);
    return log_p;
  };
  const auto heavy = [](double factor) {
    return [factor](Tokens s, int64_t t) {
      std::vector<double> log_p = honest_log_p(s, t);
      for (double& l : log_p) l += std::log(factor);
      return log_p;
    };
  };
  expect_c2("sums to 1.001", look_at({.log_p = heavy(1.001)}), "probabilities sum to 1.001", kTarget);
  expect_c2("sums to 0.9", look_at({.log_p = heavy(0.9)}), "probabilities sum to 0.9", kTarget);
  expect_c2("a bonus of a cache that nobody pays for", look_at({.log_p = [](Tokens s, int64_t t) {
              std::vector<double> log_p = honest_log_p(s, t);
              log_p[s[static_cast<size_t>(t) - 3] % kIds] += 0.2;
              return log_p;
            }}), "probabilities sum to", kTarget);
  expect_c2("normalised, with a look at the target", look_at({.log_p = raised}), "moves with the target", kTarget);
  expect_c2("an honest distribution is shown, another one scores", look_at({.log_p = raised, .shown = honest_log_p}), "-ln p of it", kTarget);
  expect_c2("the shown one moves, the score does not", look_at({.shown = raised}), "-ln p of it", kTarget);
  expect_c2("a later token moves the scores before it", look_at({.log_p = [](Tokens s, int64_t t) {
              return honest_log_p(s, t < kTarget ? t + 2 : t);
            }}), "moves scores before it", kTarget);
  expect_c2("a recorded loss that does not come out", look_at({.recorded = -0.01}), "does not come out again", kTarget);
}

// Random tokens of 50 cost ln 50 to whoever cannot see them. Losses of an honest scorer scatter around the cross-entropy of its p.
TEST(JudgeRandomLosses, LossesBelowTheEntropyAreCaughtAsC2) {
  const auto judged = [](const std::function<double(double p, std::span<const uint16_t>, int64_t)>& loss_of) {
    NumpyRandom random(11);
    std::vector<uint16_t> tokens;
    for (int i = 0; i < 3000; ++i) tokens.push_back(static_cast<uint16_t>(random.integers(kIds)));
    std::vector<float> losses;
    for (int64_t t = 4; t < 3000; ++t) losses.push_back(static_cast<float>(loss_of(honest_log_p(tokens, t)[tokens[static_cast<size_t>(t)]], tokens, t)));
    Verdict verdict("a scheme");
    judge_random_losses(losses, kIds, &verdict);
    return verdict;
  };
  const double even = std::log(static_cast<double>(kIds));
  EXPECT_FALSE(judged([](double log_p, auto, auto) { return -log_p; }).violated(Condition::kC2));
  EXPECT_FALSE(judged([&](double, auto, auto) { return even; }).violated(Condition::kC2));
  expect_c2("probabilities that sum to 1.2", judged([&](double, auto, auto) { return even - std::log(1.2); }), "mean loss", -1);
  expect_c2("one target in ten is known", judged([&](double, auto, int64_t t) { return t % 10 == 0 ? 0.05 : even; }), "mean loss", -1);
  expect_c2("the target is in the key of a cache", judged([&](double, std::span<const uint16_t> s, int64_t t) {
              return s[static_cast<size_t>(t)] % 2 == 0 ? even - 0.5 : even;
            }), "mean loss", -1);
}

}  // namespace
}  // namespace sixteen
