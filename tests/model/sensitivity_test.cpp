// What sensitivities are for: the divergence that a small error of the weights causes.
#include "model/sensitivity.h"

#include <gtest/gtest.h>

#include <cmath>

#include "formats/file.h"
#include "formats/shard.h"
#include "model/shuffled_loader.h"
#include "tests/support/bytes.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"

namespace sixteen {
namespace {

const Console kQuiet{.json = false, .quiet = true};
constexpr int64_t kSeq = 32, kWindows = 48;

class Sensitivity : public ::testing::Test {
 protected:
  Sensitivity() : config_(testing::tiny_config()), store_(testing::tiny_store(config_)) {
    write_shard(shard_, testing::tiny_tokens(4000));
  }
  std::unique_ptr<Session> session(const ParamStore& store) const {
    auto made = std::make_unique<Session>(std::shared_ptr<Device>(make_device("cpu", 2)), config_, store.table);
    made->set_weights(store);
    return made;
  }
  Sensitivities measure(Session* s, int64_t windows, int threads = 2) const {
    return measure_sensitivities(s, shard_, {.seq_len = kSeq, .sensitivity_windows = windows}, threads, kQuiet);
  }
  std::vector<double> log_probabilities(const ParamStore& store) const {
    const auto s = session(store);
    ShuffledLoader loader({shard_}, 0, 1, kSeq, config_.vocab);
    std::vector<int32_t> ids(kSeq), targets(kSeq);
    std::vector<float> logits(kSeq * config_.vocab);
    std::vector<double> result;
    for (int64_t w = 0; w < kWindows; ++w) {
      loader.next_batch(1, ids.data(), targets.data());
      s->logits(ids, 1, kSeq, kSeq, logits);
      for (int64_t t = 0; t < kSeq; ++t) {
        double sum = 0;
        for (int64_t v = 0; v < config_.vocab; ++v) sum += std::exp(double{logits[t * config_.vocab + v]});
        for (int64_t v = 0; v < config_.vocab; ++v) result.push_back(logits[t * config_.vocab + v] - std::log(sum));
      }
    }
    return result;
  }

  const testing::Scratch scratch_;
  const std::string shard_ = scratch_.path("t_train_000000.bin");
  ModelConfig config_;
  ParamStore store_;
};

// Noise of one size on all weights of a tensor: half of the summed information times its variance, in nats a token.
TEST_F(Sensitivity, TellsTheDivergenceThatNoiseCauses) {
  const auto s = session(store_);
  const Sensitivities found = measure(s.get(), kWindows);
  EXPECT_EQ(found.size(), 32u);  // 4 * 6 matrices, the embedding, and control tensors of rank 2
  const std::vector<double> before = log_probabilities(store_);
  for (const char* name : {"blocks.0.attn.c_q.weight", "blocks.1.attn.proj.weight", "blocks.2.mlp.fc.weight",
                           "blocks.3.mlp.proj.weight", "tok_emb.weight"}) {
    double information = 0;
    for (const float row : found.at(name)) information += row;
    ASSERT_GT(information, 0) << name;
    const double variance = 2 * 0.0004 / information;
    double divergence = 0;
    constexpr int kDraws = 3;
    for (int draw = 0; draw < kDraws; ++draw) {
      ParamStore noisy = store_;
      uint64_t i = 1000000 * static_cast<uint64_t>(draw + 1);
      for (float& w : noisy.tensor(name)) w += static_cast<float>(std::sqrt(3 * variance)) * testing::noise(i++);
      const std::vector<double> after = log_probabilities(noisy);
      for (size_t k = 0; k < before.size(); ++k) divergence += std::exp(before[k]) * (before[k] - after[k]);
    }
    divergence /= kDraws * kWindows * kSeq;
    // Random targets, 1,536 of them, and three draws of noise; the quadratic is the first term of a series.
    EXPECT_NEAR(divergence, 0.0004, 0.3 * 0.0004) << name;
  }
}

TEST_F(Sensitivity, RepeatsItselfAndLeavesNoGradient) {
  const auto s = session(store_);
  const Sensitivities first = measure(s.get(), 3);
  std::vector<float> grads(s->table().flat_size());
  s->device().download(grads.data(), s->grads().data(), grads.size() * sizeof(float));
  EXPECT_EQ(grads, std::vector<float>(grads.size()));
  EXPECT_EQ(measure(s.get(), 3), first);
  EXPECT_EQ(measure(s.get(), 3, 1), first);
  EXPECT_NE(measure(s.get(), 2), first);
}

TEST_F(Sensitivity, TravelsWithTheHessians) {
  const auto s = session(store_);
  const Sensitivities measured = measure(s.get(), 2);
  const Hessians hessians = collect_hessians(s.get(), shard_, {.windows = 4, .batch = 2, .seq_len = kSeq}, kQuiet);
  const std::string path = scratch_.path("h.safetensors");
  save_hessians(path, hessians, store_, measured);
  Sensitivities found;
  EXPECT_EQ(load_hessians(path, store_, "m", &found), hessians);
  EXPECT_EQ(found, measured);
  EXPECT_EQ(load_hessians(path, store_, "m"), hessians);
  Sensitivities wrong = measured;
  wrong.at("tok_emb.weight").pop_back();
  save_hessians(path, hessians, store_, wrong);
  testing::expect_error("sensitivity.tok_emb.weight: expected one value for each row",
                        [&] { load_hessians(path, store_, "m"); });
  wrong = measured;
  wrong.at("tok_emb.weight")[7] = -1;
  save_hessians(path, hessians, store_, wrong);
  testing::expect_error("sensitivity.tok_emb.weight: -1 among its values",
                        [&] { load_hessians(path, store_, "m", &found); });
  save_hessians(path, hessians, store_);
  found.clear();
  load_hessians(path, store_, "m", &found);
  EXPECT_TRUE(found.empty());
}

}  // namespace
}  // namespace sixteen
