// A whole model on a CUDA card against the CPU: losses, gradients, scores and some optimiser steps, in fp32 and in bf16.
//
// Bites: skips without a card. The fp32 model of head dim 64 goes through the plain kernels, the bf16 one through tensor cores.
#include <gtest/gtest.h>

#include <cmath>

#include "formats/error.h"
#include "graph/executor.h"
#include "model/optim.h"
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

}  // namespace
}  // namespace sixteen
