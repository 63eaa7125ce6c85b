// The plain matrix product: any shape, strides, alignment and type, batched. 64 x 64 tiles, 4 x 4 outputs a thread.
//
// Every output is one chain of fma over k in order, as on the CPU (graph/cpu/gemm.h): row-invariant and, in fp32, the CPU's
// bits. fp32 graphs and odd shapes go through it; its floor is the card's fp32 rate without tensor cores.
#include "graph/cuda/kernels.h"
#include "graph/cuda/pack.cuh"

namespace sixteen::cuda {
namespace {

constexpr int kTile = 64, kDepth = 16, kThreads = 256;

// tile [kDepth][kTile] = rows `first` .. of op(x), columns k0 .. of the product's inner dimension; zeros beyond the edges.
template <class T>
__device__ inline void load_tile(const T* x, bool inner_is_row, int64_t stride, int64_t first, int64_t limit, int64_t k0, int64_t k,
                                 float (*tile)[kTile + 4]) {
  for (int i = threadIdx.x; i < kTile * kDepth; i += kThreads) {
    const int r = inner_is_row ? i % kTile : i / kDepth, c = inner_is_row ? i / kTile : i % kDepth;
    const int64_t row = first + r, column = k0 + c;
    float value = 0;
    if (row < limit && column < k) value = to_float(inner_is_row ? x[column * stride + row] : x[row * stride + column]);
    tile[c][r] = value;
  }
}

template <class From, class To>
__global__ void __launch_bounds__(kThreads) matmul_kernel(MatmulShape s, const From* a, const From* b, To* c) {
  __shared__ float ta[kDepth][kTile + 4], tb[kDepth][kTile + 4];
  a += blockIdx.z * s.stride_a;
  b += blockIdx.z * s.stride_b;
  c += blockIdx.z * s.stride_c;
  const int64_t m0 = int64_t{blockIdx.x} * kTile, n0 = int64_t{blockIdx.y} * kTile;
  const int tm = threadIdx.x / 16 * 4, tn = threadIdx.x % 16 * 4;
  float sum[4][4] = {};
  for (int64_t k0 = 0; k0 < s.k; k0 += kDepth) {
    load_tile(a, s.ta, s.lda, m0, s.m, k0, s.k, ta);
    load_tile(b, !s.tb, s.ldb, n0, s.n, k0, s.k, tb);
    __syncthreads();
#pragma unroll
    for (int kk = 0; kk < kDepth; ++kk) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) sum[i][j] = fmaf(ta[kk][tm + i], tb[kk][tn + j], sum[i][j]);
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (m0 + tm + i < s.m && n0 + tn + j < s.n) put(sum[i][j], c + (m0 + tm + i) * s.ldc + n0 + tn + j, s.add);
    }
  }
}

}  // namespace

template <class From, class To>
void matmul_plain(Launch& l, const MatmulShape& s, const From* a, const From* b, To* c) {
  const dim3 grid(static_cast<unsigned>(ceil_div(s.m, kTile)), static_cast<unsigned>(ceil_div(s.n, kTile)),
                  static_cast<unsigned>(s.batch));
  launch(l, matmul_kernel<From, To>, grid, kThreads, 0, s, a, b, c);
}

template void matmul_plain(Launch&, const MatmulShape&, const float*, const float*, float*);
template void matmul_plain(Launch&, const MatmulShape&, const bf16*, const bf16*, float*);
template void matmul_plain(Launch&, const MatmulShape&, const bf16*, const bf16*, bf16*);

}  // namespace sixteen::cuda
