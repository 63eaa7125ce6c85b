// Element types and 16-bit conversions in plain integer arithmetic, so every compiler and CPU gives the same bits.
//
// Bites: _Float16 and F16C would do the same, but clang 14 has the former only with AVX512-FP16.
#include "formats/dtype.h"

#include "formats/check.h"

namespace sixteen {
namespace {

static_assert(std::endian::native == std::endian::little, "every format here is little-endian and read in place");

struct Entry {
  DType dtype;
  size_t bytes;
  std::string_view name;
};

constexpr Entry kEntries[] = {
    {DType::kF64, 8, "F64"}, {DType::kF32, 4, "F32"}, {DType::kF16, 2, "F16"}, {DType::kBF16, 2, "BF16"},
    {DType::kI64, 8, "I64"}, {DType::kI32, 4, "I32"}, {DType::kI16, 2, "I16"}, {DType::kI8, 1, "I8"},
    {DType::kU8, 1, "U8"},   {DType::kBool, 1, "BOOL"},
};

const Entry& entry(DType dtype) {
  const size_t index = static_cast<size_t>(dtype);
  CHECK(index < std::size(kEntries) && kEntries[index].dtype == dtype);
  return kEntries[index];
}

}  // namespace

size_t dtype_bytes(DType dtype) { return entry(dtype).bytes; }

std::string_view dtype_name(DType dtype) { return entry(dtype).name; }

bool parse_dtype(std::string_view name, DType* dtype) {
  for (const Entry& candidate : kEntries) {
    if (candidate.name == name) {
      *dtype = candidate.dtype;
      return true;
    }
  }
  return false;
}

float bf16_to_float(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

uint16_t float_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16 & 0x8000u) | 0x7fc0u);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

float f16_to_float(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = bits >> 10 & 0x1fu;
  const uint32_t mantissa = bits & 0x3ffu;
  if (exponent == 0) {  // zero and subnormals: a multiple of 2^-24, exact in fp32
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
  }
  const uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | mantissa << 13);
}

uint16_t float_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000u;
  uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 65520 and above round to infinity
  if (magnitude < 0x38800000u) {
    // Subnormal: adding 0.5, whose last bit is worth 2^-24, lets the FPU round to the nearest multiple of 2^-24.
    const float rounded = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(rounded) - 0x3f000000u));
  }
  magnitude += 0xfffu + (magnitude >> 13 & 1u);
  return static_cast<uint16_t>(sign | (magnitude - 0x38000000u) >> 13);
}

}  // namespace sixteen
