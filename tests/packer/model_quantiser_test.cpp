// Tensors quantised side by side are those quantised alone, with any number of threads; a sample is its rows.
#include "packer/model_quantiser.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/bytes.h"
#include "tests/support/tiny_model.h"

namespace sixteen {
namespace {

const Console kQuiet{.json = false, .quiet = true};

class ModelQuantiserTest : public ::testing::Test {
 protected:
  ModelQuantiserTest()
      : store_(testing::tiny_store(testing::tiny_config())),
        model_{.config = testing::tiny_config(), .table = store_.table, .store = store_, .path = "m"} {
    for (const ParamSpec& spec : store_.table->specs()) {
      if (spec.quant == QuantClass::kSmall || spec.name == "tok_emb.weight") continue;
      add_hessian(spec.name, spec.shape[1]);
    }
  }
  void add_hessian(const std::string& name, int64_t cols) {
    std::vector<float> x(3 * cols * cols), hessian(cols * cols);
    for (size_t i = 0; i < x.size(); ++i) x[i] = testing::noise(i + 977 * name.size()) + (i % 7 == 0 ? 1.0f : 0.0f);
    for (int64_t i = 0; i < cols; ++i) {
      for (int64_t j = 0; j < cols; ++j) {
        for (int64_t s = 0; s < 3 * cols; ++s) hessian[i * cols + j] += x[s * cols + i] * x[s * cols + j];
      }
    }
    hessians_[name] = hessian;
  }
  std::vector<TensorJob> jobs(int64_t stride = 1) const {
    std::vector<TensorJob> result;
    const std::vector<ParamSpec>& specs = store_.table->specs();
    for (size_t i = 0; i < specs.size(); ++i) {
      PackRule rule{.bits = i % 2 == 0 ? 6 : 4, .clip_sigmas = i % 2 == 0 ? 12.85 : 3.5};
      if (i % 5 == 4) rule.quantiser = Quantiser::kClipRow;
      if (specs[i].shape.rank() == 2 && specs[i].shape[0] >= 16)
        result.push_back({.tensor = i, .rule = rule, .row_stride = stride});
    }
    return result;
  }

  ParamStore store_;
  Model model_;
  Hessians hessians_;
};

void expect_same(const QuantisedTensor& a, const QuantisedTensor& b) {
  EXPECT_EQ(a.matrix.codes, b.matrix.codes);
  EXPECT_EQ(a.matrix.scales, b.matrix.scales);
  EXPECT_EQ(a.matrix.row_errors, b.matrix.row_errors);
  EXPECT_EQ(a.used, b.used);
}

TEST_F(ModelQuantiserTest, ManyAtOnceAsEachAlone) {
  const std::vector<TensorJob> all = jobs();
  ASSERT_GT(all.size(), 20u);  // more than twice the threads, so that they run side by side
  ModelQuantiser one(model_, hessians_, 1), four(model_, hessians_, 4), alone(model_, hessians_, 3);
  const std::vector<QuantisedTensor> expected = one.run(all, kQuiet), found = four.run(all, kQuiet);
  ASSERT_EQ(expected.size(), all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    SCOPED_TRACE(store_.table->specs()[all[i].tensor].name);
    expect_same(found[i], expected[i]);
    expect_same(alone.run({&all[i], 1}, kQuiet)[0], expected[i]);
    const bool blind = store_.table->specs()[all[i].tensor].name == "tok_emb.weight";
    EXPECT_EQ(expected[i].used,
              blind && all[i].rule.quantiser == Quantiser::kGptq ? Quantiser::kNearest : all[i].rule.quantiser);
  }
}

TEST_F(ModelQuantiserTest, ASampleIsItsRows) {
  ModelQuantiser quantiser(model_, hessians_, 2);
  const std::vector<QuantisedTensor> whole = quantiser.run(jobs(), kQuiet), sample = quantiser.run(jobs(3), kQuiet);
  for (size_t i = 0; i < whole.size(); ++i) {
    if (jobs()[i].rule.quantiser == Quantiser::kClipRow) continue;
    const QuantisedMatrix &w = whole[i].matrix, &s = sample[i].matrix;
    const size_t rows = w.scales.size(), cols = w.codes.size() / rows;
    ASSERT_EQ(s.scales.size(), (rows + 2) / 3);
    for (size_t r = 0; r < s.scales.size(); ++r) {
      EXPECT_EQ(s.scales[r], w.scales[3 * r]);
      EXPECT_EQ(s.row_errors[r], w.row_errors[3 * r]);
      EXPECT_TRUE(std::equal(&s.codes[r * cols], &s.codes[r * cols] + cols, &w.codes[3 * r * cols]));
    }
  }
}

TEST_F(ModelQuantiserTest, AnUnusableHessianIsNamedFromAnyThread) {
  hessians_.at("blocks.2.mlp.fc.weight")[5] = std::nanf("");
  ModelQuantiser quantiser(model_, hessians_, 4);
  testing::expect_error("Hessian of blocks.2.mlp.fc.weight: nan", [&] { quantiser.run(jobs(), kQuiet); });
}

}  // namespace
}  // namespace sixteen
