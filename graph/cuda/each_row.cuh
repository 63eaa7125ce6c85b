// One thread a pack of a row: for ops in which no element needs its neighbours' results.
//
// Bites: row and column are found by a 32-bit division (as a multiplication), so there may be at most 2^31 packs.
#pragma once

#include "graph/cuda/pack.cuh"

namespace sixteen::cuda {

constexpr int kRowThreads = 256;

template <int V, class Body>
__global__ void __launch_bounds__(kRowThreads) each_row_pack(uint32_t packs, uint32_t packs_a_row, Divider divider, Body body) {
  const uint32_t i = blockIdx.x * kRowThreads + threadIdx.x;
  if (i >= packs) return;
  const uint32_t row = divider.quotient(i);
  body(std::integral_constant<int, V>(), int64_t{row}, int64_t{i} * V, static_cast<int>(i - row * packs_a_row) * V);
}

template <int V, class Body>
void each_row_of_packs(Launch& l, int64_t rows, int64_t dim, Body body) {
  const int64_t packs = rows * dim / V;
  CHECK(packs < (int64_t{1} << 31));
  launch(l, each_row_pack<V, Body>, static_cast<unsigned>(ceil_div(packs, kRowThreads)), kRowThreads, 0,
         static_cast<uint32_t>(packs), static_cast<uint32_t>(dim / V), Divider(dim / V), body);
}

// body(width, row, element, column): width is a std::integral_constant, 16 bytes of T if `wide`, else one element.
template <class T, class Body>
void each_row(Launch& l, bool wide, int64_t rows, int64_t dim, Body body) {
  if (wide) each_row_of_packs<kWide<T>>(l, rows, dim, body);
  else each_row_of_packs<1>(l, rows, dim, body);
}

}  // namespace sixteen::cuda
