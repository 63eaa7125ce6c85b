// Our own coder of 16-bit floating-point values that come in tensors: the scales of quantised rows, and small plain tensors.
//
// A value is coded as its sign, and its remaining 15 bits, read as an integer, as the difference to a prediction: fp16 and
// bf16 patterns are nearly logarithms, so that equal ratios are equal differences. The prediction is learned: the mean so
// far, the value before, and what the last two tensors of the same length had at the same place. docs/FORMATS.md 6.3.
//
// Bites: one damaged bit changes all values behind it, and nothing here notices; the artifact's SHA-256 does.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "formats/codec.h"

namespace sixteen {

struct ValueTensor {
  std::vector<uint16_t> values;  // their bits; not empty
  bool low_halves = false;  // of fp32 values, whose high halves are a tensor before: these learn only from their like
};

Bytes encode_values(std::span<const ValueTensor> tensors);

// Fills `values`, whose sizes say how many there are. Throws Error ("stream NAME: ...") when the code is longer than they need
// or too short for that many: a byte holds 283 at most.
void decode_values(std::span<const std::byte> coded, const std::string& name, std::span<ValueTensor> tensors);

// Throws that Error; to be asked before memory is taken for the values.
void check_value_count(std::span<const std::byte> coded, const std::string& name, uint64_t values);

}  // namespace sixteen
