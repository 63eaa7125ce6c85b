// Causal attention forward on tensor cores: bf16, head dim 64, after FlashAttention-2 (Dao 2023).
//
// A block has 128 queries of one head, a warp 32 of them; keys and values pass in tiles of 64 from the window's start, double
// buffered. Floor at 48 x 2048, heads 8: 206 GFLOP; the exponentials (805 M) are the second cost.
// Bites: a query's bits depend on its keys alone: tiles begin at the window's start, and a key beyond the query adds exactly 0
// and leaves maximum and factors as they are. Weights are rounded to bf16 for the product with V, not for their sum.
#include "graph/cuda/attention.h"
#include "graph/cuda/mma_tile.cuh"

namespace sixteen::cuda {
namespace {

using namespace mma;

constexpr int kQueries = 128, kKeys = 64;

struct ForwardArgs {
  const bf16 *q, *k, *v;
  const int32_t* keys;
  bf16* y;
  float* lse;
  AttentionDims d;
  float scale;
};

// What a warp keeps of its 32 queries: two blocks of 16 rows.
struct WarpState {
  Frag query[2][4];
  float out[2][8][4];
  float highest[2][2], total[2][2];
};

// One tile of keys for a warp. `limit`: position of the warp's first query relative to the tile's first key.
template <bool kMasked>
__device__ inline void step(WarpState& w, const bf16* keys, const bf16* values, int limit, float scale_log2) {
  float s[2][8][4] = {};
#pragma unroll
  for (int k = 0; k < 4; ++k) {
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      const Frag b = columns_frag(keys, n * 16, k);
#pragma unroll
      for (int m = 0; m < 2; ++m) {
        multiply(s[m][2 * n], w.query[m][k], b.r[0], b.r[1]);
        multiply(s[m][2 * n + 1], w.query[m][k], b.r[2], b.r[3]);
      }
    }
  }
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int last = limit + m * 16 + half * 8 + g;  // the row's own key within the tile
      float most = -INFINITY;
#pragma unroll
      for (int n = 0; n < 8; ++n) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          float& x = s[m][n][2 * half + e];
          if (kMasked && n * 8 + 2 * t + e > last) x = -INFINITY;
          most = fmaxf(most, x);
        }
      }
      const float next = fmaxf(w.highest[m][half], quad_max(most)), shift = next * scale_log2;
      // Exactly 1 when the maximum stays: contracted to an fma, a difference of two products would not be.
      const float keep = exp2_fast((w.highest[m][half] - next) * scale_log2);
      w.highest[m][half] = next;
      float sum = 0;
#pragma unroll
      for (int n = 0; n < 8; ++n) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          float& x = s[m][n][2 * half + e];
          x = exp2_fast(fmaf(x, scale_log2, -shift));
          sum += x;
          w.out[m][n][2 * half + e] *= keep;
        }
      }
      w.total[m][half] = fmaf(w.total[m][half], keep, sum);
    }
  }
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    const Frag p[2] = {as_operand(s[0][2 * k], s[0][2 * k + 1]), as_operand(s[1][2 * k], s[1][2 * k + 1])};
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      const Frag b = inner_frag(values, k * 16, n);
#pragma unroll
      for (int m = 0; m < 2; ++m) {
        multiply(w.out[m][2 * n], p[m], b.r[0], b.r[1]);
        multiply(w.out[m][2 * n + 1], p[m], b.r[2], b.r[3]);
      }
    }
  }
}

__device__ inline void finish(WarpState& w, const ForwardArgs& a, int64_t first_row, int64_t head, int64_t window, int query, int valid) {
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
#pragma unroll
  for (int m = 0; m < 2; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = query + m * 16 + half * 8 + g;  // of the window's queries
      const float total = quad_sum(w.total[m][half]), inverse = 1.0f / total;
      if (row >= valid) continue;
      bf16* y = a.y + ((first_row + row) * a.d.heads + head) * kWidth + 2 * t;
#pragma unroll
      for (int n = 0; n < 8; ++n) put2(w.out[m][n][2 * half] * inverse, w.out[m][n][2 * half + 1] * inverse, y + n * 8, false);
      if (t == 0) a.lse[(window * a.d.heads + head) * a.d.query_rows + row] = w.highest[m][half] * a.scale + logf(total);
    }
  }
}

__global__ void __launch_bounds__(kThreads, 2) attention_forward(ForwardArgs a) {
  __shared__ alignas(128) bf16 queries[kQueries * kWidth], keys[2][kKeys * kWidth], values[2][kKeys * kWidth];
  const AttentionDims& d = a.d;
  const int rows = static_cast<int>(d.query_rows), seq = static_cast<int>(seen_keys(a.keys, d.seq)), start = seq - rows;
  const int query0 = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kQueries;  // long blocks first
  const int64_t head = blockIdx.y, window = blockIdx.z, kv_head = head / (d.heads / d.kv_heads);
  const int64_t q_stride = d.heads * kWidth, kv_stride = d.kv_heads * kWidth;
  const bf16* k = a.k + window * d.seq * kv_stride + kv_head * kWidth;
  const bf16* v = a.v + window * d.seq * kv_stride + kv_head * kWidth;
  const int tiles = (min(start + query0 + kQueries, seq) + kKeys - 1) / kKeys;
  load_tile<kQueries>(queries, a.q + (window * rows + query0) * q_stride + head * kWidth, q_stride, rows - query0);
  load_tile<kKeys>(keys[0], k, kv_stride, seq);
  load_tile<kKeys>(values[0], v, kv_stride, seq);
  commit();
  const int warp = threadIdx.x / 32, first = start + query0 + warp * 32;  // position of the warp's first query
  WarpState w = {};
#pragma unroll
  for (int m = 0; m < 2; ++m) w.highest[m][0] = w.highest[m][1] = -INFINITY;
  for (int tile = 0; tile < tiles; ++tile) {
    if (tile + 1 < tiles) {
      const int next = (tile + 1) * kKeys;
      load_tile<kKeys>(keys[(tile + 1) % 2], k + next * kv_stride, kv_stride, seq - next);
      load_tile<kKeys>(values[(tile + 1) % 2], v + next * kv_stride, kv_stride, seq - next);
    }
    commit();
    wait<1>();
    __syncthreads();
    if (tile == 0) {
#pragma unroll
      for (int m = 0; m < 2; ++m) {
#pragma unroll
        for (int c = 0; c < 4; ++c) w.query[m][c] = rows_frag(queries, warp * 32 + m * 16, c);
      }
    }
    const int limit = first - tile * kKeys;
    if (limit >= kKeys - 1) step<false>(w, keys[tile % 2], values[tile % 2], limit, a.scale * kLog2E);
    else if (limit + 31 >= 0) step<true>(w, keys[tile % 2], values[tile % 2], limit, a.scale * kLog2E);
    __syncthreads();
  }
  finish(w, a, window * rows, head, window, query0 + warp * 32, rows);
}

}  // namespace

void attention_portable(Launch& l, const bf16* q, const bf16* k, const bf16* v, const int32_t* keys, bf16* y, float* lse,
                        const AttentionDims& d, float scale) {
  CHECK(d.head_dim == kWidth);
  const dim3 grid(static_cast<unsigned>(ceil_div(d.query_rows, kQueries)), static_cast<unsigned>(d.heads),
                  static_cast<unsigned>(d.windows));
  launch(l, attention_forward, grid, kThreads, 0, ForwardArgs{q, k, v, keys, y, lse, d, scale});
}

}  // namespace sixteen::cuda
