// Element types of tensors, in files and in graphs, and the 16-bit floating-point conversions.
//
// Bites: conversions round to nearest even and keep NaN a NaN; a NaN's payload is not kept.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sixteen {

enum class DType : uint8_t { kF64, kF32, kF16, kBF16, kI64, kI32, kI16, kI8, kU8, kBool };

// Bytes of one element.
size_t dtype_bytes(DType dtype);

// The safetensors name: "F32", "BF16", "I8", ...
std::string_view dtype_name(DType dtype);

// The type of that name; false when there is none.
bool parse_dtype(std::string_view name, DType* dtype);

float bf16_to_float(uint16_t bits);
uint16_t float_to_bf16(float value);
float f16_to_float(uint16_t bits);
uint16_t float_to_f16(float value);

// value rounded to the nearest bfloat16, as a float.
inline float round_to_bf16(float value) { return bf16_to_float(float_to_bf16(value)); }

}  // namespace sixteen
