// Steps of columns and low-rank corrections: what they are for is less error, and they must come back as they were made.
#include "packer/column_steps.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "formats/error.h"
#include "graph/cpu/gemm.h"
#include "model/corrections.h"
#include "packer/code_estimate.h"
#include "packer/low_rank.h"
#include "packer/pack.h"
#include "packer/tcq.h"
#include "tests/support/tiny_model.h"

namespace sixteen {
namespace {

const Console kQuiet{.json = false, .quiet = true};

std::vector<float> gaussian(size_t count, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<double> normal(0, 1);
  std::vector<float> result(count);
  for (float& x : result) x = static_cast<float>(normal(engine));
  return result;
}

// Inputs whose channels differ by 16 in size: column j by 2^(j % 5).
std::vector<float> hessian_of(cpu::ThreadPool& pool, int64_t cols, uint64_t seed) {
  std::vector<float> x = gaussian(static_cast<size_t>(4 * cols * cols), seed),
                     hessian(static_cast<size_t>(cols * cols));
  for (size_t i = 0; i < x.size(); ++i) x[i] *= static_cast<float>(1 << i % static_cast<size_t>(cols) % 5);
  cpu::gemm(pool, true, false, cols, cols, 4 * cols, x.data(), cols, x.data(), cols, hessian.data(), cols, false);
  return hessian;
}

// At independent inputs U_jj is 1 / size, so steps halve from one kind of column to the next: 4 quarters.
TEST(ColumnSteps, FollowTheFactor) {
  cpu::ThreadPool pool(2);
  const GptqFactor factor = factorise_hessian(pool, "h", hessian_of(pool, 60, 1), 60, 1e-4);
  const std::vector<int8_t> steps = proportional_steps(factor);
  for (size_t j = 0; j < 60; ++j)
    EXPECT_NEAR(steps[j], 8 - 4 * static_cast<int>(j % 5), 1) << j;  // drawn: some per cent off
}

// The same error for fewer bits: sizes 1, 2, 4, 8, 16 have 1/2 log2(arithmetic / geometric mean of squares) = 1/2 log2(68.2 / 16) = 1.05
// bits to win; columns' own rounding to quarters and damping take little.
TEST(ColumnSteps, SaveBitsAtTheSameError) {
  cpu::ThreadPool pool(2);
  const int64_t rows = 400, cols = 60;
  const std::vector<float> weights = gaussian(static_cast<size_t>(rows * cols), 2);
  const GptqFactor factor = factorise_hessian(pool, "h", hessian_of(pool, cols, 1), cols, 1e-4);
  for (const bool trellis : {false, true}) {
    QuantOptions options{.bits = 8, .clip_sigmas = 20};
    const auto quantise = [&] {
      return trellis ? quantise_tcq(pool, weights, rows, factor, options)
                     : quantise_gptq(pool, weights, rows, factor, options);
    };
    const auto points = [&](const QuantisedMatrix& q) {  // bits a weight at the error 1, by 6 dB a bit
      double error = 0, bits = 0;
      for (const double e : q.row_errors) error += e;
      for (int64_t j = 0; j < cols; ++j) {
        std::vector<int8_t> column;
        for (int64_t r = 0; r < rows; ++r) column.push_back(q.codes[static_cast<size_t>(r * cols + j)]);
        bits += 8 * estimate_codes(column, 1, trellis).columns / static_cast<double>(rows * cols);
      }
      return bits + 0.5 * std::log2(error);
    };
    const double even = points(quantise());
    options.steps = proportional_steps(factor);
    const QuantisedMatrix q = quantise();
    EXPECT_EQ(q.steps, options.steps);
    EXPECT_NEAR(even - points(q), 1.05, 0.15) << trellis;
  }
}

class Corrected : public ::testing::Test {
 protected:
  Corrected() : store_(testing::tiny_store(testing::tiny_config())) {
    model_ = std::make_unique<Model>(
        Model{.config = testing::tiny_config(), .table = store_.table, .store = store_, .path = "m"});
    cpu::ThreadPool pool(2);
    for (const ParamSpec& spec : store_.table->specs()) {
      if (spec.shape.rank() == 2) hessians_[spec.name] = hessian_of(pool, spec.shape[1], 3);
    }
    PackRule small{.tensor_class = "small"}, rest{.bits = 5, .clip_sigmas = 4};
    config_.rules = {small, rest};
    config_.threads = 2;
  }
  double error(const Artifact& artifact, const std::string& name) const {
    const std::span<const float> w = model_->store.tensor(name);
    const std::span<const float> back = unpacked_.at(&artifact).store.tensor(name);
    double sum = 0;
    for (size_t i = 0; i < w.size(); ++i) sum += (double{w[i]} - back[i]) * (double{w[i]} - back[i]);
    return sum;
  }
  Artifact pack() {
    Artifact artifact = quantise_model(*model_, hessians_, config_, kQuiet);
    return parse_artifact(serialise_artifact(&artifact, {}, kOwnCodec), "x.s16");
  }
  void unpack_all(const Artifact& artifact) { unpacked_.emplace(&artifact, unpack(artifact, "x.s16")); }

