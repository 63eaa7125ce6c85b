// The part of Hopper's attention backward that holds keys, and what all its parts share: arguments, shared memory, the walk.
//
// A warpgroup has 64 keys: s^T = k q^T, dp^T = v dy^T, dv += p^T dy, dk += ds^T q, with k, p^T and ds^T in registers; ds^T also goes
// to shared memory for dq. Scores of the next queries are started before the sums of these, so the tensor cores run under the
// exponentials. attention_hopper_grad.cu says how the parts play together.
// Bites: registers: 32 s, 32 dp, 64 sums, 48 operands leave 32 of 208 for the rest. Only wgmma may write the accumulators, or the
// compiler makes all products wait for each other (its warnings C7510 to C7515 say so).
#pragma once

#include "graph/cuda/hopper.cuh"

namespace sixteen::cuda::hopper_grad {

constexpr int kChunk = 8;  // tiles of queries, even: their q, dy and dq of all blocks together stay in L2
constexpr int kStages = 5, kKeys = 2 * kTile, kThreads = 4 * 128;

struct Backward {
  bf16 *dq, *dk, *dv;
  bool add_dq, add_dk, add_dv;
  const float2* rows;  // [windows, heads, query tiles, 64] (lse in log2 units, delta)
  float4* sums;        // [blocks, chunk, 8, 128] dq so far, as the third warpgroup's threads hold it
  float4* parts;       // [blocks, key tiles, 16, 256] dk and dv of the chunks so far, likewise
  int windows, seq, heads, kv_heads, query_tiles, key_tiles, chunk;
  float scale, scale_log2;
};

struct Shared {
  char k[2][2 * kTileBytes], v[2][2 * kTileBytes], q[kStages][kTileBytes], dy[kStages][kTileBytes],
      ds[2][2 * kTileBytes];
  float4 sent[8][256];  // by the cluster's other block
  float2 rows[kStages][kTile];
  uint64_t keys_full[2], full[kStages], empty[kStages], ds_full[2], ds_empty[2], keys_empty[2], sent_full, sent_empty;
};
constexpr int kSharedBytes = sizeof(Shared) + 1024;

#if defined(SIXTEEN_SM90A)

// What the block works on, in order: one head of one window after the other.
struct Item {
  int window, head, kv_head;
  __device__ Item(const Backward& p, int item)
      : window(item / p.heads), head(item % p.heads), kv_head(head / (p.heads / p.kv_heads)) {}
};

// body(item, turn, tile of 128 keys, first and end of the tiles of 64 queries) for all the block's turns, in their order: for each
// item and chunk of queries the tiles of keys that they see.
template <class Body>
__device__ inline void each_turn(const Backward& p, Body body) {
  int turn = 0;
  for (int n = blockIdx.x; n < p.windows * p.heads; n += gridDim.x) {
    const Item item(p, n);
    for (int begin = 0; begin < p.query_tiles; begin += p.chunk) {
      const int end = min(begin + p.chunk, p.query_tiles);
      for (int keys = 0; 2 * keys < end; ++keys, ++turn) body(item, turn, keys, max(begin, 2 * keys), end);
    }
  }
}

// --- what a warpgroup does with its 64 keys

struct KeySide {
  float s[32], dp[32], dk[32], dv[32];
  uint32_t k[4][4], p_operand[4][4], ds_operand[4][4];
};

struct KeySums {
  float dk[32], dv[32];
  __device__ explicit KeySums(const KeySide& x) {
#pragma unroll
    for (int i = 0; i < 32; ++i) dk[i] = x.dk[i], dv[i] = x.dv[i];
  }
};

template <bool kMasked>
__device__ inline void softmax_grad(KeySide& x, const Backward& p, const float2* rows, int key, int query0, int lane) {
  const int later = key + lane / 4 - query0 - lane % 4 * 2;  // by which the thread's first key is after its first query
#pragma unroll
  for (int j = 0; j < 8; ++j) {
    const float4 r = *reinterpret_cast<const float4*>(rows + 8 * j + lane % 4 * 2);
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      float& s = x.s[4 * j + e];
      s = exp2_fast(fmaf(s, p.scale_log2, e % 2 == 0 ? -r.x : -r.z));
      if (kMasked && later > 8 * j + e % 2 - e / 2 * 8) s = 0.0f;
      x.dp[4 * j + e] = s * (x.dp[4 * j + e] - (e % 2 == 0 ? r.y : r.w));
    }
  }
}

