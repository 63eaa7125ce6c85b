// Which instruction set the kernels run on, and how a kernel is compiled once for each of them.
//
// The scheme. A source named in CMakeLists.txt's GRAPH_ISA_SOURCES is compiled three times, each time with other
// compiler flags and another value of the macro SIXTEEN_ISA: plain (baseline x86-64, or any other CPU), avx2 (AVX2 +
// FMA) and avx512. Its functions live in `namespace sixteen::cpu::SIXTEEN_ISA`, use simd.h and vecmath.h, and are
// reached through a table of function pointers. A pair of files `row_kernels.h` and `row_kernels.cpp` looks so:
//
//   // row_kernels.h                                         // row_kernels.cpp  (listed in GRAPH_ISA_SOURCES)
//   struct RowKernels {                                      #include "graph/cpu/row_kernels.h"
//     void (*scale)(const float* x, float f, float* y,       #include "graph/cpu/simd.h"
//                   int64_t n);                              namespace sixteen::cpu::SIXTEEN_ISA {
//   };                                                       namespace {
//   SIXTEEN_ISA_TABLE(RowKernels, row_kernels)               void scale(const float* x, float f, float* y, ...) {...}
//                                                            }  // namespace
//   // any caller, in namespace sixteen::cpu                 const RowKernels& row_kernels() {
//   row_kernels().scale(x, f, y, n);                           static constexpr RowKernels table = {scale};
//                                                              return table;
//                                                            }
//                                                            }  // namespace sixteen::cpu::SIXTEEN_ISA
//
// Bites: such a source must not instantiate templates or inline functions that other sources also use (std::vector,
// std::function, std::min, ...): the linker keeps ONE copy of those, perhaps the AVX-512 one, and the program then dies
// on a smaller machine. Pointers, plain structs, simd.h, vecmath.h and __builtin functions only; threads and memory
// belong to the caller. test_graph's IsaObjects test looks for offenders.
// Bites: the choice is made a call at a time (isa() is one relaxed load); set_isa() while kernels run is a bug.
#pragma once

namespace sixteen::cpu {

enum class Isa { kPlain = 0, kAvx2 = 1, kAvx512 = 2 };

// The instruction set in use: the best of the machine, or lower by SIXTEEN_ISA=avx2|plain or set_isa() (gemm.h).
Isa isa();

}  // namespace sixteen::cpu

// Declares the three tables `const Type& name()` and the one in namespace sixteen::cpu that picks. Use inside
// sixteen::cpu.
#if defined(__x86_64__)
#define SIXTEEN_ISA_TABLE(Type, name)               \
  namespace plain {                                 \
  const Type& name();                               \
  }                                                 \
  namespace avx2 {                                  \
  const Type& name();                               \
  }                                                 \
  namespace avx512 {                                \
  const Type& name();                               \
  }                                                 \
  inline const Type& name() {                       \
    const Isa set = isa();                          \
    if (set == Isa::kAvx512) return avx512::name(); \
    if (set == Isa::kAvx2) return avx2::name();     \
    return plain::name();                           \
  }
#else
#define SIXTEEN_ISA_TABLE(Type, name) \
  namespace plain {                   \
  const Type& name();                 \
  }                                   \
  inline const Type& name() { return plain::name(); }
#endif
