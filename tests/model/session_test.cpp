// Session: the same bits for any batch and tail, gradients that add up, loop on and off over one arena, Hessians.
#include "model/session.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "formats/error.h"

namespace sixteen {
namespace {

// Two lanes, loop, gated skips, XSA: everything on. Random control tensors, so that no path is dead.
ModelConfig busy_config(const std::string& final_lane = "mean") {
  ModelConfig config;
  config.vocab = 96;
  config.layers = 5;
  config.dim = 48;
  config.heads = 4;
  config.kv_heads = 2;
  config.mlp_hidden = 80;
  config.rope = {8, 10000, 64, true};
  config.xsa_last_n = 5;
  config.loop = {1, 2, 1, 0.35};
  config.parallel.kind = "two_lane";
  config.parallel.start_layer = 3;
  config.parallel.final_lane = final_lane;
  return config;
}

// Deterministic noise in (-1, 1).
float noise(uint64_t i) {
  i = (i + 1) * 0x9E3779B97F4A7C15;
  i = (i ^ i >> 31) * 0xD6E8FEB86659FD93;
  return static_cast<float>(static_cast<int64_t>(i)) * 0x1p-63f;
}

std::vector<int32_t> tokens(int64_t count, uint64_t seed) {
  std::vector<int32_t> ids(count);
  for (int64_t i = 0; i < count; ++i) ids[i] = static_cast<int32_t>((noise(seed * 100003 + i) + 1) * 47.9f);
  return ids;
}

struct Fixture {
  explicit Fixture(ModelConfig config_in = busy_config(), int threads = 2)
      : config(std::move(config_in)),
        table(std::make_shared<ParamTable>(config)),
        store(table),
        session(std::shared_ptr<Device>(make_device("cpu", threads)), config, table) {
    initialise(config, 3, &store);
    for (size_t i = 0; i < store.flat.size(); ++i) store.flat[i] += 0.2f * noise(i);
    session.set_weights(store);
  }

  std::vector<float> gradients() {
    std::vector<float> flat(table->flat_size());
    session.device().download(flat.data(), session.grads().data(), flat.size() * sizeof(float));
    return flat;
  }