// ds^T, 16 rows of this warp, into a tile of 64 keys x 64 queries.
__device__ inline void store_ds(const uint32_t (&ds)[4][4], uint32_t tile, int warp_row, int lane) {
#pragma unroll
  for (int k = 0; k < 4; ++k)
    stmatrix(chunk_address(tile, warp_row + lane % 16, 2 * k + lane / 16), ds[k][0], ds[k][1], ds[k][2], ds[k][3]);
}

// The sums of a tile of keys over some of its queries wait in memory for the next chunk.
__device__ inline void keep_keys(const KeySums& x, float4* parts) {
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    __stcg(parts + i * 256, make_float4(x.dk[4 * i], x.dk[4 * i + 1], x.dk[4 * i + 2], x.dk[4 * i + 3]));
    __stcg(parts + (8 + i) * 256, make_float4(x.dv[4 * i], x.dv[4 * i + 1], x.dv[4 * i + 2], x.dv[4 * i + 3]));
  }
}

__device__ inline void add_keys(KeySums& x, const float4* parts) {
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const float4 dk = __ldcg(parts + i * 256), dv = __ldcg(parts + (8 + i) * 256);
    x.dk[4 * i] += dk.x, x.dk[4 * i + 1] += dk.y, x.dk[4 * i + 2] += dk.z, x.dk[4 * i + 3] += dk.w;
    x.dv[4 * i] += dv.x, x.dv[4 * i + 1] += dv.y, x.dv[4 * i + 2] += dv.z, x.dv[4 * i + 3] += dv.w;
  }
}

// Sends one half of the sums to the cluster's other block, and writes the other half with what that block sent.
template <int kCluster>
__device__ inline void write_keys(const KeySums& x, const Backward& p, const Item& item, Shared* s, int keys, int sent,
                                  int rank) {
  const int thread = threadIdx.x, lane = thread % 32, row = keys * kKeys + thread / 32 * 16;
  const int64_t stride = int64_t{p.kv_heads} * kHeadDim,
                at = int64_t{item.window} * p.seq * stride + item.kv_head * kHeadDim;
  if constexpr (kCluster == 1) {
    put_fragment(x.dk, p.scale, p.dk + at, stride, row, p.seq, p.add_dk, lane);
    put_fragment(x.dv, 1.0f, p.dv + at, stride, row, p.seq, p.add_dv, lane);
  } else {
    const uint32_t full = shared_address(&s->sent_full), empty = shared_address(&s->sent_empty);
    const uint32_t to = peer_address(shared_address(&s->sent[0][thread]), rank ^ 1),
                   peer_full = peer_address(full, rank ^ 1);
    if (thread == 0) barrier_expect(full, sizeof(s->sent));
    if (sent > 0) barrier_wait(empty, (sent - 1) & 1);
    float sum[32];
#pragma unroll
    for (int i = 0; i < 32; ++i) sum[i] = rank == 0 ? x.dk[i] : x.dv[i];
#pragma unroll
    for (int i = 0; i < 8; ++i)
      peer_store(to + i * sizeof(s->sent[0]), sum[4 * i], sum[4 * i + 1], sum[4 * i + 2], sum[4 * i + 3], peer_full);
    barrier_wait(full, sent & 1);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float4 other = s->sent[i][thread];
      sum[4 * i] = (rank == 0 ? x.dv[4 * i] : x.dk[4 * i]) + other.x;
      sum[4 * i + 1] = (rank == 0 ? x.dv[4 * i + 1] : x.dk[4 * i + 1]) + other.y;
      sum[4 * i + 2] = (rank == 0 ? x.dv[4 * i + 2] : x.dk[4 * i + 2]) + other.z;
      sum[4 * i + 3] = (rank == 0 ? x.dv[4 * i + 3] : x.dk[4 * i + 3]) + other.w;
    }
    peer_arrive(peer_address(empty, rank ^ 1));
    put_fragment(sum, rank == 0 ? 1.0f : p.scale, (rank == 0 ? p.dv : p.dk) + at, stride, row, p.seq,
                 rank == 0 ? p.add_dv : p.add_dk, lane);
  }
}

