// Values for kernel tests: random inputs, and two ways to compare results.
//
// Bites: random_values is the same on every machine; largest_difference lets a NaN through as a NaN.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace sixteen::testing {

template <class T>
std::vector<T> random_values(int64_t count, uint64_t seed, double size = 1) {
  std::vector<T> values(static_cast<size_t>(count));
  for (T& v : values) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    v = static_cast<T>(size * (static_cast<double>(seed >> 40) / 8388608.0 - 1.0));
  }
  return values;
}

template <class A, class B>
double largest_difference(const std::vector<A>& a, const std::vector<B>& b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::fabs(double(a[i]) - double(b[i]));
    if (!(difference <= largest)) largest = difference;
    if (std::isnan(largest)) break;
  }
  return largest;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

}  // namespace sixteen::testing
