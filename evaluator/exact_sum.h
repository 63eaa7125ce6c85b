// The exact sum of floats, rounded once: the same for every order of the terms, and what Python's math.fsum gives.
//
// One integer a float exponent holds the mantissas of all terms that have it; the value is their weighted sum.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace sixteen {

class ExactSum {
 public:
  void add(std::span<const float> terms);  // finite; at most 2^38 terms in all
  double value() const;                    // nearest double, ties to even

 private:
  std::array<int64_t, 255> mantissas_{};  // by biased exponent
};

}  // namespace sixteen