template <int kCluster>
__device__ inline void hold_keys(const Backward& p, Shared* s, int warpgroup) {
  const int lane = threadIdx.x % 32, warp_row = threadIdx.x / 32 % 4 * 16;
  const uint32_t ds = shared_address(s->ds) + warpgroup * kTileBytes;
  const uint64_t q = tile_descriptor(shared_address(s->q)), dy = tile_descriptor(shared_address(s->dy));
  const uint64_t v = tile_descriptor(shared_address(s->v)) + warpgroup * kNextTile;
  float4* parts = p.parts + int64_t{blockIdx.x} * p.key_tiles * 16 * 256 + threadIdx.x;
  KeySide x;
  uint64_t v_tile = v;
  int step = 0, sent = 0, stage = 0, now = 0, parity = 0;  // stage = step % kStages; now: of the products under way
  auto start_scores = [&] {
    barrier_wait(shared_address(&s->full[stage]), parity);
    wgmma_fence();
    start_nt(x.s, x.k, q + stage * kNextTile);
    start_nt(x.dp, v_tile, dy + stage * kNextTile);
    wgmma_commit();
  };
  each_turn(p, [&](const Item& item, int turn, int keys, int first, int end) {
    barrier_wait(shared_address(&s->keys_full[turn & 1]), turn / 2 & 1);
    load_operand(shared_address(s->k[turn & 1]) + warpgroup * kTileBytes, warp_row, lane, x.k);
    v_tile = v + (turn & 1) * 2 * kNextTile;
    const int key = keys * kKeys + warpgroup * kTile + warp_row;
    start_scores();
    wgmma_wait<0>();
    for (int query = first; query < end; ++query, ++step) {
      if (query <= 2 * keys + warpgroup)
        softmax_grad<true>(x, p, s->rows[stage], key, query * kTile, lane);
      else
        softmax_grad<false>(x, p, s->rows[stage], key, query * kTile, lane);
      // Before the wait, so that the compiler cannot lift that over the softmax, as it does within a block of instructions.
      if (step >= 2) barrier_wait(shared_address(&s->ds_empty[step & 1]), (step / 2 - 1) & 1);
      wgmma_wait<0>(x.s);
      wgmma_wait<0>(x.dp);
      pack_operand(x.s, x.p_operand);
      pack_operand(x.dp, x.ds_operand);
      store_ds(x.ds_operand, ds + (step & 1) * 2 * kTileBytes, warp_row, lane);
      fence_async();
      __syncwarp();
      if (lane == 0) {
        barrier_arrive(shared_address(&s->ds_full[step & 1]));
        if (query > first) barrier_arrive(shared_address(&s->empty[now]));
      }
      now = stage;
      if (++stage == kStages) stage = 0, parity ^= 1;
      if (query + 1 < end)
        start_scores();
      else
        wgmma_fence();
      start_nn(x.dv, x.p_operand, dy + now * kNextTile, query > first);
      start_nn(x.dk, x.ds_operand, q + now * kNextTile, query > first);
      wgmma_commit();
      wgmma_wait<1>(x.s);
      wgmma_wait<1>(x.dp);
    }
    wgmma_wait<0>(x.dk);
    wgmma_wait<0>(x.dv);
    if (lane == 0) barrier_arrive(shared_address(&s->empty[now]));
    KeySums sums(x);  // a copy: the compiler wants accumulators that only wgmma writes
    if (first > 2 * keys) add_keys(sums, parts + int64_t{keys} * 16 * 256);
    if (end < p.query_tiles)
      keep_keys(sums, parts + int64_t{keys} * 16 * 256);
    else
      write_keys<kCluster>(sums, p, item, s, keys, sent++, blockIdx.x % kCluster);
  });
}

#endif

}  // namespace sixteen::cuda::hopper_grad
