// Lanes: every operation against scalar C++, and the same bits from every instruction set that the machine has.
//
// Bites: results are compared by bits, so NaNs are compared as "both NaN" (their payload is the hardware's).
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "graph/cpu/gemm.h"
#include "tests/graph/simd_cases.h"

namespace sixteen::cpu {
namespace {

template <class T>
T tree_sum(const T* a) {
  T v[16];
  std::copy(a, a + 16, v);
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) v[i] += v[i + half];
  }
  return v[0];
}

template <class T>
T tree_max(const T* a) {
  T v[16];
  std::copy(a, a + 16, v);
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) v[i] = v[i] > v[i + half] ? v[i] : v[i + half];
  }
  return v[0];
}

template <class T>
std::vector<T> expected(const T* a, const T* b, const T* c) {
  std::vector<T> out(kSimdResults * 16);
  for (int i = 0; i < 16; ++i) {
    const T results[kSimdResults] = {
        a[i] + b[i],
        a[i] - b[i],
        a[i] * b[i],
        a[i] / b[i],
        -a[i],
        std::fma(a[i], b[i], c[i]),
        std::fma(-a[i], b[i], c[i]),
        std::sqrt(std::abs(a[i])),
        std::abs(a[i]),
        a[i] > b[i] ? a[i] : b[i],
        a[i] < b[i] ? a[i] : b[i],
        T(a[i] < b[i] ? 1 : 2),
        T(a[i] <= b[i] ? 1 : 2),
        T(a[i] == b[i] ? 1 : 2),
        T(a[i] < b[i] && b[i] < c[i] ? 1 : 2),
        T(a[i] < b[i] || b[i] < c[i] ? 1 : 2),
        tree_sum(a),
        tree_max(a),
        i < 5 ? a[i] : b[i],
        T(0),
    };
    for (int r = 0; r < kSimdResults; ++r) out[static_cast<size_t>(r * 16 + i)] = results[r];
  }
  return out;
}

template <class T>
bool same(T x, T y) {
  if (std::isnan(x) || std::isnan(y)) return std::isnan(x) && std::isnan(y);
  return x == y && std::signbit(x) == std::signbit(y);
}

template <class T>
void check_operations(void (*operations)(const T*, const T*, const T*, T*), const char* isa) {
  std::mt19937 random(7);
  const T specials[] = {T(0),
                        -T(0),
                        T(1),
                        std::numeric_limits<T>::infinity(),
                        -std::numeric_limits<T>::infinity(),
                        std::numeric_limits<T>::quiet_NaN(),
                        std::numeric_limits<T>::denorm_min(),
                        std::numeric_limits<T>::max()};
  std::normal_distribution<T> normal;
  for (int round = 0; round < 200; ++round) {
    T a[16], b[16], c[16];
    for (T* p : {a, b, c}) {
      for (int i = 0; i < 16; ++i) p[i] = round % 2 == 1 && random() % 4 == 0 ? specials[random() % 8] : normal(random);
    }
    std::vector<T> got(kSimdResults * 16);
    operations(a, b, c, got.data());
    const std::vector<T> want = expected(a, b, c);
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_TRUE(same(got[i], want[i])) << isa << " operation " << i / 16 << " lane " << i % 16 << ": " << got[i]
                                         << " instead of " << want[i];
    }
  }
}

TEST(Simd, EveryOperationOnEveryInstructionSet) {
  for (const char* isa : {"plain", "avx2", "avx512"}) {
    const char* before = isa_name();
    if (!set_isa(isa)) continue;
    EXPECT_STREQ(simd_cases().compiled_for, isa);
    check_operations<float>(simd_cases().operations, isa);
    check_operations<double>(simd_cases().operations64, isa);
    set_isa(before);
  }
}

TEST(Simd, PartialLoadsAndStoresTouchOnlyTheirLanes) {
  for (const char* isa : {"plain", "avx2", "avx512"}) {
    const char* before = isa_name();
    if (!set_isa(isa)) continue;
    for (int64_t n = 0; n <= 20; ++n) {
      const size_t lanes = static_cast<size_t>(std::min<int64_t>(n, 16));
      const std::vector<float> x(lanes, 3.5f);  // exactly as long: AddressSanitizer sees a read beyond
      std::vector<float> y(16, -1.0f), loaded(16, -1.0f);
      simd_cases().tail(x.data(), y.data(), n, loaded.data());
      for (size_t i = 0; i < 16; ++i) {
        EXPECT_EQ(y[i], i < lanes ? 3.5f : -1.0f) << isa << " n " << n << " lane " << i;
        EXPECT_EQ(loaded[i], i < lanes ? 3.5f : 0.0f) << isa << " n " << n << " lane " << i;
      }
    }
    set_isa(before);
  }
}

TEST(Isa, UnknownOrMissingNamesAreRefused) {
  const char* before = isa_name();
  EXPECT_FALSE(set_isa("sse9"));
  EXPECT_STREQ(isa_name(), before);
  EXPECT_TRUE(set_isa("plain"));
  EXPECT_STREQ(isa_name(), "plain");
  EXPECT_TRUE(set_isa(before));
}

}  // namespace
}  // namespace sixteen::cpu
