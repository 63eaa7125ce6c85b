// A whole model on a CUDA card against the CPU: losses, gradients, scores and some optimiser steps, in fp32 and in bf16.
//
// Bites: skips without a card. The fp32 model of head dim 64 goes through the plain kernels, the bf16 one through tensor cores.
#include <gtest/gtest.h>

#include <cmath>

#include "formats/error.h"
#include "formats/shard.h"
#include "graph/executor.h"
#include "model/optim.h"
#include "model/prefetch_loader.h"
#include "model/shuffled_loader.h"
#include "tests/support/scratch.h"
#include "tests/support/tiny_model.h"

namespace sixteen {
namespace {

using testing::tiny_config;
using testing::tiny_store;
using testing::tiny_tokens;

constexpr int64_t kWindows = 4, kSeq = 96, kVocab = 512;

ModelConfig model_config() {
  ModelConfig config = tiny_config(kVocab);
  config.dim = 128;  // head dim 64
  config.mlp_hidden = 256;
  return config;
}

std::shared_ptr<Device> card_or_null() {
  try {
    return make_device("cuda");
  } catch (const Error&) {
    return nullptr;
  }
}

struct Outcome {
  double loss = 0;
  std::vector<float> gradients, nll;
  std::vector<double> losses;  // of the optimiser's steps
};

Outcome run(std::shared_ptr<Device> device, DType activations) {
  const ModelConfig config = model_config();
  const ParamStore store = tiny_store(config);
  Session session(device, config, store.table, activations);
  session.set_weights(store);
  const std::vector<uint16_t> tokens = tiny_tokens(kWindows * kSeq + 1, kVocab);
  const std::vector<int32_t> ids(tokens.begin(), tokens.end() - 1), targets(tokens.begin() + 1, tokens.end());
  const std::vector<float> weight(ids.size(), 1.0f / static_cast<float>(ids.size()));
  const auto train = [&] {
    session.zero_grads();
    return session.train(ids, targets, weight, kWindows, kSeq, true);
  };
  Outcome out;
  out.loss = train();
  out.gradients.resize(store.flat.size());
  device->download(out.gradients.data(), session.grads().data(), out.gradients.size() * sizeof(float));
  const int64_t tail = 40;
  std::vector<int32_t> last;
  for (int64_t w = 0; w < kWindows; ++w) last.insert(last.end(), targets.begin() + (w + 1) * kSeq - tail, targets.begin() + (w + 1) * kSeq);
  out.nll.resize(last.size());
  session.score(ids, last, kWindows, kSeq, tail, out.nll);
  OptimConfig optim;
  Optimizer optimizer(&session, optim);
  for (int step = 0; step < 8; ++step) {
    optimizer.step({.lr_scale = 0.5, .momentum = 0.9});
    out.losses.push_back(train());
  }
  return out;
}

double mean_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) - b[i];
  return std::abs(sum) / static_cast<double>(a.size());
}

double relative_distance(const std::vector<float>& found, const std::vector<float>& expected) {
  double distance = 0, norm = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    distance += std::pow(static_cast<double>(found[i]) - expected[i], 2);
    norm += std::pow(static_cast<double>(expected[i]), 2);
  }
  return std::sqrt(distance / norm);
}

TEST(CudaSession, AgreesWithTheCpu) {
  const std::shared_ptr<Device> card = card_or_null();
  if (card == nullptr) GTEST_SKIP() << "no CUDA card";
  const Outcome cpu = run(make_device("cpu", 2), DType::kF32);
  ASSERT_LT(cpu.losses.back(), cpu.loss - 0.05);  // it learns

  const Outcome fp32 = run(card, DType::kF32);
  EXPECT_NEAR(fp32.loss, cpu.loss, 1e-5);
  EXPECT_LT(relative_distance(fp32.gradients, cpu.gradients), 1e-4);
  EXPECT_LT(relative_distance(fp32.nll, cpu.nll), 1e-5);
  EXPECT_NEAR(fp32.losses.back(), cpu.losses.back(), 2e-2);  // Muon's directions of small gradients are ill conditioned

  const Outcome bf16 = run(card, DType::kBF16);
  EXPECT_NEAR(bf16.loss, cpu.loss, 4e-3);  // 384 targets; the 2e-3 is for whole documents
  EXPECT_LT(mean_difference(bf16.nll, cpu.nll), 4e-3);
  EXPECT_LT(relative_distance(bf16.gradients, cpu.gradients), 5e-2);  // 2^-9 a stored value, through six visits and back
  EXPECT_NEAR(bf16.losses.back(), cpu.losses.back(), 5e-2);
}

