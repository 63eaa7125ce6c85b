// Embeddings, their gradient, bigram hashes, the last rows of windows.
//
// The gradient without float atomics: (id, row) pairs are sorted by id, stably; then a block a table row adds up its rows.
// Floor: one pass over dy and the touched rows; the sort of 98,304 pairs is some 30 us.
// Bites: sums have 16 lanes of every 16th occurrence, then the lanes in order: fixed, but not the CPU's order.
#include <cub/device/device_radix_sort.cuh>

#include "graph/cuda/each_row.cuh"
#include "graph/cuda/kernels.h"

namespace sixteen::cuda {
namespace {

constexpr int kSortLanes = 16;

__global__ void number(int32_t* rows, int count) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i < count) rows[i] = i;
}

__device__ inline int lower_bound(const int32_t* sorted, int count, int wanted) {
  int low = 0;
  while (count > 0) {
    const int half = count / 2;
    if (sorted[low + half] < wanted) {
      low += half + 1;
      count -= half + 1;
    } else {
      count = half;
    }
  }
  return low;
}

// Block (V columns a thread, kSortLanes occurrences at a time) of table row blockIdx.x.
template <int V, class T>
__global__ void __launch_bounds__(32 * kSortLanes) add_rows_of_id(const int32_t* ids, const int32_t* rows, int count, const T* dy,
                                                                  float* dtable, int dim) {
  __shared__ float shared[kSortLanes][32 * V];
  const int id = blockIdx.x, first = lower_bound(ids, count, id), end = first + lower_bound(ids + first, count - first, id + 1);
  if (first == end) return;
  for (int base = 0; base < dim; base += 32 * V) {
    const int column = base + threadIdx.x * V;
    Floats<V> sum = {};
    if (column < dim) {
#pragma unroll 4
      for (int i = first + threadIdx.y; i < end; i += kSortLanes) {
        const Floats<V> d = load<V>(dy + int64_t{rows[i]} * dim + column);
#pragma unroll
        for (int j = 0; j < V; ++j) sum.v[j] += d.v[j];
      }
    }
#pragma unroll
    for (int j = 0; j < V; ++j) shared[threadIdx.y][threadIdx.x * V + j] = sum.v[j];
    __syncthreads();
    for (int c = threadIdx.y * 32 + threadIdx.x; c < 32 * V && base + c < dim; c += 32 * kSortLanes) {
      float total = 0;
      for (int y = 0; y < kSortLanes; ++y) total += shared[y][c];
      dtable[int64_t{id} * dim + base + c] += total;
    }
    __syncthreads();
  }
}

__global__ void bigram_kernel(const int32_t* ids, int32_t* index, int64_t rows, int64_t seq, int64_t buckets, int64_t multiplier,
                              bool own_previous) {
  const int64_t row = int64_t{blockIdx.x} * 256 + threadIdx.x;
  if (row >= rows) return;
  const int64_t id = ids[row], previous = row % seq != 0 ? ids[row - 1] : own_previous ? id : 0;
  index[row] = static_cast<int32_t>((previous * multiplier + id) % buckets);
}

// As the originals: products and XOR in 32 bits; the remainder is never negative.
__global__ void pair_kernel(const int32_t* ids, int32_t* index, int64_t rows, int64_t seq, int64_t modulus) {
  const int64_t row = int64_t{blockIdx.x} * 256 + threadIdx.x;
  if (row >= rows) return;
  if (row % seq == 0) {
    index[row] = static_cast<int32_t>(modulus);
    return;
  }
  const uint32_t mixed = 36313u * static_cast<uint32_t>(ids[row]) ^ 27191u * static_cast<uint32_t>(ids[row - 1]);
  const int64_t remainder = int64_t{static_cast<int32_t>(mixed)} % modulus;
  index[row] = static_cast<int32_t>(remainder < 0 ? remainder + modulus : remainder);
}

unsigned blocks(int64_t count) { return static_cast<unsigned>(ceil_div(count, 256)); }

}  // namespace

