// Small programs over Lanes, compiled once per instruction set, that simd_test.cpp and vecmath_test.cpp compare.
//
// Bites: arrays are multiples of 16 long except where a tail is the point.
#pragma once

#include <cstdint>

#include "graph/cpu/isa.h"

namespace sixteen::cpu {

struct SimdCases {
  const char* compiled_for;
  // y[i] = f(x[i]), n a multiple of 16.
  void (*exp)(const float* x, float* y, int64_t n);
  void (*log)(const float* x, float* y, int64_t n);
  void (*tanh)(const float* x, float* y, int64_t n);
  void (*sigmoid)(const float* x, float* y, int64_t n);
  // Every lane operation on (a, b, c), 16 lanes each: writes kSimdResults x 16 numbers.
  void (*operations)(const float* a, const float* b, const float* c, float* out);
  void (*operations64)(const double* a, const double* b, const double* c, double* out);
  // Copies n < 16 lanes through a partial load and store; writes the 16 lanes loaded to `loaded`.
  void (*tail)(const float* x, float* y, int64_t n, float* loaded);
};

constexpr int kSimdResults = 20;

SIXTEEN_ISA_TABLE(SimdCases, simd_cases)

}  // namespace sixteen::cpu
