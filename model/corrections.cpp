// See corrections.h.
#include "model/corrections.h"

#include <algorithm>
#include <cmath>

#include "formats/check.h"
#include "formats/error.h"

namespace sixteen {
namespace {

const PackedTensor* find(const Artifact& artifact, const std::string& name) {
  const auto found = std::ranges::find(artifact.tensors, name, &PackedTensor::name);
  return found == artifact.tensors.end() ? nullptr : &*found;
}

void check_correction(const Artifact& artifact, const PackedTensor& tensor, const std::string& where) {
  const size_t plus = tensor.name.find('+');
  const std::string base = tensor.name.substr(0, plus), suffix = tensor.name.substr(plus);
  const PackedTensor* of = find(artifact, base);
  const auto refuse = [&](const auto&... what) { fail(where, ": tensor ", tensor.name, ": ", what...); };
  if (of == nullptr || of->bits == 0 || of->shape.size() != 2)
    refuse("a correction of ", base, ", which is no matrix of codes here");
  const bool rows = suffix == kRowFactorsSuffix, columns = suffix == kColumnFactorsSuffix;
  if (!rows && !columns && suffix != kStepsSuffix) refuse("expected a name with +steps, +a or +b");
  if (tensor.bits == 0 || tensor.trellis || tensor.round_bf16) refuse("a correction has plain codes");
  const PackedTensor* other = rows      ? find(artifact, base + kColumnFactorsSuffix)
                              : columns ? find(artifact, base + kRowFactorsSuffix)
                                        : nullptr;
  if ((rows || columns) && (other == nullptr || other->shape.empty())) refuse("expected the other factor beside it");
  const int64_t rank = rows || columns ? other->shape[0] : 1;
  if (rank > kMostRank) refuse("expected a rank of at most ", kMostRank, ", found ", rank);
  if (tensor.shape != std::vector<int64_t>{rank, rows ? of->shape[0] : of->shape[1]}) {
    refuse("expected the shape [", rank, ", ", rows ? of->shape[0] : of->shape[1], "]");
  }
  if (rows || columns) return;
  const auto in_range = [](int8_t step) { return step >= -kMostQuarters && step <= kMostQuarters; };
  if (tensor.scales != std::vector<uint16_t>{0x3c00} || !std::ranges::all_of(tensor.codes, in_range) ||
      std::ranges::count(tensor.codes, 0) == std::ssize(tensor.codes)) {
    refuse("expected steps of -", kMostQuarters, " to ", kMostQuarters, ", not all 0, with the scale 1");
  }
}

}  // namespace

float step_factor(int quarters) {
  constexpr float kQuarters[] = {0x1p0f, 0x1.306fep0f, 0x1.6a09e6p0f, 0x1.ae89fap0f};
  return std::ldexp(kQuarters[quarters & 3], quarters >> 2);
}

std::vector<const PackedTensor*> corrected_tensors(const Artifact& artifact, const std::string& where) {
  std::vector<const PackedTensor*> result;
  for (const PackedTensor& tensor : artifact.tensors) {
    if (is_correction(tensor.name))
      check_correction(artifact, tensor, where);
    else
      result.push_back(&tensor);
  }
  return result;
}

std::vector<float> corrected_values(const Artifact& artifact, const PackedTensor& tensor) {
  const PackedTensor *steps = find(artifact, tensor.name + kStepsSuffix),
                     *a = find(artifact, tensor.name + kRowFactorsSuffix);
  if (steps == nullptr && a == nullptr) return tensor.dequantise();
  std::vector<float> values = tensor.unrounded();
  const size_t rows = static_cast<size_t>(tensor.rows()), cols = values.size() / rows;
  for (size_t j = 0; steps != nullptr && j < cols; ++j) {
    const float factor = step_factor(steps->codes[j]);
    for (size_t i = 0; i < rows; ++i) values[i * cols + j] *= factor;
  }
  if (a != nullptr) {
    const std::vector<float> row = a->dequantise(),
                             column = find(artifact, tensor.name + kColumnFactorsSuffix)->dequantise();
    for (size_t k = 0; k < row.size() / rows; ++k) {
      for (size_t i = 0; i < rows; ++i) {
        for (size_t j = 0; j < cols; ++j) values[i * cols + j] += row[k * rows + i] * column[k * cols + j];
      }
    }
  }
  if (tensor.round_bf16) {
    for (float& value : values) value = round_to_bf16(value);
  }
  return values;
}

}  // namespace sixteen
