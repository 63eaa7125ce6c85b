// Corrections of packed matrices: the arithmetic to the bit, and every way in which they can be wrong.
#include "model/corrections.h"

#include <gtest/gtest.h>

#include <cmath>

#include "formats/dtype.h"
#include "model/checkpoint.h"
#include "tests/support/bytes.h"
#include "tests/support/tiny_model.h"

namespace sixteen {
namespace {

using testing::expect_error;

PackedTensor codes(const std::string& name, std::vector<int64_t> shape, std::vector<int8_t> values,
                   const std::vector<float>& scales) {
  PackedTensor tensor;
  tensor.name = name;
  tensor.shape = std::move(shape);
  tensor.bits = 6;
  tensor.codes = std::move(values);
  for (const float scale : scales) tensor.scales.push_back(float_to_f16(scale));
  return tensor;
}

Artifact sample() {
  Artifact artifact;
  artifact.tensors = {codes("w", {2, 3}, {1, -2, 3, 4, 5, -6}, {0.5f, 0.3f}), codes("w+steps", {1, 3}, {0, -8, 3}, {1}),
                      codes("w+a", {2, 2}, {1, 2, -3, 1}, {0.1f, 0.01f}),
                      codes("w+b", {2, 3}, {1, 0, 2, 7, -7, 1}, {0.2f, 0.7f})};
  return artifact;
}

TEST(Corrections, StepFactorsAreQuarterOctaves) {
  for (int quarters = -60; quarters <= 60; ++quarters) {
    EXPECT_NEAR(step_factor(quarters) / std::exp2(quarters / 4.0), 1, 0x1p-24) << quarters;
    EXPECT_EQ(step_factor(quarters + 4), 2 * step_factor(quarters));
  }
  EXPECT_EQ(step_factor(-8), 0.25f);
}

TEST(Corrections, ValuesAreStepsThenFactorsInOrder) {
  Artifact artifact = sample();
  const std::vector<const PackedTensor*> tensors = corrected_tensors(artifact, "x.s16");
  ASSERT_EQ(tensors.size(), 1u);
  std::vector<float> expected = artifact.tensors[0].dequantise();
  const std::vector<float> a = artifact.tensors[2].dequantise(), b = artifact.tensors[3].dequantise();
  for (size_t i = 0; i < 2; ++i) {
    for (size_t j = 0; j < 3; ++j) {
      volatile float value = expected[3 * i + j] * step_factor(artifact.tensors[1].codes[j]);
      for (size_t k = 0; k < 2; ++k) {
        volatile float product = a[2 * k + i] * b[3 * k + j];
        value = value + product;
      }
      expected[3 * i + j] = value;
    }
  }
  EXPECT_EQ(corrected_values(artifact, artifact.tensors[0]), expected);
  artifact.tensors[0].round_bf16 = true;
  for (float& value : expected) value = round_to_bf16(value);
  EXPECT_EQ(corrected_values(artifact, artifact.tensors[0]), expected);
  artifact.tensors.resize(1);
  EXPECT_EQ(corrected_values(artifact, artifact.tensors[0]), artifact.tensors[0].dequantise());
}

TEST(Corrections, WhatDoesNotFitIsRefused) {
  const auto refused = [](const std::string& part, auto spoil) {
    Artifact artifact = sample();
    spoil(&artifact.tensors);
    expect_error(part, [&] { corrected_tensors(artifact, "x.s16"); });
  };
  using Tensors = std::vector<PackedTensor>;
  refused("x.s16: tensor v+steps: a correction of v, which is no matrix of codes",
          [](Tensors* t) { (*t)[1].name = "v+steps"; });
  refused("tensor w+c: expected a name with +steps, +a or +b", [](Tensors* t) { (*t)[1].name = "w+c"; });
  refused("tensor w+steps: expected the shape [1, 3]", [](Tensors* t) { (*t)[1].shape = {3, 1}; });
  refused("tensor w+a: expected the other factor", [](Tensors* t) { t->pop_back(); });
  refused("tensor w+b: expected the other factor", [](Tensors* t) { t->erase(t->begin() + 2); });
  refused("tensor w+a: expected the shape [3, 2]", [](Tensors* t) { (*t)[3].shape = {3, 3}; });
  refused("tensor w+b: expected the shape [2, 3]", [](Tensors* t) { (*t)[3].shape = {2, 4}; });
  refused("tensor w+a: a correction has plain codes", [](Tensors* t) { (*t)[2].trellis = true; });
  refused("tensor w+a: a correction has plain codes", [](Tensors* t) { (*t)[2].bits = 0; });
  refused("tensor w+steps: a correction of w", [](Tensors* t) { (*t)[0].bits = 0; });
  refused("tensor w+steps: expected steps of -15 to 15, not all 0, with the scale 1", [](Tensors* t) {
    (*t)[1].codes = {0, 0, 0};
  });
  refused("tensor w+steps: expected steps", [](Tensors* t) { (*t)[1].codes = {0, 16, 0}; });
  refused("tensor w+steps: expected steps", [](Tensors* t) { (*t)[1].scales = {0x4000}; });
  refused("tensor w+a: expected a rank of at most 64, found 65",
          [](Tensors* t) { (*t)[2].shape[0] = (*t)[3].shape[0] = 65; });
  refused("tensor w+steps+a: expected a name with", [](Tensors* t) { (*t)[2].name = "w+steps+a"; });
}

}  // namespace
}  // namespace sixteen