template <class From, class To>
void embedding(Launch& l, const int32_t* ids, const From* table, To* y, int64_t rows, int64_t dim) {
  const bool wide = dim % kWide<bf16> == 0 && aligned16(table, y);
  each_row<bf16>(l, wide, rows, dim, [=] __device__(auto width, int64_t row, int64_t at, int column) {
    constexpr int V = decltype(width)::value;
    store<V>(load<V>(table + int64_t{ids[row]} * dim + column), y + at);
  });
}

template <class T>
void embedding_grad(Launch& l, const int32_t* ids, const T* dy, float* dtable, int64_t rows, int64_t dim, int64_t vocab) {
  const int count = static_cast<int>(rows);
  int bits = 1;
  while ((int64_t{1} << bits) < vocab) ++bits;
  int32_t* numbers = l.scratch<int32_t>(rows);
  int32_t* sorted_ids = l.scratch<int32_t>(rows);
  int32_t* sorted_rows = l.scratch<int32_t>(rows);
  const auto sort = [&](void* memory, size_t* bytes) {
    SIXTEEN_CUDA_CHECK(cub::DeviceRadixSort::SortPairs(memory, *bytes, ids, sorted_ids, numbers, sorted_rows, count, 0, bits, l.stream));
  };
  size_t bytes = 0;
  sort(nullptr, &bytes);
  std::byte* memory = l.scratch<std::byte>(static_cast<int64_t>(bytes));
  launch(l, number, blocks(rows), 256, 0, numbers, count);
  if (!l.dry) sort(memory, &bytes);
  const dim3 grid(static_cast<unsigned>(vocab)), block(32, kSortLanes);
  const auto add = [&](auto width) {
    launch(l, add_rows_of_id<decltype(width)::value, T>, grid, block, 0, static_cast<const int32_t*>(sorted_ids),
           static_cast<const int32_t*>(sorted_rows), count, dy, dtable, static_cast<int>(dim));
  };
  if (dim % kWide<T> == 0 && aligned16(dy)) add(std::integral_constant<int, kWide<T>>());
  else add(std::integral_constant<int, 1>());
}

void bigram_hash(Launch& l, const int32_t* ids, int32_t* index, int64_t rows, int64_t seq, int64_t buckets, int64_t multiplier,
                 bool own_previous) {
  launch(l, bigram_kernel, blocks(rows), 256, 0, ids, index, rows, seq, buckets, multiplier, own_previous);
}

void pair_hash(Launch& l, const int32_t* ids, int32_t* index, int64_t rows, int64_t seq, int64_t buckets) {
  launch(l, pair_kernel, blocks(rows), 256, 0, ids, index, rows, seq, buckets - 1);
}

template <class T>
void tail_rows(Launch& l, const T* x, T* y, int64_t windows, int64_t seq, int64_t tail, int64_t dim) {
  each_row<T>(l, dim % kWide<T> == 0 && aligned16(x, y), windows * tail, dim,
              [=] __device__(auto width, int64_t row, int64_t at, int column) {
                constexpr int V = decltype(width)::value;
                const int64_t from = (row / tail + 1) * seq - tail + row % tail;
                store<V>(load<V>(x + from * dim + column), y + at);
              });
}

template void embedding(Launch&, const int32_t*, const float*, float*, int64_t, int64_t);
template void embedding(Launch&, const int32_t*, const float*, bf16*, int64_t, int64_t);
template void embedding(Launch&, const int32_t*, const bf16*, bf16*, int64_t, int64_t);
template void embedding_grad(Launch&, const int32_t*, const float*, float*, int64_t, int64_t, int64_t);
template void embedding_grad(Launch&, const int32_t*, const bf16*, float*, int64_t, int64_t, int64_t);
template void tail_rows(Launch&, const float*, float*, int64_t, int64_t, int64_t, int64_t);
template void tail_rows(Launch&, const bf16*, bf16*, int64_t, int64_t, int64_t, int64_t);

}  // namespace sixteen::cuda
