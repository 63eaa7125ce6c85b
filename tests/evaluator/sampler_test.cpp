// Drawing tokens: the same seed draws the same, padding has no say, and the draws follow the distribution.
#include "evaluator/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "tests/support/tiny_model.h"

namespace sixteen {
namespace {

using testing::tiny_config;
using testing::tiny_store;

constexpr int64_t kVocab = 24;

struct Fixture {
  explicit Fixture(int64_t train_len = 80) : config(tiny_config(kVocab)), store(tiny_store(config)) {
    config.rope.train_len = train_len;
    session = std::make_unique<Session>(std::shared_ptr<Device>(make_device("cpu", 1)), config, store.table);
    session->set_weights(store);
  }
  std::vector<int32_t> context(int64_t length) const {
    const std::vector<uint16_t> tokens = testing::tiny_tokens(length, kVocab);
    return {tokens.begin(), tokens.end()};
  }
  // The logits after `context`, without any padding.
  std::vector<float> logits(std::span<const int32_t> ids) {
    std::vector<float> row(kVocab);
    session->logits(ids, 1, static_cast<int64_t>(ids.size()), 1, row);
    return row;
  }

  ModelConfig config;
  ParamStore store;
  std::unique_ptr<Session> session;
};

int32_t largest(const std::vector<float>& row) {
  return static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

TEST(Sampler, TheSameSeedDrawsTheSame) {
  Fixture f;
  const auto draw = [&](uint64_t seed) {
    Sampler sampler(f.session.get(), {.temperature = 4, .top_k = 0, .seed = seed});
    std::vector<int32_t> context = f.context(5);
    for (int i = 0; i < 40; ++i) context.push_back(sampler.next(context));
    return context;
  };
  EXPECT_EQ(draw(7), draw(7));
  EXPECT_NE(draw(7), draw(8));
}

TEST(Sampler, PaddingHasNoSay) {
  Fixture f;
  for (const int64_t length :
       {1, 2, 31, 32, 33, 63, 64, 65, 79, 80}) {  // at train_len 80 the last step is half as long
    const std::vector<int32_t> context = f.context(length);
    Sampler greedy(f.session.get(), {.temperature = 0});
    Sampler one(f.session.get(), {.temperature = 1, .top_k = 1});
    const int32_t expected = largest(f.logits(context));
    EXPECT_EQ(greedy.next(context), expected) << "length " << length;
    EXPECT_EQ(one.next(context), expected) << "length " << length;
  }
}

TEST(Sampler, LongContextsKeepTheirEnd) {
  Fixture f(40);
  const std::vector<int32_t> context = f.context(100);
  Sampler greedy(f.session.get(), {.temperature = 0});
  EXPECT_EQ(greedy.next(context), largest(f.logits(std::span(context).last(40))));
}

TEST(Sampler, DrawsFollowTheDistribution) {
  Fixture f;
  const std::vector<int32_t> context = f.context(9);
  const std::vector<float> row = f.logits(context);
  constexpr double kTemperature = 4;  // the tiny model is very sure of itself
  constexpr size_t kTop = 5;
  std::vector<float> sorted = row;
  std::sort(sorted.rbegin(), sorted.rend());
  double sum = 0;
  for (size_t i = 0; i < kTop; ++i) sum += std::exp(sorted[i] / kTemperature);
  constexpr int kDraws = 2000;
  std::map<int32_t, int> counts;
  Sampler sampler(f.session.get(), {.temperature = kTemperature, .top_k = kTop, .seed = 4});
  for (int i = 0; i < kDraws; ++i) ++counts[sampler.next(context)];
  EXPECT_EQ(counts.size(), kTop);
  for (const auto& [id, count] : counts) {
    ASSERT_GE(row[id], sorted[kTop - 1]);
    const double p = std::exp(row[id] / kTemperature) / sum;
    EXPECT_NEAR(count, kDraws * p, 5 * std::sqrt(kDraws * p * (1 - p)) + 1) << "id " << id;  // 5 standard deviations
  }
}

TEST(SettledBytes, HoldsBackWhatMayStillBecomeACharacter) {
  EXPECT_EQ(settled_bytes(""), 0u);
  EXPECT_EQ(settled_bytes("ab\xC3\xA9"), 4u);
  EXPECT_EQ(settled_bytes("ab\xEF\xBF\xBD"), 2u);
  EXPECT_EQ(settled_bytes("ab\xEF\xBF\xBD\xEF\xBF\xBD"), 2u);
  EXPECT_EQ(settled_bytes("ab\xEF\xBF\xBD"
                          "c"),
            6u);  // never a character; must not silence what follows
}

}  // namespace
}  // namespace sixteen
