// Backward of causal attention on tensor cores: bf16, head dim 64. Two passes, each with sums in registers in a fixed order: one
// over keys for dq, one over the group's heads and queries for dk and dv. So there are no atomics and no order to wait for, at
// the price of seven products instead of five (721 GFLOP at 48 x 2048, heads 8; the definition needs 515).
//
// With p = exp(scale q.k - lse): dv = p^T dy, dp = dy v^T, ds = p (dp - delta), dq = scale ds k, dk = scale ds^T q.
// Bites: a masked pair must give p = 0 before it is used; rows beyond the window are loaded as zeros and given p = 0 as well.
#include "graph/cuda/attention.h"
#include "graph/cuda/mma_tile.cuh"

namespace sixteen::cuda {
namespace {

using namespace mma;

constexpr int kRows = 128;   // of a block: queries in the first pass, keys in the second
constexpr int kTile = 64;    // that pass by: keys, queries
constexpr int kStep = 32;    // columns in registers at a time
constexpr size_t kSharedBytes = sizeof(bf16) * kWidth * (2 * kRows + 4 * kTile);

struct BackwardArgs {
  AttentionGrad<bf16> g;
  const float* delta;
  AttentionDims d;
  float scale;
};

struct Shared {
  bf16 own[2][kRows * kWidth];          // q and dy, or k and v
  bf16 passing[2][2][kTile * kWidth];   // by buffer: k and v, or q and dy
};

// x[m][n] += rows of `a` (32 from row) times rows of `b` (kStep from column)
__device__ inline void product_of_rows(float (&x)[2][4][4], const bf16* a, int row, const bf16* b, int column) {
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    const Frag left[2] = {rows_frag(a, row, k), rows_frag(a, row + 16, k)};
#pragma unroll
    for (int n = 0; n < 2; ++n) {
      const Frag right = columns_frag(b, column + n * 16, k);
#pragma unroll
      for (int m = 0; m < 2; ++m) {
        multiply(x[m][2 * n], left[m], right.r[0], right.r[1]);
        multiply(x[m][2 * n + 1], left[m], right.r[2], right.r[3]);
      }
    }
  }
}

// out += x times rows first .. first + kStep of `b`
__device__ inline void add_product(float (&out)[2][8][4], const float (&x)[2][4][4], const bf16* b, int first) {
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    const Frag left[2] = {as_operand(x[0][2 * k], x[0][2 * k + 1]), as_operand(x[1][2 * k], x[1][2 * k + 1])};
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      const Frag right = inner_frag(b, first + k * 16, n);
#pragma unroll
      for (int m = 0; m < 2; ++m) {
        multiply(out[m][2 * n], left[m], right.r[0], right.r[1]);
        multiply(out[m][2 * n + 1], left[m], right.r[2], right.r[3]);
      }
    }
  }
}

// Rows of a warp's sums to memory, times `factor`.
__device__ inline void write_rows(const float (&x)[2][8][4], float factor, bf16* out, int64_t stride, int valid, bool add) {
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = m * 16 + half * 8 + g;
      if (row >= valid) continue;
#pragma unroll
      for (int n = 0; n < 8; ++n) {
        put2(x[m][n][2 * half] * factor, x[m][n][2 * half + 1] * factor, out + row * stride + n * 8 + 2 * t, add);
      }
    }
  }
}

__global__ void __launch_bounds__(kThreads, 2) attention_grad_queries(BackwardArgs a) {
  extern __shared__ __align__(128) unsigned char memory[];
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  const AttentionDims& d = a.d;
  const int seq = static_cast<int>(d.seq), query0 = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kRows;  // long blocks first
  const int64_t head = blockIdx.y, window = blockIdx.z, q_stride = d.heads * kWidth, kv_stride = d.kv_heads * kWidth;
  const int64_t q_at = (window * seq + query0) * q_stride + head * kWidth;
  const int64_t kv_at = window * seq * kv_stride + head / (d.heads / d.kv_heads) * kWidth;
  const auto load_keys = [&](int tile) {
    const int64_t at = kv_at + int64_t{tile} * kTile * kv_stride;
    load_tile<kTile>(shared.passing[tile % 2][0], a.g.k + at, kv_stride, seq - tile * kTile);
    load_tile<kTile>(shared.passing[tile % 2][1], a.g.v + at, kv_stride, seq - tile * kTile);
  };
  load_tile<kRows>(shared.own[0], a.g.q + q_at, q_stride, seq - query0);
  load_tile<kRows>(shared.own[1], a.g.dy + q_at, q_stride, seq - query0);
  load_keys(0);
  commit();
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, row0 = threadIdx.x / 32 * 32;
  const float scale_log2 = a.scale * kLog2E;
  float lse[2][2], delta[2][2], dq[2][8][4] = {};
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = query0 + row0 + m * 16 + half * 8 + g;
      const int64_t at = (window * d.heads + head) * seq + row;
      lse[m][half] = row < seq ? a.g.lse[at] * kLog2E : INFINITY;
      delta[m][half] = row < seq ? a.delta[at] : 0.0f;
    }
  }
  const int tiles = (min(query0 + kRows, seq) + kTile - 1) / kTile;
  for (int tile = 0; tile < tiles; ++tile) {
    if (tile + 1 < tiles) load_keys(tile + 1);
    commit();
    wait<1>();
    __syncthreads();
    const bf16 *keys = shared.passing[tile % 2][0], *values = shared.passing[tile % 2][1];
#pragma unroll
    for (int column = 0; column < kTile; column += kStep) {
      const int limit = query0 + row0 - tile * kTile - column;  // the first row's own key within these columns
      if (limit + 31 < 0) continue;
      float s[2][4][4] = {}, dp[2][4][4] = {};
      product_of_rows(s, shared.own[0], row0, keys, column);
      product_of_rows(dp, shared.own[1], row0, values, column);
      const bool masked = limit < kStep - 1;
#pragma unroll
      for (int m = 0; m < 2; ++m) {
#pragma unroll
        for (int n = 0; n < 4; ++n) {
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            const int half = e / 2;
            float p = exp2_fast(fmaf(s[m][n][e], scale_log2, -lse[m][half]));
            if (masked && n * 8 + 2 * t + e % 2 > limit + m * 16 + half * 8 + g) p = 0;
            s[m][n][e] = p * (dp[m][n][e] - delta[m][half]);
          }
        }
      }
      add_product(dq, s, keys, column);
    }
    __syncthreads();
  }
  write_rows(dq, a.scale, a.g.dq + q_at + row0 * q_stride, q_stride, seq - query0 - row0, a.g.add_dq);
}

