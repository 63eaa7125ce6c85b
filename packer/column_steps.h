// Columns whose codes have steps of their own: AWQ-lite's promoted groups (#1908), and steps in proportion to what an error costs.
//
// With errors made up for by later columns, the whole error is the sum of e_j^2 / U_jj^2 (gptq.h), the bits that of -log2 of the steps: at
// high rates the least of one at a given other has steps in proportion to U_jj, by the mean of logarithms and that of squares.
// Promotion ranks groups of columns by the sum of rms(input) * mean |weight| over all matrices below 8 bits and quarters the steps of
// the first: what takes a weight from int6 to int8. The record gives its group scales of its own; ours keep the row's.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "model/calibration.h"
#include "model/checkpoint.h"
#include "model/corrections.h"
#include "packer/gptq.h"
#include "packer/pack_rules.h"

namespace sixteen {

struct AwqConfig {
  int64_t groups = 0;  // of the whole model; 0: none
  int64_t width = 64;  // columns
};

// [cols] in quarter octaves, original order; their mean is about 0.
std::vector<int8_t> proportional_steps(const GptqFactor& factor);

// Steps of the tensors with promoted groups, by index in the table. Tensors without a Hessian have no groups.
std::map<size_t, std::vector<int8_t>> promoted_groups(const Model& model, const Hessians& hessians,
                                                      std::span<const PackRule> by_tensor, const AwqConfig& config);

}  // namespace sixteen
