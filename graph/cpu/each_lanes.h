// The loop over a row or a range, sixteen lanes at a time, for sources in GRAPH_ISA_SOURCES (isa.h).
#pragma once

#include "graph/cpu/simd.h"

namespace sixteen::cpu::SIXTEEN_ISA {

// f(i, n) for i = 0, 16, ...: n = 16, which the compiler knows, except for the rest at the end. For Lanes<T>::load(p + i, n).
template <class F>
inline __attribute__((always_inline)) void each_lanes(int64_t count, F f) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) f(i, int64_t{kLanes});
  if (i < count) f(i, count - i);
}

}  // namespace sixteen::cpu::SIXTEEN_ISA
