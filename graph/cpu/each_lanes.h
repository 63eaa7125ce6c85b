// The loop over a row or a range, sixteen lanes at a time, and where its results go, for sources in GRAPH_ISA_SOURCES (isa.h).
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

// out = value, or out += value; sums += value: n lanes.
template <class T>
void put(Lanes<T> value, T* out, bool add, int64_t n) {
  if (add) value = Lanes<T>::load(out, n) + value;
  value.store(out, n);
}

template <class T>
void accumulate(Lanes<T> value, T* sums, int64_t n) {
  (Lanes<T>::load(sums, n) + value).store(sums, n);
}

}  // namespace sixteen::cpu::SIXTEEN_ISA
