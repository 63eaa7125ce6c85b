// exp, log, tanh, sigmoid of vecmath.h: error in ulp against double libm, special values, equal bits on every
// instruction set.
//
// Covers every 509th float of the whole range (8 million a function) plus dense stretches; the bounds are those of
// vecmath.h.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>
#include <vector>

#include "graph/cpu/gemm.h"
#include "tests/graph/simd_cases.h"

namespace sixteen::cpu {
namespace {

using Function = void (*)(const float*, float*, int64_t);

struct Case {
  const char* name;
  Function SimdCases::*function;
  double (*exact)(double);
  double max_ulp;
};

double exact_sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

const Case kCases[] = {
    {"exp", &SimdCases::exp, std::exp, 1.0},
    {"log", &SimdCases::log, std::log, 1.0},
    {"tanh", &SimdCases::tanh, std::tanh, 2.0},
    {"sigmoid", &SimdCases::sigmoid, exact_sigmoid, 2.0},
};

// |got - want| in units of want's last place as a float; infinite when one is NaN, or infinite without rounding to it.
double ulp_error(float got, double want) {
  const float rounded = static_cast<float>(want);
  if (std::isnan(rounded) || std::isnan(got)) {
    return std::isnan(rounded) && std::isnan(got) ? 0 : std::numeric_limits<double>::infinity();
  }
  if (std::isinf(rounded) || std::isinf(got)) {
    if (rounded == got) return 0;
    const float finite = std::isinf(rounded) ? got : rounded;  // the neighbour of infinity is 1 ulp away
    return std::abs(finite) == std::numeric_limits<float>::max() ? 1 : std::numeric_limits<double>::infinity();
  }
  const int exponent = std::max(std::ilogb(std::abs(want) > 0x1p-126 ? want : 0x1p-126), -126);
  return std::abs(static_cast<double>(got) - want) / std::ldexp(1.0, exponent - 23);
}

// All floats whose bits are `first`, first + step, ... up to 2^32, 4096 at a time.
template <class Visit>
void for_bit_patterns(uint64_t first, uint64_t last, uint64_t step, Visit visit) {
  std::vector<float> x;
  for (uint64_t pattern = first; pattern < last; pattern += step) {
    x.push_back(std::bit_cast<float>(static_cast<uint32_t>(pattern)));
    if (x.size() == 4096) {
      visit(x);
      x.clear();
    }
  }
  x.resize((x.size() + 15) / 16 * 16, 0.5f);
  if (!x.empty()) visit(x);
}

template <class Visit>
void for_test_inputs(Visit visit) {
  for_bit_patterns(0, uint64_t{1} << 32, 509, visit);
  for (float dense : {0.5f, 0.55f, 0.6666f, 1.0f, 1.3333f, 87.3f, 88.72f, 103.97f, 0.346574f}) {
    const uint64_t middle = std::bit_cast<uint32_t>(dense);
    for (uint64_t sign : {uint64_t{0}, uint64_t{1} << 31}) {
      for_bit_patterns(sign + middle - 20000, sign + middle + 20000, 1, visit);
    }
  }
}

class Vecmath : public testing::TestWithParam<Case> {};

TEST_P(Vecmath, StaysWithinItsUlpBound) {
  const Function function = simd_cases().*GetParam().function;
  double worst = 0;
  float worst_x = 0;
  for_test_inputs([&](const std::vector<float>& x) {
    std::vector<float> y(x.size());
    function(x.data(), y.data(), static_cast<int64_t>(x.size()));
    for (size_t i = 0; i < x.size(); ++i) {
      const double error = ulp_error(y[i], GetParam().exact(static_cast<double>(x[i])));
      if (error > worst) {
        worst = error;
        worst_x = x[i];
      }
    }
  });
  std::printf("%s: worst error %.3f ulp\n", GetParam().name, worst);
  EXPECT_LT(worst, GetParam().max_ulp) << "at x = " << std::hexfloat << worst_x;
}

TEST_P(Vecmath, HasTheSameBitsOnEveryInstructionSet) {
  const char* before = isa_name();
  ASSERT_TRUE(set_isa("plain"));
  const Function plain = simd_cases().*GetParam().function;
  for (const char* isa : {"avx2", "avx512"}) {
    if (!set_isa(isa)) continue;
    const Function other = simd_cases().*GetParam().function;
    for_test_inputs([&](const std::vector<float>& x) {
      std::vector<float> y(x.size()), z(x.size());
      plain(x.data(), y.data(), static_cast<int64_t>(x.size()));
      other(x.data(), z.data(), static_cast<int64_t>(x.size()));
      for (size_t i = 0; i < x.size(); ++i) {
        if (std::isnan(y[i]) && std::isnan(z[i])) continue;
        ASSERT_EQ(std::bit_cast<uint32_t>(y[i]), std::bit_cast<uint32_t>(z[i])) << isa << " x " << x[i];
      }
    });
  }
  set_isa(before);
}

INSTANTIATE_TEST_SUITE_P(Functions, Vecmath, testing::ValuesIn(kCases),
                         [](const testing::TestParamInfo<Case>& one) { return std::string(one.param.name); });

float at(Function SimdCases::*function, float value) {
  const std::vector<float> x(16, value);
  std::vector<float> y(16);
  (simd_cases().*function)(x.data(), y.data(), 16);
  return y[7];
}

TEST(VecmathSpecials, AreExact) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const char* before = isa_name();
  for (const char* isa : {"plain", "avx2", "avx512"}) {
    if (!set_isa(isa)) continue;
    EXPECT_EQ(at(&SimdCases::exp, -inf), 0.0f);
    EXPECT_EQ(at(&SimdCases::exp, inf), inf);
    EXPECT_EQ(at(&SimdCases::exp, 0.0f), 1.0f);
    EXPECT_EQ(at(&SimdCases::exp, -1e30f), 0.0f);
    EXPECT_TRUE(std::isnan(at(&SimdCases::exp, nan)));
    EXPECT_EQ(at(&SimdCases::log, 0.0f), -inf);
    EXPECT_EQ(at(&SimdCases::log, inf), inf);
    EXPECT_EQ(at(&SimdCases::log, 1.0f), 0.0f);
    EXPECT_TRUE(std::isnan(at(&SimdCases::log, -1.0f)));
    EXPECT_TRUE(std::isnan(at(&SimdCases::log, nan)));
    EXPECT_EQ(at(&SimdCases::tanh, inf), 1.0f);
    EXPECT_EQ(at(&SimdCases::tanh, -inf), -1.0f);
    EXPECT_TRUE(std::signbit(at(&SimdCases::tanh, -0.0f)));
    EXPECT_TRUE(std::isnan(at(&SimdCases::tanh, nan)));
    EXPECT_EQ(at(&SimdCases::sigmoid, inf), 1.0f);
    EXPECT_EQ(at(&SimdCases::sigmoid, -inf), 0.0f);
    EXPECT_EQ(at(&SimdCases::sigmoid, 0.0f), 0.5f);
    EXPECT_TRUE(std::isnan(at(&SimdCases::sigmoid, nan)));
  }
  set_isa(before);
}

}  // namespace
}  // namespace sixteen::cpu
