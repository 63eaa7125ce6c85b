// 16-bit conversions against their definitions: every 16-bit pattern there and back, every rounding boundary.
#include "formats/dtype.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sixteen {
namespace {

TEST(Dtype, NamesAndSizes) {
  for (int i = 0; i <= static_cast<int>(DType::kBool); ++i) {
    const DType dtype = static_cast<DType>(i);
    DType back = DType::kF64;
    ASSERT_TRUE(parse_dtype(dtype_name(dtype), &back)) << dtype_name(dtype);
    EXPECT_EQ(back, dtype);
  }
  EXPECT_EQ(dtype_name(DType::kBF16), "BF16");
  EXPECT_EQ(dtype_bytes(DType::kF64), 8u);
  EXPECT_EQ(dtype_bytes(DType::kBF16), 2u);
  EXPECT_EQ(dtype_bytes(DType::kBool), 1u);
  DType untouched = DType::kI8;
  EXPECT_FALSE(parse_dtype("F31", &untouched));
  EXPECT_EQ(untouched, DType::kI8);
}

// IEEE binary16 from its definition.
double half_value(uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

TEST(Dtype, EveryHalfThereAndBack) {
  for (uint32_t i = 0; i < 65536; ++i) {
    const uint16_t bits = static_cast<uint16_t>(i);
    const float value = f16_to_float(bits);
    if ((bits & 0x7c00) == 0x7c00) {
      if ((bits & 0x3ff) != 0) {
        EXPECT_TRUE(std::isnan(value));
        EXPECT_TRUE(std::isnan(f16_to_float(float_to_f16(value))));
        continue;
      }
      EXPECT_TRUE(std::isinf(value));
    } else {
      EXPECT_EQ(static_cast<double>(value), half_value(bits));
    }
    EXPECT_EQ(std::signbit(value), (bits & 0x8000) != 0);
    EXPECT_EQ(float_to_f16(value), bits);
  }
}

// Between two neighbours: below the middle goes down, above goes up, the middle goes to the even one.
TEST(Dtype, HalfRoundsToNearestEven) {
  for (uint16_t bits = 0; bits < 0x7bff; ++bits) {
    const float low = f16_to_float(bits), high = f16_to_float(static_cast<uint16_t>(bits + 1));
    const float middle = low + (high - low) / 2;  // exact: fp32 has 13 bits more
    const uint16_t even = (bits & 1) == 0 ? bits : static_cast<uint16_t>(bits + 1);
    ASSERT_EQ(float_to_f16(middle), even) << bits;
    ASSERT_EQ(float_to_f16(-middle), even | 0x8000) << bits;
    ASSERT_EQ(float_to_f16(std::nextafter(middle, 0.0f)), bits) << bits;
    ASSERT_EQ(float_to_f16(std::nextafter(middle, INFINITY)), bits + 1) << bits;
  }
  EXPECT_EQ(float_to_f16(65519.996f), 0x7bff);
  EXPECT_EQ(float_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_f16(-1e30f), 0xfc00);
  EXPECT_EQ(float_to_f16(1e-30f), 0);
}

TEST(Dtype, EveryBfloat16ThereAndBackAndRounded) {
  for (uint32_t i = 0; i < 65536; ++i) {
    const uint16_t bits = static_cast<uint16_t>(i);
    const float value = bf16_to_float(bits);
    EXPECT_EQ(std::bit_cast<uint32_t>(value), i << 16);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(value))));
      continue;
    }
    EXPECT_EQ(float_to_bf16(value), bits);
    if (std::isinf(value)) continue;
    const uint16_t even = (bits & 1) == 0 ? bits : static_cast<uint16_t>(bits + 1);
    EXPECT_EQ(float_to_bf16(std::bit_cast<float>(i << 16 | 0x8000)), even);
    EXPECT_EQ(float_to_bf16(std::bit_cast<float>(i << 16 | 0x7fff)), bits);
    EXPECT_EQ(float_to_bf16(std::bit_cast<float>(i << 16 | 0x8001)), bits + 1);
  }
  EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(std::bit_cast<float>(0x7f800001u)))));
  EXPECT_EQ(round_to_bf16(1.00390625f), 1.0f);  // 1 + 2^-8, a tie
}

}  // namespace
}  // namespace sixteen
