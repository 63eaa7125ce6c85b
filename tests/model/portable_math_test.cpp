// Our own exp, log, cos and sin in fp64: close to the C library's, and bits that every machine must give.
#include "model/portable_math.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sixteen {
namespace {

// A unit in the last place is up to 2.2e-16 of the value; the C library errs by less than one.
constexpr double kRelative = 1e-15;

TEST(PortableMath, ExpIsExp) {
  for (double x = 690; x > -699; x -= 0.0137) EXPECT_NEAR(portable_exp(x) / std::exp(x), 1, kRelative) << x;
  EXPECT_EQ(portable_exp(0), 1);
  EXPECT_EQ(portable_exp(-701), 0);
  EXPECT_EQ(portable_exp(-INFINITY), 0);
}

TEST(PortableMath, LogIsLog) {
  for (double x = 1e-300; x < 1e300; x *= 1.37) EXPECT_NEAR(portable_log(x), std::log(x), kRelative * std::abs(std::log(x))) << x;
  for (double x = 0.5; x < 2; x += 0.00137) EXPECT_NEAR(portable_log(x), std::log(x), kRelative) << x;
  EXPECT_EQ(portable_log(1), 0);
}

TEST(PortableMath, CosAndSinAreCosAndSin) {
  for (double x = -20; x < 20; x += 0.0013) {
    EXPECT_NEAR(portable_cos(x), std::cos(x), kRelative) << x;
    EXPECT_NEAR(portable_sin(x), std::sin(x), kRelative) << x;
  }
  for (double x = 1; x < 1e6; x *= 1.0137) {  // the third part of pi / 2 ends at 2^-117, times n of up to 2^20
    EXPECT_NEAR(portable_cos(x), std::cos(x), kRelative) << x;
    EXPECT_NEAR(portable_sin(-x), std::sin(-x), kRelative) << x;
  }
  EXPECT_EQ(portable_cos(0), 1);
  EXPECT_EQ(portable_sin(0), 0);
}

TEST(PortableMath, PowIsPow) {
  for (int j = 0; j < 32; ++j) EXPECT_NEAR(portable_pow(10000, -j / 32.0) / std::pow(10000, -j / 32.0), 1, 1e-14) << j;
}

TEST(PortableMath, HasItsBits) {
  EXPECT_EQ(portable_exp(-1), 0x1.78b56362cef38p-2);
  EXPECT_EQ(portable_exp(-20.25), 0x1.b93de1e27ca3bp-30);
  EXPECT_EQ(portable_log(10000), 0x1.26bb1bbb55516p+3);
  EXPECT_EQ(portable_cos(2047), 0x1.ff6ab69ab99fap-3);
  EXPECT_EQ(portable_sin(1), 0x1.aed548f090ceep-1);
}

}  // namespace
}  // namespace sixteen
