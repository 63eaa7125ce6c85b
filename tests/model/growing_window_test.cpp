// Session::extend: a window that becomes known row by row has the logits, bit for bit, that it has as a whole. test_cuda runs the
// same on a card, in fp32 and in bf16; the instruction sets are the CPU's alone.
#include <gtest/gtest.h>

#include "formats/error.h"

#include "graph/cpu/gemm.h"
#include "tests/support/tiny_model.h"

#ifndef SIXTEEN_GOLDEN_DEVICE
#define SIXTEEN_GOLDEN_DEVICE "cpu"
#endif

namespace sixteen::testing {
namespace {

constexpr bool kOnCpu = std::string_view(SIXTEEN_GOLDEN_DEVICE) == "cpu";

// Head dim 64, two heads a key: what bf16 graphs take to the tensor cores.
ModelConfig wide_config() {
  ModelConfig config = tiny_config();
  config.dim = 128;
  config.heads = 2;
  config.kv_heads = 1;
  config.mlp_hidden = 256;
  return config;
}

// What looks beyond its own row: pairs, smear, values of layer 0, gates; three heads a key, two attention tiles.
ModelConfig pairs_config() {
  ModelConfig config = tiny_config();
  config.dim = 48;
  config.heads = 6;
  config.kv_heads = 2;
  config.parallel = {};
  config.loop = {};
  config.skip = "additive";
  config.smear = true;
  config.value_residual = true;
  config.gated_attention = true;
  config.bigram = {64, 24};
  config.value_embedding = {12, {1, 3}};
  config.xsa_last_n = 2;
  config.rope = {8, 10000, 64, true};  // shorter than a window: the base is rescaled
  return config;
}

class GrowingWindowTest : public ::testing::Test {
 protected:
  static constexpr int64_t kLength = 150;

  void SetUp() override {
    try {
      make_device(SIXTEEN_GOLDEN_DEVICE, 2);
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
  }

  void start(const ModelConfig& config, const HashEmbedConfig& hash, DType activations = DType::kF32) {
    config_ = config;
    const ParamStore store = tiny_store(config);
    session_ = std::make_unique<Session>(make_device(SIXTEEN_GOLDEN_DEVICE, 2), config, store.table, activations);
    session_->set_weights(store);
    if (hash.buckets > 0) {
      session_->enable_hash(hash);
      std::vector<float> table(static_cast<size_t>(hash.buckets * config.dim));
      for (size_t i = 0; i < table.size(); ++i) table[i] = noise(i + 77);
      session_->device().upload(session_->hash_table().data(), table.data(), table.size() * sizeof(float));
    }
  }

  std::vector<int32_t> ids(uint64_t seed) const {
    const std::vector<uint16_t> tokens = tiny_tokens(kLength, config_.vocab, seed);
    return {tokens.begin(), tokens.end()};
  }

  // The window in parts of these sizes, then row by row; every part's last row against the whole window's logits.
  void expect_same_bits(GrowingWindow* window, const std::vector<int32_t>& text, std::vector<int64_t> parts) {
    const size_t vocab = static_cast<size_t>(config_.vocab);
    std::vector<float> whole(kLength * vocab), row(vocab);
    session_->logits(text, 1, kLength, kLength, whole);
    window->clear();
    for (int64_t at = 0, part = 0; at < kLength; ++part) {
      const int64_t size = part < static_cast<int64_t>(parts.size()) ? parts[part] : 1;
      session_->extend(window, std::span(text).subspan(at, size), row);
      at += size;
      const std::vector<float> expected(whole.begin() + (at - 1) * vocab, whole.begin() + at * vocab);
      ASSERT_EQ(row, expected) << "row " << at - 1;
    }
  }

  ModelConfig config_;
  std::unique_ptr<Session> session_;
};

TEST_F(GrowingWindowTest, HasTheBitsOfTheWholeWindow) {
  const HashEmbedConfig own{.buckets = 40, .before_norm = true, .own_previous = true};
  for (const DType activations : {DType::kF32, DType::kBF16}) {
    if (kOnCpu && activations == DType::kBF16) continue;
    for (const auto& [config, hash] : {std::pair{tiny_config(), HashEmbedConfig{}}, {tiny_config(), HashEmbedConfig{.buckets = 40}},
                                       {pairs_config(), HashEmbedConfig{}}, {pairs_config(), own}, {wide_config(), HashEmbedConfig{}}}) {
      start(config, hash, activations);
      GrowingWindow window(kLength);
      for (const std::vector<int64_t>& parts : {std::vector<int64_t>{}, {1, 1, 60}, {2, 100}, {87}, {kLength}}) {
        expect_same_bits(&window, ids(parts.size() + 1), parts);
      }
    }
  }
}

TEST_F(GrowingWindowTest, HasTheSameBitsOnEveryInstructionSetAndThreadCount) {
  if (!kOnCpu) GTEST_SKIP() << "the CPU's instruction sets";
  start(pairs_config(), {});
  std::vector<float> expected(kLength * 96), row(96);
  session_->logits(ids(1), 1, kLength, kLength, expected);
  const std::string best = cpu::isa_name();
  for (const char* isa : {"plain", "avx2", "avx512"}) {
    if (!cpu::set_isa(isa)) continue;
    start(pairs_config(), {});
    GrowingWindow window(kLength);
    expect_same_bits(&window, ids(1), {120});
    session_->extend(&(window = GrowingWindow(kLength)), ids(1), row);
    EXPECT_TRUE(std::equal(row.begin(), row.end(), expected.end() - 96)) << isa;
  }
  cpu::set_isa(best.c_str());
}

// Weights may change between windows.
TEST_F(GrowingWindowTest, FollowsTheWeights) {
  start(tiny_config(), {});
  GrowingWindow window(kLength);
  expect_same_bits(&window, ids(1), {100});
  session_->set_weights(tiny_store(config_, 99));
  expect_same_bits(&window, ids(1), {100});
}

}  // namespace
}  // namespace sixteen::testing
