// Corrections of a packed matrix, stored as tensors of their own beside it: what X stands for is
//   value[i][j] * 2^(steps[j] / 4) + sum over k, in order, of a[k][i] * b[k][j],   then rounded to bf16 where X is marked for it,
// with the tensors "X+steps" [1, cols], "X+a" [rank, rows] and "X+b" [rank, cols], each of which may be absent (a and b together).
//
// Bites: every product and sum is one rounded fp32 operation, in the order written: the same bits everywhere.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "formats/artifact.h"

namespace sixteen {

constexpr int kMostQuarters = 15;  // of a step, either way
constexpr int64_t kMostRank = 64;  // of a and b
constexpr const char* kStepsSuffix = "+steps";
constexpr const char* kRowFactorsSuffix = "+a";
constexpr const char* kColumnFactorsSuffix = "+b";

// Whether a tensor of this name corrects another one.
inline bool is_correction(const std::string& name) { return name.find('+') != std::string::npos; }

// 2^(quarters / 4) in fp32: the table of the four quarters' nearest values times a power of two.
float step_factor(int quarters);

// The artifact's tensors that are no corrections. Throws Error (where, tensor) when a correction is of nothing with codes, has another
// shape or kind than it must, or stands alone, and when steps have another scale than 1, are beyond 15 quarters or all 0.
std::vector<const PackedTensor*> corrected_tensors(const Artifact& artifact, const std::string& where);

// What one of them stands for, [numel].
std::vector<float> corrected_values(const Artifact& artifact, const PackedTensor& tensor);

}  // namespace sixteen
