// What a mixture with hints needs of each row's logits, so that they need not leave the card: losses of the target and of the
// hint, entropy, the hint's rank (op.h, kHeadHints).
//
// A block takes a row: cap, maximum, then sums and the count in one more pass over shared memory. Floor: the product with the
// table; the rows of one scoring pass (4,096) take well under a millisecond.
// Bites: exact tanh and exp, unlike head_nll of bf16 graphs, so losses agree with its to about 1e-6 and not to the bit.
#include <cub/block/block_reduce.cuh>

#include "graph/cuda/kernels.h"
#include "graph/cuda/pack.cuh"

namespace sixteen::cuda {
namespace {

constexpr int64_t kChunkRows = 4096;
constexpr int kThreads = 256;
using Reduce = cub::BlockReduce<float, kThreads>;

template <class F>
__device__ inline float everywhere(float x, Reduce::TempStorage& storage, float* slot, F combine) {
  const float total = Reduce(storage).Reduce(x, combine);
  if (threadIdx.x == 0) *slot = total;
  __syncthreads();
  return *slot;
}

struct Larger {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};
struct Sum {
  __device__ float operator()(float a, float b) const { return a + b; }
};

__global__ void __launch_bounds__(kThreads) hint_row(const float* logits, const int32_t* targets, const int32_t* hints, float4* out,
                                                     int vocab, float cap, bool round_bf16) {
  extern __shared__ float row[];
  __shared__ Reduce::TempStorage storage[4];
  __shared__ float slots[4];
  const float* z = logits + int64_t{blockIdx.x} * vocab;
  const int target = targets[blockIdx.x], hint = hints[blockIdx.x];
  float highest = -INFINITY;
  for (int c = threadIdx.x; c < vocab; c += kThreads) {
    row[c] = maybe_rounded(cap > 0 ? cap * tanhf(z[c] / cap) : z[c], round_bf16);
    highest = fmaxf(highest, row[c]);
  }
  highest = everywhere(highest, storage[0], &slots[0], Larger());
  const float at_hint = hint < 0 ? INFINITY : row[hint];
  float total = 0, weighted = 0, before = 0;  // a rank is a small integer: exact
  for (int c = threadIdx.x; c < vocab; c += kThreads) {
    const float y = row[c] - highest, e = expf(y);
    total += e;
    weighted = fmaf(e, y, weighted);
    before += row[c] > at_hint || (row[c] == at_hint && c < hint) ? 1.0f : 0.0f;
  }
  total = everywhere(total, storage[1], &slots[1], Sum());
  weighted = everywhere(weighted, storage[2], &slots[2], Sum());
  before = everywhere(before, storage[3], &slots[3], Sum());
  if (threadIdx.x != 0) return;
  const float log_total = logf(total);
  out[blockIdx.x] = {log_total + (highest - row[target]), hint < 0 ? 0.0f : log_total + (highest - at_hint),
                     log_total - weighted / total, before};
}

}  // namespace

template <class T>
void head_hints(Launch& l, const T* x, const T* table, const int32_t* targets, const int32_t* hints, float* out, int64_t rows,
                int64_t dim, int64_t vocab, float cap, bool round_bf16) {
  CHECK(vocab <= 50000);
  const size_t shared = static_cast<size_t>(vocab) * sizeof(float);
  if (shared > 40 * 1024) {
    SIXTEEN_CUDA_CHECK(cudaFuncSetAttribute(hint_row, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)));
  }
  float* logits = l.scratch<float>(std::min(rows, kChunkRows) * vocab);
  for (int64_t first = 0; first < rows; first += kChunkRows) {
    const int64_t n = std::min(kChunkRows, rows - first);
    matmul(l, {false, true, n, vocab, dim, dim, dim, vocab, false}, x + first * dim, table, logits);
    launch(l, hint_row, static_cast<unsigned>(n), kThreads, shared, static_cast<const float*>(logits), targets + first, hints + first,
           reinterpret_cast<float4*>(out) + first, static_cast<int>(vocab), cap, round_bf16);
  }
}

template void head_hints(Launch&, const float*, const float*, const int32_t*, const int32_t*, float*, int64_t, int64_t, int64_t, float,
                         bool);
template void head_hints(Launch&, const bf16*, const bf16*, const int32_t*, const int32_t*, float*, int64_t, int64_t, int64_t, float,
                         bool);

}  // namespace sixteen::cuda