  ParamStore store_;
  std::unique_ptr<Model> model_;
  Hessians hessians_;
  PackConfig config_;
  std::map<const Artifact*, Model> unpacked_;
};

// Two groups of eight columns get a quarter of the step: 1/16 of the error there, where nothing is made up for (GPTQ's order first).
TEST_F(Corrected, PromotesTheBestGroups) {
  const Artifact plain = pack();
  config_.awq = {.groups = 2, .width = 8};
  const Artifact promoted = pack();
  unpack_all(plain);
  unpack_all(promoted);
  int64_t columns = 0;
  double before = 0, after = 0;
  for (const PackedTensor& t : promoted.tensors) {
    const size_t plus = t.name.find('+');
    if (plus == std::string::npos) continue;
    EXPECT_EQ(t.name.substr(plus), "+steps");
    for (const int8_t step : t.codes) columns += step == -8 ? 1 : 0;
    before += error(plain, t.name.substr(0, plus));
    after += error(promoted, t.name.substr(0, plus));
  }
  EXPECT_EQ(columns, 16);
  EXPECT_LT(after, before);
}

TEST_F(Corrected, GivesLowRankErrorsBack) {
  const Artifact plain = pack();
  config_.low_rank = {.top = 2, .rank = 3, .bits = 6};
  const Artifact corrected = pack();
  unpack_all(plain);
  unpack_all(corrected);
  ASSERT_EQ(corrected.tensors.size(), plain.tensors.size() + 4);
  std::vector<std::pair<double, std::string>> errors;
  for (const PackedTensor& t : plain.tensors) {
    if (t.bits > 0) errors.emplace_back(-error(plain, t.name), t.name);
  }
  std::ranges::sort(errors);
  for (size_t i = 0; i < errors.size(); ++i) {
    const double now = error(corrected, errors[i].second);
    if (i < 2)
      EXPECT_LT(now, -0.95 * errors[i].first) << errors[i].second;  // three singular vectors of at most some dozens
    else
      EXPECT_EQ(now, -errors[i].first) << errors[i].second;
  }
  config_.threads = 1;
  Artifact one = quantise_model(*model_, hessians_, config_, kQuiet), all = corrected;
  EXPECT_EQ(serialise_artifact(&one, {}, kOwnCodec), serialise_artifact(&all, {}, kOwnCodec));
}

// A matrix that is its codes plus a product of two vectors: the product is found, whichever side is longer.
TEST_F(Corrected, FindsAProductOfTwoVectors) {
  cpu::ThreadPool pool(2);
  for (const std::string name : {"blocks.0.mlp.fc.weight", "blocks.0.mlp.proj.weight"}) {
    Artifact artifact = pack();
    const std::vector<float> a = gaussian(static_cast<size_t>(store_.table->find(name)->shape[0]), 4),
                             b = gaussian(static_cast<size_t>(store_.table->find(name)->shape[1]), 5);
    const Model before = unpack(artifact, "x");
    const std::span<float> w = model_->store.tensor(name);
    for (size_t i = 0; i < w.size(); ++i) w[i] = before.store.tensor(name)[i] + a[i / b.size()] * b[i % b.size()];
    add_low_rank(pool, *model_, {.top = 1, .rank = 1, .bits = 8}, &artifact);
    EXPECT_EQ(artifact.tensors.back().name, name + "+b");
    const Model after = unpack(artifact, "x");
    double left = 0, all = 0;
    for (size_t i = 0; i < w.size(); ++i) {
      left += std::pow(double{w[i]} - after.store.tensor(name)[i], 2);
      all += std::pow(double{w[i]} - before.store.tensor(name)[i], 2);
    }
    EXPECT_LT(left, 1e-3 * all) << name;  // 8 bits a vector: 2 (3 / 127)^2 / 12 of the square
  }
}

}  // namespace
}  // namespace sixteen
