// How row ops are split over threads: grains of some thousand elements, and sums over rows in blocks of kRowBlock rows.
//
// Bites: the sums' order is fixed by kRowBlock alone: a block's rows in order, then the blocks in order. A thread count or a
// grain must never enter it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "graph/cpu/row_kernels.h"
#include "graph/cpu/threads.h"

namespace sixteen::cpu {

constexpr int64_t kElementGrain = 16384;  // elements: some microseconds of work, a multiple of the 16 lanes
constexpr int kBlockSumsSlot = 40;        // of ThreadPool::scratch
constexpr int kRowScratchSlot = 41;

// Rows that make about one grain.
inline int64_t row_grain(int64_t dim) { return std::max<int64_t>(1, kElementGrain / std::max<int64_t>(1, dim)); }

// Calls body(first row, end row, sums) once a block of rows, in parallel; each block's sums [width] start from 0 and are then
// added in block order. The total lies in the calling thread's scratch until the next call.
template <class T, class Body>
const T* sum_over_rows(ThreadPool& pool, int64_t rows, int64_t width, const Body& body) {
  const int64_t blocks = std::max<int64_t>(1, (rows + kRowBlock - 1) / kRowBlock);
  T* sums = static_cast<T*>(pool.scratch(static_cast<size_t>(blocks * width) * sizeof(T), kBlockSumsSlot));
  pool.parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      T* own = sums + block * width;
      std::fill(own, own + width, T(0));
      body(block * kRowBlock, std::min(rows, (block + 1) * kRowBlock), own);
    }
  });
  pool.parallel_for(width, std::max<int64_t>(16, kElementGrain / blocks), [&](int64_t begin, int64_t end) {
    for (int64_t block = 1; block < blocks; ++block) {
      const T* own = sums + block * width;
      for (int64_t i = begin; i < end; ++i) sums[i] += own[i];
    }
  });
  return sums;
}

// sigmoid(gate) [dim] in the calling thread's scratch.
template <class T>
const T* open_gate(ThreadPool& pool, const T* gate, int64_t dim) {
  T* g = static_cast<T*>(pool.scratch(static_cast<size_t>(dim) * sizeof(T), kRowScratchSlot));
  row_kernels<T>().sigmoid(gate, g, dim);
  return g;
}

}  // namespace sixteen::cpu