// Batches from the reading thread, submitted without waiting: the card trains on what the CPU trains on, in that order, and
// nothing is overwritten on its way. Large batches, so that copies and runs overlap.
TEST(CudaSession, SubmittedBatchesKeepTheirOrderAndContents) {
  const std::shared_ptr<Device> card = card_or_null();
  if (card == nullptr) GTEST_SKIP() << "no CUDA card";
  const testing::Scratch scratch;
  constexpr int64_t kRows = 64, kBatches = 12;
  write_shard(scratch.path("a_train_0.bin"), tiny_tokens(kRows * kSeq * (kBatches + 2), kVocab));
  const ModelConfig config = model_config();
  const ParamStore store = tiny_store(config);
  const auto losses = [&](std::shared_ptr<Device> device, bool submits) {
    PrefetchLoader loader(std::make_unique<ShuffledLoader>(std::vector<std::string>{scratch.path("a_train_0.bin")}, 0, 1, kSeq, kVocab),
                          kRows, kSeq, 2);
    Session session(device, config, store.table, DType::kF32);
    session.set_weights(store);
    std::vector<int32_t> ids(kRows * kSeq), targets(kRows * kSeq);
    std::vector<float> weight(ids.size());
    std::vector<double> found;
    for (int64_t i = 0; i < kBatches; ++i) {
      loader.next_batch(kRows, ids.data(), targets.data());
      for (size_t k = 0; k < weight.size(); ++k) weight[k] = static_cast<float>((i + 1) * (1 + static_cast<int64_t>(k) % 3));
      if (!submits) {
        found.push_back(session.train(ids, targets, weight, kRows, kSeq, true));
        continue;
      }
      if (session.in_flight() == Session::kPasses) found.push_back(session.collect_loss());
      session.submit_train(ids, targets, weight, kRows, kSeq, true);
    }
    while (session.in_flight() > 0) found.push_back(session.collect_loss());
    return found;
  };
  const std::vector<double> cpu = losses(make_device("cpu", 2), false), waiting = losses(card, false), submitted = losses(card, true);
  EXPECT_EQ(submitted, waiting);
  ASSERT_EQ(submitted.size(), cpu.size());
  for (size_t i = 0; i < cpu.size(); ++i) EXPECT_NEAR(submitted[i], cpu[i], 1e-5 * cpu[i]) << "batch " << i;
  EXPECT_GT(std::abs(cpu[1] / 2 - cpu[0]), 1e-4 * cpu[0]);  // batches differ, so the order shows
}

// The same for scores, with hints and without; rows without a hint among them.
TEST(CudaSession, HintsAgreeWithTheCpu) {
  const std::shared_ptr<Device> card = card_or_null();
  if (card == nullptr) GTEST_SKIP() << "no CUDA card";
  const ModelConfig config = model_config();
  const ParamStore store = tiny_store(config);
  const std::vector<uint16_t> tokens = tiny_tokens(kWindows * kSeq + 1, kVocab);
  const std::vector<int32_t> ids(tokens.begin(), tokens.end() - 1), targets(tokens.begin() + 1, tokens.end());
  std::vector<int32_t> hints;
  for (size_t i = 0; i < ids.size(); ++i) hints.push_back(i % 5 == 0 ? -1 : static_cast<int32_t>(i * 37 % kVocab));
  const auto stats = [&](std::shared_ptr<Device> device, DType activations) {
    Session session(device, config, store.table, activations);
    session.set_weights(store);
    session.submit_hints(ids, targets, hints, kWindows, kSeq, kSeq, false);
    const std::span<const HintStats> found = session.collect_hints();
    std::vector<HintStats> copy(found.begin(), found.end());
    std::vector<float> nll(ids.size());
    session.score(ids, targets, kWindows, kSeq, kSeq, nll);
    for (size_t i = 0; i < nll.size(); ++i) EXPECT_NEAR(copy[i].nll, nll[i], 2e-5);
    return copy;
  };
  const std::vector<HintStats> cpu = stats(make_device("cpu", 2), DType::kF32);
  for (const DType activations : {DType::kF32, DType::kBF16}) {
    const std::vector<HintStats> found = stats(card, activations);
    const bool exact = activations == DType::kF32;
    double ranks = 0;
    for (size_t i = 0; i < found.size(); ++i) {
      const double tolerance = exact ? 5e-5 : 0.4;  // bf16: 2^-8 of logits up to 30, and of what leads to them
      ASSERT_NEAR(found[i].nll, cpu[i].nll, tolerance) << i;
      ASSERT_NEAR(found[i].hint_nll, cpu[i].hint_nll, tolerance) << i;
      ASSERT_NEAR(found[i].entropy, cpu[i].entropy, tolerance) << i;
      EXPECT_TRUE(hints[i] >= 0 || found[i].hint_rank == 0) << i;
      ranks += std::abs(found[i].hint_rank - cpu[i].hint_rank);
    }
    EXPECT_LE(ranks / static_cast<double>(found.size()), exact ? 0.01 : 5);  // of 512; fp32: only ties may turn
  }
}

}  // namespace
}  // namespace sixteen