  ModelConfig config;
  std::shared_ptr<const ParamTable> table;
  ParamStore store;
  Session session;
};

std::vector<float> scores(Session& session, std::span<const int32_t> ids, std::span<const int32_t> targets,
                          int64_t windows, int64_t seq, int64_t tail) {
  std::vector<float> nll(windows * tail);
  session.score(ids, targets, windows, seq, tail, nll);
  return nll;
}

constexpr int64_t kSeq = 80, kWindows = 5;  // more than one attention tile

TEST(Session, ScoresHaveTheSameBitsForAnyBatchThreadsAndTail) {
  for (const char* final_lane : {"mean", "mlp", "attn"}) {
    Fixture f(busy_config(final_lane));
    const std::vector<int32_t> ids = tokens(kWindows * kSeq, 1), targets = tokens(kWindows * kSeq, 2);
    const std::vector<float> all = scores(f.session, ids, targets, kWindows, kSeq, kSeq);
    EXPECT_GT(*std::max_element(all.begin(), all.end()), *std::min_element(all.begin(), all.end()) + 1);

    Fixture one_thread(busy_config(final_lane), 1);
    EXPECT_EQ(all, scores(one_thread.session, ids, targets, kWindows, kSeq, kSeq));
    for (int64_t w = 0; w < kWindows; ++w) {
      const std::span<const int32_t> window = std::span(ids).subspan(w * kSeq, kSeq);
      for (const int64_t tail : {int64_t{1}, int64_t{7}, int64_t{64}, kSeq}) {
        const std::span<const int32_t> wanted = std::span(targets).subspan((w + 1) * kSeq - tail, tail);
        const std::vector<float> expected(all.begin() + (w + 1) * kSeq - tail, all.begin() + (w + 1) * kSeq);
        EXPECT_EQ(scores(f.session, window, wanted, 1, kSeq, tail), expected)
            << final_lane << " window " << w << " tail " << tail;
      }
    }
  }
}

TEST(Session, FutureTokensDoNotMoveAScore) {
  Fixture f;
  std::vector<int32_t> ids = tokens(kSeq, 1);
  const std::vector<int32_t> targets = tokens(kSeq, 2);
  const std::vector<float> before = scores(f.session, ids, targets, 1, kSeq, kSeq);
  ids[50] = (ids[50] + 1) % 96;
  const std::vector<float> after = scores(f.session, ids, targets, 1, kSeq, kSeq);
  EXPECT_TRUE(std::equal(before.begin(), before.begin() + 50, after.begin()));
  EXPECT_NE(before[50], after[50]);
}

TEST(Session, ScoresAreTheLogitsNegativeLogLikelihoods) {
  Fixture f;
  const std::vector<int32_t> ids = tokens(2 * kSeq, 1), targets = tokens(2 * 9, 2);
  const std::vector<float> nll = scores(f.session, ids, targets, 2, kSeq, 9);
  std::vector<float> logits(2 * 9 * 96);
  f.session.logits(ids, 2, kSeq, 9, logits);
  for (int64_t row = 0; row < 18; ++row) {
    double sum = 0;
    for (int64_t j = 0; j < 96; ++j) sum += std::exp(static_cast<double>(logits[row * 96 + j]));
    EXPECT_NEAR(nll[row], std::log(sum) - logits[row * 96 + targets[row]], 2e-5);  // logits below 30 in fp32
  }
}

TEST(Session, LoopOnAndOffShareOneArena) {
  Fixture f, fresh;
  const std::vector<int32_t> ids = tokens(2 * kSeq, 1), targets = tokens(2 * kSeq, 2);
  const std::vector<float> weight(2 * kSeq, 1.0f / (2 * kSeq));
  const double off = f.session.train(ids, targets, weight, 2, kSeq, false);
  const int64_t off_bytes = f.session.arena_bytes();
  const double on = f.session.train(ids, targets, weight, 2, kSeq, true);
  EXPECT_GT(f.session.arena_bytes(), off_bytes);
  EXPECT_NE(on, off);
  const int64_t on_bytes = f.session.arena_bytes();
  f.session.zero_grads();
  EXPECT_EQ(f.session.train(ids, targets, weight, 2, kSeq, false), off);  // recompiled over the larger arena
  EXPECT_EQ(f.session.arena_bytes(), on_bytes);
  const double again = fresh.session.train(ids, targets, weight, 2, kSeq, false);
  EXPECT_EQ(again, off);
  EXPECT_EQ(f.gradients(), fresh.gradients());
}

TEST(Session, TwoMicroBatchesAddUpToOneBatch) {
  Fixture whole, halves;
  const std::vector<int32_t> ids = tokens(4 * kSeq, 1), targets = tokens(4 * kSeq, 2);
  const std::vector<float> weight(4 * kSeq, 1.0f / (4 * kSeq));
  const double loss = whole.session.train(ids, targets, weight, 4, kSeq, true);
  double sum = 0;
  for (int64_t half = 0; half < 2; ++half) {
    const auto part = [&](const auto& values) { return std::span(values).subspan(half * 2 * kSeq, 2 * kSeq); };
    sum += halves.session.train(part(ids), part(targets), part(weight), 2, kSeq, true);
  }
  EXPECT_NEAR(sum, loss, 1e-12);  // the same rows' bits, added up in fp64
  const std::vector<float> a = whole.gradients(), b = halves.gradients();
  for (const ParamSpec& spec : whole.table->specs()) {
    double worst = 0, most = 0;
    for (int64_t i = spec.offset; i < spec.offset + spec.shape.numel(); ++i) {
      worst = std::max(worst, std::abs(static_cast<double>(a[i]) - b[i]));
      most = std::max(most, std::abs(static_cast<double>(a[i])));
    }
    EXPECT_LE(worst, 2e-5 * most) << spec.name;  // sums of 320 rows in another order
  }
  whole.session.zero_grads();
  for (const float g : whole.gradients()) ASSERT_EQ(g, 0);
}

TEST(Session, HashTableStartsWithoutEffectAndLearns) {
  Fixture f, plain;
  f.session.enable_hash({.buckets = 61, .multiplier = 2039});
  const std::vector<int32_t> ids = tokens(kSeq, 1), targets = tokens(kSeq, 2);
  const std::vector<float> weight(kSeq, 1.0f / kSeq);
  EXPECT_EQ(scores(f.session, ids, targets, 1, kSeq, kSeq), scores(plain.session, ids, targets, 1, kSeq, kSeq));
  f.session.train(ids, targets, weight, 1, kSeq, true);
  std::vector<float> gradient(61 * 48);
  f.session.device().download(gradient.data(), f.session.hash_grads().data(), gradient.size() * sizeof(float));
  EXPECT_NE(*std::max_element(gradient.begin(), gradient.end()), 0);
  f.session.zero_grads();
  f.session.device().download(gradient.data(), f.session.hash_grads().data(), gradient.size() * sizeof(float));
  EXPECT_EQ(*std::max_element(gradient.begin(), gradient.end()), 0);
}

TEST(Session, CalibrationAddsUpAndHasOneHessianAMatrixInput) {
  Fixture f;
  const std::vector<int32_t> ids = tokens(2 * kSeq, 1);
  std::map<std::string, Buffer> both, apart, loop_off;
  f.session.calibrate(ids, 2, kSeq, true, &both);
  f.session.calibrate(std::span(ids).first(kSeq), 1, kSeq, true, &apart);
  f.session.calibrate(std::span(ids).last(kSeq), 1, kSeq, true, &apart);
  f.session.calibrate(ids, 2, kSeq, false, &loop_off);
  EXPECT_EQ(both.size(), 5 * 4 + 1u);
  EXPECT_EQ(both.count("blocks.2.attn.c_q.weight"), 1u);
  EXPECT_EQ(both.count("blocks.2.attn.c_k.weight"), 0u);
  const auto trace = [&](const std::map<std::string, Buffer>& hessians, const std::string& name) {
    const Buffer& buffer = hessians.at(name);
    std::vector<float> h(buffer.bytes() / sizeof(float));
    f.session.device().download(h.data(), buffer.data(), buffer.bytes());
    const int64_t n = f.table->at(name).shape[1];
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += h[i * n + i];
    return sum;
  };
  for (const auto& [name, buffer] : both)
    EXPECT_NEAR(trace(apart, name), trace(both, name), 1e-5 * trace(both, name)) << name;
  // rms rows have squared norm dim, times 1/(layer + 1); layer 1 is visited twice when looping.
  EXPECT_NEAR(trace(both, "tok_emb.weight"), 2 * kSeq * 48, 1);
  EXPECT_NEAR(trace(loop_off, "blocks.1.mlp.fc.weight"), kSeq * 48, 1);
  EXPECT_NEAR(trace(both, "blocks.1.mlp.fc.weight"), 2 * kSeq * 48, 1);
}

}  // namespace
}  // namespace sixteen
