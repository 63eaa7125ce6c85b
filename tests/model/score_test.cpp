// bpb arithmetic by hand, and scores that do not depend on the batch size.
#include "model/score.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sixteen {
namespace {

// Ids: 0 control (boundary), 1 " ab" (leading space, 2 bytes), 2 "c" (1 byte), 3 byte piece.
ByteTables tables() { return {{0, 2, 1, 1}, {0, 1, 0, 0}, {1, 0, 0, 0}}; }

TEST(Score, BytesAndBitsPerByte) {
  const ByteTables byte_tables = tables();
  const std::vector<uint16_t> tokens = {0, 1, 1, 2, 0, 3};
  const std::vector<float> nll = {1.5f, 2.25f, 0.5f, 4.0f, 0.75f};
  ScoreSum sum;
  add_scores(tokens, 1, std::span(nll).first(2), &byte_tables, &sum);
  EXPECT_EQ(sum.bytes, 2 + 3);  // no blank behind a boundary, one behind a word
  add_scores(tokens, 3, std::span(nll).subspan(2), &byte_tables, &sum);
  EXPECT_EQ(sum.bytes, 5 + 1 + 0 + 1);
  EXPECT_EQ(sum.targets, 5);
  EXPECT_DOUBLE_EQ(sum.nll, 9.0);
  EXPECT_DOUBLE_EQ(sum.loss(), 1.8);
  EXPECT_DOUBLE_EQ(sum.bpb(), 9.0 / std::log(2.0) / 7.0);
  ScoreSum twice = sum;
  twice.add(sum);
  EXPECT_DOUBLE_EQ(twice.bpb(), sum.bpb());
  EXPECT_EQ(twice.targets, 10);
}

TEST(Score, SumsInDoublePrecision) {
  const std::vector<uint16_t> tokens(100001, 2);
  const std::vector<float> nll(100000, 3.1415927f);
  ScoreSum sum;
  add_scores(tokens, 1, nll, nullptr, &sum);
  EXPECT_EQ(sum.nll, [] {
    double exact = 0;
    for (int i = 0; i < 100000; ++i) exact += 3.1415927f;
    return exact;
  }());
  EXPECT_NEAR(sum.loss(), 3.1415927f, 1e-10);  // a float sum would be off by 1e-3
  EXPECT_EQ(sum.bytes, 0);
}

ModelConfig small_config() {
  ModelConfig config;
  config.vocab = 64;
  config.layers = 3;
  config.dim = 32;
  config.heads = 2;
  config.kv_heads = 1;
  config.mlp_hidden = 64;
  config.rope.dims = 8;
  config.rope.train_len = 32;
  config.xsa_last_n = 3;
  config.embed_init_std = 0.5;  // so that losses differ from ln(vocab)
  return config;
}

TEST(Score, IndependentOfBatchSize) {
  const ModelConfig config = small_config();
  const auto table = std::make_shared<const ParamTable>(config);
  ParamStore store(table);
  initialise(config, 7, &store);
  for (size_t i = 0; i < store.flat.size(); ++i)
    store.flat[i] += 0.05f * std::sin(static_cast<float>(i));  // no path is zero
  Session session(std::shared_ptr<Device>(make_device("cpu", 2)), config, table);
  session.set_weights(store);
  std::vector<uint16_t> tokens(301);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<uint16_t>(i * i % 61 + i % 3);
  for (const std::vector<Window>& windows : {sliding_windows(300, 32, 8, false), plain_windows(300, 32, false)}) {
    std::vector<float> one_by_one;
    int64_t last = 0;
    const ScoreSum expected = score_windows(&session, tokens, windows, nullptr, {.batch = 1}, &one_by_one,
                                            [&](int64_t done) { last = done; });
    EXPECT_EQ(last, static_cast<int64_t>(windows.size()));
    EXPECT_EQ(expected.targets, 300);
    ASSERT_EQ(one_by_one.size(), 300u);
    for (const int64_t batch : {2, 3, 5, 100, 0}) {
      std::vector<float> nll;
      const ScoreSum sum = score_windows(&session, tokens, windows, nullptr, {.batch = batch}, &nll, nullptr);
      EXPECT_EQ(nll, one_by_one) << "batch " << batch;
      EXPECT_EQ(sum.nll, expected.nll) << "batch " << batch;
    }
  }
}

// Positions that score nothing, and inputs beyond the stream, change no bit of those that score.
TEST(Score, UnscoredPositionsChangeNothing) {
  const ModelConfig config = small_config();
  const auto table = std::make_shared<const ParamTable>(config);
  ParamStore store(table);
  initialise(config, 7, &store);
  for (size_t i = 0; i < store.flat.size(); ++i) store.flat[i] += 0.05f * std::sin(static_cast<float>(i));
  Session session(std::shared_ptr<Device>(make_device("cpu", 2)), config, table);
  session.set_weights(store);
  std::vector<uint16_t> tokens(301);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<uint16_t>(i * i % 61 + i % 3);
  const auto score = [&](const std::vector<Window>& windows, const ScoreOptions& options) {
    std::vector<float> nll;
    score_windows(&session, tokens, windows, nullptr, options, &nll, nullptr);
    return nll;
  };
  const std::vector<float> exact = score(sliding_windows(300, 32, 8, false), {});
  const std::vector<Window> repeating = sliding_windows(300, 32, 8, false, Edge::kTailRepeated);
  const std::vector<float> repeated = score(repeating, {.batch = 3});
  ASSERT_GT(repeated.size(), 300u);
  EXPECT_TRUE(std::equal(exact.begin(), exact.begin() + 296, repeated.begin()));
  size_t at = 0;
  for (const Window& w : repeating) {  // a window that runs over the end equals the shorter one
    const Window shorter{w.start, w.length - w.unscored, w.scored};
    const std::vector<float> alone = score({shorter}, {});
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), repeated.begin() + static_cast<ptrdiff_t>(at))) << w.start;
    at += alone.size();
  }
  const std::vector<float> full = score(sliding_windows(300, 32, 8, false, Edge::kFullOnly), {});
  ASSERT_EQ(full.size(), 34u * 8);
  EXPECT_TRUE(std::equal(full.begin(), full.begin() + 8, exact.begin()));
  EXPECT_TRUE(std::equal(full.begin() + 8, full.end(), exact.begin() + 32));
}