__global__ void __launch_bounds__(kThreads, 2) attention_grad_keys(BackwardArgs a) {
  extern __shared__ __align__(128) unsigned char memory[];
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  const AttentionDims& d = a.d;
  const int seq = static_cast<int>(d.seq), key0 = static_cast<int>(blockIdx.x) * kRows;  // long blocks first
  const int64_t kv_head = blockIdx.y, window = blockIdx.z, group = d.heads / d.kv_heads;
  const int64_t q_stride = d.heads * kWidth, kv_stride = d.kv_heads * kWidth;
  const int64_t kv_at = (window * seq + key0) * kv_stride + kv_head * kWidth;
  const int first_tile = key0 / kTile, tiles = (seq + kTile - 1) / kTile - first_tile, steps = tiles * static_cast<int>(group);
  const auto load_queries = [&](int step) {
    const int row = (first_tile + step % tiles) * kTile;
    const int64_t at = (window * seq + row) * q_stride + (kv_head * group + step / tiles) * kWidth;
    load_tile<kTile>(shared.passing[step % 2][0], a.g.q + at, q_stride, seq - row);
    load_tile<kTile>(shared.passing[step % 2][1], a.g.dy + at, q_stride, seq - row);
  };
  load_tile<kRows>(shared.own[0], a.g.k + kv_at, kv_stride, seq - key0);
  load_tile<kRows>(shared.own[1], a.g.v + kv_at, kv_stride, seq - key0);
  load_queries(0);
  commit();
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, row0 = threadIdx.x / 32 * 32;
  const float scale_log2 = a.scale * kLog2E;
  float dk[2][8][4] = {}, dv[2][8][4] = {};
  for (int step = 0; step < steps; ++step) {
    if (step + 1 < steps) load_queries(step + 1);
    commit();
    wait<1>();
    __syncthreads();
    const bf16 *queries = shared.passing[step % 2][0], *gradients = shared.passing[step % 2][1];
    const int query = (first_tile + step % tiles) * kTile;
    const int64_t statistics = (window * d.heads + kv_head * group + step / tiles) * seq + query;
#pragma unroll 1
    for (int column = 0; column < kTile; column += kStep) {
      const int limit = query + column - key0 - row0;  // the first query's own key within the warp's 32
      if (limit + kStep - 1 < 0) continue;
      float s[2][4][4] = {}, dp[2][4][4] = {};
      product_of_rows(s, shared.own[0], row0, queries, column);
      product_of_rows(dp, shared.own[1], row0, gradients, column);
#pragma unroll
      for (int n = 0; n < 4; ++n) {
        float lse[2], delta[2];
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const int i = column + n * 8 + 2 * t + e;
          const bool inside = query + i < seq;
          lse[e] = inside ? a.g.lse[statistics + i] * kLog2E : INFINITY;
          delta[e] = inside ? a.delta[statistics + i] : 0.0f;
        }
#pragma unroll
        for (int m = 0; m < 2; ++m) {
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            float p = exp2_fast(fmaf(s[m][n][e], scale_log2, -lse[e % 2]));
            if (m * 16 + e / 2 * 8 + g > limit + n * 8 + 2 * t + e % 2) p = 0;
            s[m][n][e] = p;
            dp[m][n][e] = p * (dp[m][n][e] - delta[e % 2]);
          }
        }
      }
      add_product(dv, s, gradients, column);
      add_product(dk, dp, queries, column);
    }
    __syncthreads();
  }
  const int64_t at = kv_at + row0 * kv_stride;
  write_rows(dk, a.scale, a.g.dk + at, kv_stride, seq - key0 - row0, a.g.add_dk);
  write_rows(dv, 1.0f, a.g.dv + at, kv_stride, seq - key0 - row0, a.g.add_dv);
}

}  // namespace

void attention_grad_portable(Launch& l, const AttentionGrad<bf16>& g, const float* delta, const AttentionDims& d, float scale) {
  CHECK(d.head_dim == kWidth && d.query_rows == d.seq);
  static_assert(sizeof(Shared) == kSharedBytes);
  const BackwardArgs args{g, delta, d, scale};
  for (const auto kernel : {attention_grad_queries, attention_grad_keys}) {
    SIXTEEN_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(kSharedBytes)));
  }
  const unsigned blocks = static_cast<unsigned>(ceil_div(d.seq, kRows)), windows = static_cast<unsigned>(d.windows);
  launch(l, attention_grad_queries, dim3(blocks, static_cast<unsigned>(d.heads), windows), kThreads, kSharedBytes, args);
  launch(l, attention_grad_keys, dim3(blocks, static_cast<unsigned>(d.kv_heads), windows), kThreads, kSharedBytes, args);
}

}  // namespace sixteen::cuda
