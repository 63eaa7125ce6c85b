// A quantised matrix, and what every quantiser of ours agrees on: the range of codes, rounding, and fp16 scales that are
// neither zero nor infinite.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "formats/check.h"
#include "formats/dtype.h"

namespace sixteen {

struct QuantisedMatrix {
  std::vector<int8_t> codes;     // [rows, cols], original column order
  std::vector<uint16_t> scales;  // fp16 [rows], positive
  std::vector<int8_t> steps{};   // [cols] in quarter octaves, original column order (model/corrections.h); empty: all 0
  std::vector<double>
      row_errors{};  // [rows] of gptq, tcq and nearest: what quantising did to each row, see gptq.h; else empty
};

constexpr uint16_t kSmallestF16 = 1;  // 2^-24: a scale that underflows to 0 would give NaN
constexpr uint16_t kLargestF16 = 0x7bff;

// The largest code of so many bits (2 to 8).
inline float code_limit(int bits) {
  CHECK(bits >= 2 && bits <= 8);
  return static_cast<float>((1 << (bits - 1)) - 1);
}

// Of a column with a step of its own: as much wider or narrower that the clip stays where it is. Odd, as without.
inline float column_limit(float limit, float factor) {
  return static_cast<float>((static_cast<int>(std::min(limit / factor, 127.0f)) - 1) | 1);
}

// The fewest bits that hold all codes.
inline int bits_of(const std::vector<int8_t>& codes) {
  int largest = 0, bits = 2;
  for (const int8_t code : codes) largest = std::max(largest, std::abs(int{code}));
  while (largest > (1 << (bits - 1)) - 1) ++bits;
  return bits;
}

// Ties to even.
inline float nearest_code(float weight, float scale, float limit) {
  return std::clamp(std::nearbyint(weight / scale), -limit, limit);
}

inline uint16_t f16_scale(float scale) { return std::clamp(float_to_f16(scale), kSmallestF16, kLargestF16); }

// The nearest fp16 value with the lowest 10 - bits of its mantissa 0 (ties up): such scales code in fewer bytes. bits: 1 to 10.
constexpr int kScaleBits = 10;
inline uint16_t coarse_scale(uint16_t scale, int bits) {
  const int zeros = kScaleBits - bits;
  const int rounded = (scale + ((1 << zeros) >> 1)) >> zeros << zeros;
  return rounded <= 0 || rounded > kLargestF16 ? scale : static_cast<uint16_t>(rounded);
}

}  // namespace sixteen