TEST(Score, AMixtureGetsTheScoredLogits) {
  const ModelConfig config = small_config();
  const auto table = std::make_shared<const ParamTable>(config);
  ParamStore store(table);
  initialise(config, 7, &store);
  Session session(std::shared_ptr<Device>(make_device("cpu", 2)), config, table);
  session.set_weights(store);
  std::vector<uint16_t> tokens(101);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<uint16_t>(i * i % 61 + i % 3);
  for (const Edge edge : {Edge::kExact, Edge::kTailRepeated, Edge::kFullOnly}) {
    for (const bool rounded : {false, true}) {
      std::vector<Window> seen;
      const auto softmax = [&](const Window& window, std::span<const float> logits, std::span<float> nll) {
        seen.push_back(window);
        ASSERT_EQ(static_cast<int64_t>(logits.size()), window.scored * config.vocab);
        for (int64_t i = 0; i < window.scored; ++i) {
          const std::span<const float> row = logits.subspan(static_cast<size_t>(i * config.vocab), static_cast<size_t>(config.vocab));
          double sum = 0;
          for (const float logit : row) sum += std::exp(static_cast<double>(logit));
          nll[i] = static_cast<float>(std::log(sum) - row[tokens[static_cast<size_t>(window.first_target() + i)]]);
        }
      };
      const std::vector<Window> windows = sliding_windows(100, 32, 8, false, edge);
      std::vector<float> plain, mixed;
      score_windows(&session, tokens, windows, nullptr, {.logits_bf16 = rounded}, &plain, nullptr);
      score_windows(&session, tokens, windows, nullptr, {.batch = 3, .logits_bf16 = rounded, .mixture = softmax}, &mixed, nullptr);
      EXPECT_EQ(seen.size(), windows.size());
      ASSERT_EQ(plain.size(), mixed.size());
      for (size_t i = 0; i < plain.size(); ++i) ASSERT_NEAR(plain[i], mixed[i], 2e-6) << i;  // fp32 against fp64 of ~4 nats
    }
  }
}

}  // namespace
}  // namespace sixteen
