// Sums over rows in a fixed order, fused with whatever else a pass over the rows does.
//
// Pass 1: the rows are cut into at most kRowParts parts; a block of 32 x 8 threads walks one part of one band of columns and
// leaves partial sums [part, sum, dim]. Pass 2 adds the parts up in a fixed order. Pass 3, where an op has one, is a single block.
// Floor: the bytes of pass 1; the partial sums are under 1 % of them at the model's shapes.
// Bites: parts depend on the number of rows alone, never on the card, so the bits are the same on every card.
#pragma once

#include "graph/cuda/pack.cuh"

namespace sixteen::cuda {

constexpr int64_t kRowParts = 1056;  // eight a multiprocessor of an H100: whatever fits at a time, the last ones are few
constexpr int kSumLanes = 32, kSumRows = 8;  // a block: columns' packs x rows

// A pass over rows in three steps, so that the loads of a row are under way while the row before is computed and stored: what a
// column needs (prepare), what a row's pack is made of (fetch), and the rest (use). `use` may store what other rows do not fetch.
template <class Prepare, class Fetch, class Use>
struct RowSteps {
  Prepare prepare;  // (width, column)
  Fetch fetch;      // (width, element)
  Use use;          // (width, row, element, column, prepared, fetched, sums[S])
};

template <int S, int V, class Steps>
__global__ void __launch_bounds__(kSumLanes* kSumRows) sum_rows_part(int64_t rows, int64_t rows_a_part, int dim, float* parts,
                                                                     Steps steps) {
  constexpr std::integral_constant<int, V> width;
  const int column = (blockIdx.y * kSumLanes + threadIdx.x) * V;
  Floats<V> sums[S];
#pragma unroll
  for (int s = 0; s < S; ++s) {
#pragma unroll
    for (int i = 0; i < V; ++i) sums[s].v[i] = 0;
  }
  const int64_t first = blockIdx.x * rows_a_part, end = min(rows, first + rows_a_part);
  if (column < dim) {
    int64_t row = first + threadIdx.y;
    const auto prepared = steps.prepare(width, column);
    auto next = steps.fetch(width, min(row, rows - 1) * dim + column);
    for (; row < end; row += kSumRows) {
      const auto fetched = next;
      next = steps.fetch(width, min(row + kSumRows, rows - 1) * dim + column);
      steps.use(width, row, row * dim + column, column, prepared, fetched, sums);
    }
  }
  __shared__ float shared[kSumRows][kSumLanes * V];
#pragma unroll
  for (int s = 0; s < S; ++s) {
#pragma unroll
    for (int i = 0; i < V; ++i) shared[threadIdx.y][threadIdx.x * V + i] = sums[s].v[i];
    __syncthreads();
    for (int i = threadIdx.y * kSumLanes + threadIdx.x; i < kSumLanes * V; i += kSumLanes * kSumRows) {
      float total = 0;
#pragma unroll
      for (int y = 0; y < kSumRows; ++y) total += shared[y][i];
      const int c = blockIdx.y * kSumLanes * V + i;
      if (c < dim) parts[(int64_t{blockIdx.x} * S + s) * dim + c] = total;
    }
    __syncthreads();
  }
}

// finish(column of all S * dim, sum)
template <class Finish>
__global__ void __launch_bounds__(1024) sum_parts(int64_t parts, int columns, const float* partial, Finish finish) {
  __shared__ float shared[32][32];
  const int lane = threadIdx.x % 32, group = threadIdx.x / 32, column = blockIdx.x * 32 + lane;
  float total = 0;
  if (column < columns) {
#pragma unroll 11  // 33 rounds of the most parts
    for (int64_t p = group; p < parts; p += 32) total += partial[p * columns + column];
  }
  shared[group][lane] = total;
  __syncthreads();
  if (group != 0 || column >= columns) return;
#pragma unroll
  for (int g = 1; g < 32; ++g) total += shared[g][lane];
  finish(column, total);
}

// The steps for every pack of every row; then finish(s * dim + column, sum).
template <int S, class T, class Prepare, class Fetch, class Use, class Finish>
void sum_rows(Launch& l, bool wide, int64_t rows, int64_t dim, Prepare prepare, Fetch fetch, Use use, Finish finish) {
  using Steps = RowSteps<Prepare, Fetch, Use>;
  const int64_t rows_a_part = std::max<int64_t>(kSumRows, ceil_div(rows, kRowParts)), parts = ceil_div(rows, rows_a_part);
  float* partial = l.scratch<float>(parts * S * dim);
  const auto pass = [&](auto width) {
    constexpr int V = decltype(width)::value;
    const dim3 grid(static_cast<unsigned>(parts), static_cast<unsigned>(ceil_div(dim, kSumLanes * V)));
    launch(l, sum_rows_part<S, V, Steps>, grid, dim3(kSumLanes, kSumRows), 0, rows, rows_a_part, static_cast<int>(dim), partial,
           Steps{prepare, fetch, use});
  };
  if (wide) pass(std::integral_constant<int, kWide<T>>());
  else pass(std::integral_constant<int, 1>());
  launch(l, sum_parts<Finish>, static_cast<unsigned>(ceil_div(S * dim, 32)), 1024, 0, parts, static_cast<int>(S * dim),
         static_cast<const float*>(partial), finish);
}

struct Nothing {
  template <class... Any>
  __device__ Nothing operator()(Any...) const {
    return {};
  }
};

// The same in one step: body(width, row, element, column, sums[S]).
template <int S, class T, class Body, class Finish>
void sum_rows(Launch& l, bool wide, int64_t rows, int64_t dim, Body body, Finish finish) {
  const auto use = [=] __device__(auto width, int64_t row, int64_t at, int column, Nothing, Nothing, auto* sums) {
    body(width, row, at, column, sums);
  };
  sum_rows<S, T>(l, wide, rows, dim, Nothing(), Nothing(), use, finish);
}

}  // namespace sixteen::cuda
