// Codes as quantised matrices have them: normal draws, every column with a width of its own.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace sixteen::testing {

// spread: deviation of the logarithm of the columns' widths. Boxes of std::normal_distribution differ by library: the draws are our own.
inline std::vector<int8_t> draw_codes(size_t rows, size_t cols, int bits, double deviation, double spread,
                                      uint32_t seed) {
  std::mt19937 random(seed);
  const auto normal = [&random] {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += random() / 4294967296.0;
    return sum;
  };
  std::vector<double> widths(cols);
  for (double& width : widths) width = deviation * std::exp(spread * normal());
  const double limit = (1 << (bits - 1)) - 1;
  std::vector<int8_t> codes(rows * cols);
  for (size_t i = 0; i < codes.size(); ++i) {
    codes[i] = static_cast<int8_t>(std::lround(std::clamp(widths[i % cols] * normal(), -limit, limit)));
  }
  return codes;
}

}  // namespace sixteen::testing
