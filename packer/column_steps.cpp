// See column_steps.h.
#include "packer/column_steps.h"

#include <algorithm>
#include <cmath>

namespace sixteen {
namespace {

constexpr int8_t kQuarterStep = -8;  // two octaves

struct Group {
  double score;
  size_t tensor;
  int64_t begin, end;
};

// Scores of a tensor's groups, the last one perhaps narrower.
void add_groups(const ParamSpec& spec, size_t tensor, std::span<const float> weights, std::span<const float> hessian,
                double visits, int64_t width, std::vector<Group>* groups) {
  const int64_t rows = spec.shape[0], cols = spec.shape[1];
  std::vector<double> magnitudes(static_cast<size_t>(cols));
  for (int64_t i = 0; i < rows * cols; ++i) magnitudes[i % cols] += std::abs(weights[i]) / static_cast<double>(rows);
  for (int64_t begin = 0; begin < cols; begin += width) {
    Group group{.score = 0, .tensor = tensor, .begin = begin, .end = std::min(begin + width, cols)};
    for (int64_t j = begin; j < group.end; ++j) {
      group.score += std::sqrt(std::max(hessian[j * cols + j], 0.0f) / visits) * magnitudes[j];  // X^T X of all visits
    }
    groups->push_back(group);
  }
}

}  // namespace

std::vector<int8_t> proportional_steps(const GptqFactor& factor) {
  const size_t cols = factor.order.size();
  std::vector<double> logs(cols);
  double mean = 0;
  for (size_t i = 0; i < cols; ++i) {
    logs[static_cast<size_t>(factor.order[i])] = 4 * std::log2(factor.upper[i * cols + i]);
    mean += 4 * std::log2(factor.upper[i * cols + i]) / static_cast<double>(cols);
  }
  std::vector<int8_t> steps;
  for (const double log : logs) {
    steps.push_back(static_cast<int8_t>(std::clamp<long>(std::lround(log - mean), -kMostQuarters, kMostQuarters)));
  }
  return steps;
}

std::map<size_t, std::vector<int8_t>> promoted_groups(const Model& model, const Hessians& hessians,
                                                      std::span<const PackRule> by_tensor, const AwqConfig& config) {
  std::vector<Group> groups;
  const std::vector<ParamSpec>& specs = model.table->specs();
  for (size_t i = 0; config.groups > 0 && i < specs.size(); ++i) {
    const std::vector<float>* hessian = hessian_for(hessians, specs[i].name);
    if (by_tensor[i].bits == 0 || by_tensor[i].bits >= 8 || !takes_hessian(by_tensor[i].quantiser) ||
        hessian == nullptr)
      continue;
    add_groups(specs[i], i, model.store.tensor(specs[i].name), *hessian,
               static_cast<double>(tensor_visits(model.config, specs[i].name)), config.width, &groups);
  }
  std::ranges::stable_sort(groups, std::greater<>(), &Group::score);
  groups.resize(std::min<size_t>(groups.size(), static_cast<size_t>(config.groups)));
  std::map<size_t, std::vector<int8_t>> result;
  for (const Group& group : groups) {
    std::vector<int8_t>& steps = result[group.tensor];
    steps.resize(static_cast<size_t>(specs[group.tensor].shape[1]));
    std::fill(steps.begin() + group.begin, steps.begin() + group.end, kQuarterStep);
  }
  return result;
}

}  // namespace sixteen
