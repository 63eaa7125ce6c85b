// Causal attention backward for Hopper (sm_90a), in one pass of five products a pair of tiles and without atomics on shared sums.
//
// Floor, 48 x 2048, heads 8/4 x 64: 515 GFLOP = 0.67 ms at 766 TFLOP/s. Scores are made once; so dk and dv are summed in registers
// while the queries pass, and dq must be summed across tiles of keys. A block walks all tiles of keys of one head in order and is
// alone with its dq: one thread adds to an element, always the same, in program order. So the sum has a fixed order without
// semaphores, and the last addend (the diagonal's) is where the result is written as bf16. The other way, a second pass for dq,
// costs seven products instead of five. (Tiling and names after FlashAttention-3, Shah et al. 2024; the walk is ours.)
//
// Two warpgroups hold 64 keys each: s^T = k q^T, dp^T = v dy^T, dv += p^T dy, dk += ds^T q, with k, p^T and ds^T in registers. A
// third makes dq = ds k from shared memory and adds it up in global memory; a thread of the fourth starts all copies. Where two heads share their keys
// their blocks are a cluster: each sends the other half of its sums, and finishes dv (rank 0) or dk (rank 1).
// Bites: blocks live on until all their keys are done, so few windows leave multiprocessors idle (hopper_grad_fits). ds_full of a
// step says that both warpgroups have left the step before: that is what frees a stage of queries, and nothing else.
#include "graph/cuda/hopper.cuh"

namespace sixteen::cuda {
namespace {

constexpr int kStages = 3, kKeys = 2 * kTile, kThreads = 4 * 128;

struct Backward {
  bf16 *dq, *dk, *dv;
  bool add_dq, add_dk, add_dv;
  const float2* rows;  // [windows, heads, query tiles, 64] (lse in log2 units, delta)
  float4* sums;        // [blocks, query tiles, 8, 128] dq so far, as the third warpgroup's threads hold it
  int windows, seq, heads, kv_heads, query_tiles, key_tiles;
  float scale, scale_log2;
};

struct Shared {
  char k[2][2 * kTileBytes], v[2][2 * kTileBytes], q[kStages][kTileBytes], dy[kStages][kTileBytes],
      ds[2][2 * kTileBytes];
  float4 sent[8][256];  // by the cluster's other block
  float2 rows[kStages][kTile];
  uint64_t keys_full[2], full[kStages], ds_full[2], ds_empty[2], keys_empty[2], sent_full, sent_empty;
};
constexpr int kSharedBytes = sizeof(Shared) + 1024;

// (lse, delta) of 64 queries in a row; a query past the end gets p = exp2(s - infinity) = 0.
__global__ void pair_rows(const float* lse, const float* delta, float2* rows, int64_t count, int seq, int padded) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const int64_t row = i / padded, at = row * seq + i % padded;
  rows[i] = i % padded < seq ? make_float2(lse[at] * kLog2E, delta[at]) : make_float2(INFINITY, 0.0f);
}

#if defined(SIXTEEN_SM90A)

// Of the 128 a thread that a block of 512 starts with: 2 x 208 + 64 + 32 = 4 x 128.
constexpr int kKeyRegisters = 208, kQueryRegisters = 64, kFetchRegisters = 32;

struct Maps {
  const CUtensorMap &q, &k, &v, &dy;
};

// What the block works on, in order: one head of one window after the other.
struct Item {
  int window, head, kv_head;
  __device__ Item(const Backward& p, int item)
      : window(item / p.heads), head(item % p.heads), kv_head(head / (p.heads / p.kv_heads)) {}
};

// --- the warpgroups that hold keys

struct KeySide {
  float s[32], dp[32], dk[32], dv[32];
  uint32_t k[4][4], p_operand[4][4], ds_operand[4][4];
};

__device__ inline void softmax_grad(KeySide& x, const Backward& p, const float2* rows, bool diagonal, int key,
                                    int query0, int lane) {
#pragma unroll
  for (int j = 0; j < 8; ++j) {
    const float4 r = *reinterpret_cast<const float4*>(rows + 8 * j + lane % 4 * 2);
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      float& s = x.s[4 * j + e];
      s = exp2_fast(fmaf(s, p.scale_log2, e % 2 == 0 ? -r.x : -r.z));
      if (diagonal && key + lane / 4 + e / 2 * 8 > query0 + 8 * j + lane % 4 * 2 + e % 2) s = 0.0f;
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

template <int kCluster>
__device__ inline void write_keys(const KeySide& x, const Backward& p, const Item& item, Shared* s, int keys, int turn,
                                  int rank) {
  const int thread = threadIdx.x, lane = thread % 32, row = keys * kKeys + thread / 32 * 16;
  const int64_t stride = int64_t{p.kv_heads} * kHeadDim,
                at = int64_t{item.window} * p.seq * stride + item.kv_head * kHeadDim;
  if constexpr (kCluster == 1) {
    put_fragment(x.dk, p.scale, p.dk + at, stride, row, p.seq, p.add_dk, lane);
    put_fragment(x.dv, 1.0f, p.dv + at, stride, row, p.seq, p.add_dv, lane);
  } else {
    const uint32_t to = peer_address(shared_address(&s->sent[0][thread]), rank ^ 1);
    if (turn > 0) barrier_wait_cluster(shared_address(&s->sent_empty), (turn - 1) & 1);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int c = 4 * i;
      if (rank == 0)
        peer_store(to + i * sizeof(s->sent[0]), x.dk[c], x.dk[c + 1], x.dk[c + 2], x.dk[c + 3]);
      else
        peer_store(to + i * sizeof(s->sent[0]), x.dv[c], x.dv[c + 1], x.dv[c + 2], x.dv[c + 3]);
    }
    peer_arrive(peer_address(shared_address(&s->sent_full), rank ^ 1));
    barrier_wait_cluster(shared_address(&s->sent_full), turn & 1);
    float sum[32];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float4 other = s->sent[i][thread];
      const float parts[4] = {other.x, other.y, other.z, other.w};
#pragma unroll
      for (int e = 0; e < 4; ++e) sum[4 * i + e] = (rank == 0 ? x.dv[4 * i + e] : x.dk[4 * i + e]) + parts[e];
    }
    peer_arrive(peer_address(shared_address(&s->sent_empty), rank ^ 1));
    if (rank == 0)
      put_fragment(sum, 1.0f, p.dv + at, stride, row, p.seq, p.add_dv, lane);
    else
      put_fragment(sum, p.scale, p.dk + at, stride, row, p.seq, p.add_dk, lane);
  }
}

template <int kCluster>
__device__ inline void hold_keys(const Backward& p, Shared* s, int warpgroup, int rank, int item_step, int items) {
  const int lane = threadIdx.x % 32, warp_row = threadIdx.x / 32 % 4 * 16;
  const uint32_t q = shared_address(s->q), dy = shared_address(s->dy),
                 ds = shared_address(s->ds) + warpgroup * kTileBytes;
  KeySide x;
  uint32_t v_tile = 0;
  int step = 0, turn = 0, stage = 0, round = 0;  // stage = step % kStages, round = step / kStages
  auto start_scores = [&] {
    barrier_wait(shared_address(&s->full[stage]), round & 1);
    wgmma_fence();
    start_nt(x.s, x.k, q + stage * kTileBytes);
    start_nt(x.dp, v_tile, dy + stage * kTileBytes);
    wgmma_commit();
  };
  for (int n = blockIdx.x; n < items; n += item_step) {
    const Item item(p, n);
    for (int keys = 0; keys < p.key_tiles; ++keys, ++turn) {
      barrier_wait(shared_address(&s->keys_full[turn & 1]), turn / 2 & 1);
      load_operand(shared_address(s->k[turn & 1]) + warpgroup * kTileBytes, warp_row, lane, x.k);
      v_tile = shared_address(s->v[turn & 1]) + warpgroup * kTileBytes;
      const int key = keys * kKeys + warpgroup * kTile + warp_row;
      start_scores();
      wgmma_wait<0>();
      bool add = false;
      for (int query = 2 * keys; query < p.query_tiles; ++query, ++step, add = true) {
        softmax_grad(x, p, s->rows[stage], query <= 2 * keys + warpgroup, key, query * kTile, lane);
        wgmma_wait<0>();
        pack_operand(x.s, x.p_operand);
        pack_operand(x.dp, x.ds_operand);
        if (step >= 2) barrier_wait(shared_address(&s->ds_empty[step & 1]), (step / 2 - 1) & 1);
        store_ds(x.ds_operand, ds + (step & 1) * 2 * kTileBytes, warp_row, lane);
        fence_async();
        __syncwarp();
        if (lane == 0) barrier_arrive(shared_address(&s->ds_full[step & 1]));
        const int now = stage;
        if (++stage == kStages) stage = 0, ++round;
        const bool more = query + 1 < p.query_tiles;
        if (more)
          start_scores();
        else
          wgmma_fence();
        start_nn(x.dv, x.p_operand, dy + now * kTileBytes, add);
        start_nn(x.dk, x.ds_operand, q + now * kTileBytes, add);
        wgmma_commit();
        wgmma_wait<1>();
      }
      wgmma_wait<0>();
      write_keys<kCluster>(x, p, item, s, keys, turn, rank);
    }
  }
}

// --- the warpgroup of the queries' gradient, and the thread that fetches

__device__ inline void add_in_order(float4* p, float a, float b, float c, float d) {
  asm volatile("red.relaxed.gpu.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(p), "f"(a), "f"(b), "f"(c), "f"(d)
               : "memory");
}

// One thread's work: all copies, as far ahead as stages allow.
__device__ inline void fetch_queries(const Backward& p, const Maps& maps, Shared* s, const Item& item, int query,
                                     int stage) {
  const uint32_t barrier = shared_address(&s->full[stage]);
  barrier_expect(barrier, 2 * kTileBytes + kTile * sizeof(float2));
  copy_head_tile(shared_address(s->q[stage]), maps.q, barrier, item.head, query * kTile, item.window);
  copy_head_tile(shared_address(s->dy[stage]), maps.dy, barrier, item.head, query * kTile, item.window);
  copy_bytes(shared_address(s->rows[stage]),
             p.rows + ((int64_t{item.window} * p.heads + item.head) * p.query_tiles + query) * kTile,
             kTile * sizeof(float2), barrier);
}

__device__ inline void fetch_keys(const Maps& maps, Shared* s, const Item& item, int keys, int turn) {
  if (turn >= 2) barrier_wait(shared_address(&s->keys_empty[turn & 1]), (turn / 2 - 1) & 1);
  const uint32_t barrier = shared_address(&s->keys_full[turn & 1]);
  barrier_expect(barrier, 4 * kTileBytes);
  for (int half = 0; half < 2; ++half) {
    const int row = keys * kKeys + half * kTile;
    copy_head_tile(shared_address(s->k[turn & 1]) + half * kTileBytes, maps.k, barrier, item.kv_head, row, item.window);
    copy_head_tile(shared_address(s->v[turn & 1]) + half * kTileBytes, maps.v, barrier, item.kv_head, row, item.window);
  }
}

__device__ inline void fetch_all(const Backward& p, const Maps& maps, Shared* s, int item_step, int items) {
  int step = 0, turn = 0, stage = 0;
  for (int n = blockIdx.x; n < items; n += item_step) {
    const Item item(p, n);
    for (int keys = 0; keys < p.key_tiles; ++keys, ++turn) {
      fetch_keys(maps, s, item, keys, turn);
      for (int query = 2 * keys; query < p.query_tiles; ++query, ++step) {
        const int left = step - kStages + 1;  // whose ds says that step - kStages is done
        if (left > 0) barrier_wait(shared_address(&s->ds_full[left & 1]), left / 2 & 1);
        fetch_queries(p, maps, s, item, query, stage);
        if (++stage == kStages) stage = 0;
      }
    }
  }
}

// dq of 64 queries joins what earlier keys gave: stored, added, or, after the last keys (the diagonal's), written.
__device__ inline void add_queries(float (&dq)[32], const Backward& p, float4* sums, bf16* out, bool first, bool last,
                                   int query0) {
  if (last) {
    if (!first) {
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const float4 sum = __ldcg(sums + i * 128);
        dq[4 * i] += sum.x, dq[4 * i + 1] += sum.y, dq[4 * i + 2] += sum.z, dq[4 * i + 3] += sum.w;
      }
    }
    put_fragment(dq, p.scale, out, int64_t{p.heads} * kHeadDim, query0 + threadIdx.x / 32 % 4 * 16, p.seq, p.add_dq,
                 threadIdx.x % 32);
    return;
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    if (first)
      __stcg(sums + i * 128, make_float4(dq[4 * i], dq[4 * i + 1], dq[4 * i + 2], dq[4 * i + 3]));
    else
      add_in_order(sums + i * 128, dq[4 * i], dq[4 * i + 1], dq[4 * i + 2], dq[4 * i + 3]);
  }
}

__device__ inline void sum_queries(const Backward& p, Shared* s, int item_step, int items) {
  const int thread = threadIdx.x % 128;
  float4* sums = p.sums + int64_t{blockIdx.x} * p.query_tiles * 8 * 128 + thread;
  const uint32_t ds = shared_address(s->ds), k = shared_address(s->k);
  int step = 0, turn = 0;
  for (int n = blockIdx.x; n < items; n += item_step) {
    const Item item(p, n);
    bf16* out = p.dq + (int64_t{item.window} * p.seq * p.heads + item.head) * kHeadDim;
    for (int keys = 0; keys < p.key_tiles; ++keys, ++turn) {
      for (int query = 2 * keys; query < p.query_tiles; ++query, ++step) {
        barrier_wait(shared_address(&s->ds_full[step & 1]), step / 2 & 1);
        float dq[32];
        wgmma_fence();
        const uint32_t ds_tile = ds + (step & 1) * 2 * kTileBytes, k_tile = k + (turn & 1) * 2 * kTileBytes;
        start_tn(dq, ds_tile, k_tile, false);
        start_tn(dq, ds_tile + kTileBytes, k_tile + kTileBytes, true);
        wgmma_commit();
        wgmma_wait<0>();
        if (thread % 32 == 0) {
          barrier_arrive(shared_address(&s->ds_empty[step & 1]));
          if (query + 1 == p.query_tiles) barrier_arrive(shared_address(&s->keys_empty[turn & 1]));
        }
        add_queries(dq, p, sums + int64_t{query} * 8 * 128, out, keys == 0, query < 2 * keys + 2, query * kTile);
      }
    }
  }
}

#endif

template <int kCluster>
__global__ void __launch_bounds__(kThreads, 1)
    attention_hopper_backward(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k,
                              const __grid_constant__ CUtensorMap v, const __grid_constant__ CUtensorMap dy,
                              const Backward p) {
#if defined(SIXTEEN_SM90A)
  extern __shared__ char raw[];
  Shared* s = reinterpret_cast<Shared*>(raw + (1024 - shared_address(raw) % 1024) % 1024);
  if (threadIdx.x == 0) {
    for (int i = 0; i < 2; ++i) {
      barrier_init(shared_address(&s->keys_full[i]), 1);
      barrier_init(shared_address(&s->ds_full[i]), 8);
      barrier_init(shared_address(&s->ds_empty[i]), 4);
      barrier_init(shared_address(&s->keys_empty[i]), 4);
    }
    for (int i = 0; i < kStages; ++i) barrier_init(shared_address(&s->full[i]), 1);
    barrier_init(shared_address(&s->sent_full), 256);
    barrier_init(shared_address(&s->sent_empty), 256);
    barriers_visible();
  }
  if constexpr (kCluster > 1)
    cluster_sync();
  else
    __syncthreads();
  const int items = p.windows * p.heads, warpgroup = __shfl_sync(0xffffffffu, threadIdx.x / 128, 0);
  if (warpgroup < 2) {
    take_registers<kKeyRegisters>();
    hold_keys<kCluster>(p, s, warpgroup, blockIdx.x % kCluster, gridDim.x, items);
  } else if (warpgroup == 3) {
    give_registers<kFetchRegisters>();
    if (threadIdx.x % 128 == 0) fetch_all(p, {q, k, v, dy}, s, gridDim.x, items);
    __syncwarp();
  } else {
    give_registers<kQueryRegisters>();
    sum_queries(p, s, gridDim.x, items);
  }
  if constexpr (kCluster > 1) cluster_sync();  // nobody sends to a block that has gone
#endif
}

template <class Kernel>
void launch_clusters(Launch& l, Kernel kernel, unsigned blocks, unsigned cluster, const CUtensorMap (&maps)[4],
                     const Backward& p) {
  cudaLaunchAttribute attribute;
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim.x = cluster, attribute.val.clusterDim.y = 1, attribute.val.clusterDim.z = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = blocks, config.blockDim = kThreads, config.dynamicSmemBytes = kSharedBytes, config.stream = l.stream;
  config.attrs = &attribute, config.numAttrs = 1;
  SIXTEEN_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes));
  SIXTEEN_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, maps[0], maps[1], maps[2], maps[3], p));
}

}  // namespace

bool hopper_grad_fits(const AttentionDims& d) { return d.heads == d.kv_heads || d.heads == 2 * d.kv_heads; }

void attention_grad_hopper(Launch& l, const AttentionGrad<bf16>& a, const float* delta, const AttentionDims& d,
                           float scale) {
  CHECK(d.head_dim == kHeadDim && hopper_grad_fits(d) && d.query_rows == d.seq && d.seq < (1 << 30));
  const int query_tiles = int(ceil_div(d.seq, kTile)), cluster = int(d.heads / d.kv_heads);
  int device = 0, multiprocessors = 0;
  SIXTEEN_CUDA_CHECK(cudaGetDevice(&device));
  SIXTEEN_CUDA_CHECK(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device));
  const int64_t items = d.windows * d.heads, blocks = std::min<int64_t>(items, multiprocessors / cluster * cluster);
  const int64_t rows = items * query_tiles * kTile;
  CHECK(items < (1 << 30));
  float2* pairs = l.scratch<float2>(rows);
  float4* sums = l.scratch<float4>(blocks * query_tiles * 8 * 128);
  if (l.dry || rows == 0) return;
  const Backward p = {
      a.dq,  a.dk,           a.dv,       a.add_dq,     a.add_dk,        a.add_dv,    pairs,
      sums,  int(d.windows), int(d.seq), int(d.heads), int(d.kv_heads), query_tiles, int(ceil_div(d.seq, kKeys)),
      scale, scale * kLog2E};
  launch(l, pair_rows, unsigned(ceil_div(rows, 256)), 256, 0, a.lse, delta, pairs, rows, int(d.seq),
         query_tiles * kTile);
  const CUtensorMap maps[4] = {
      head_tiles(a.q, d.windows, d.seq, d.heads), head_tiles(a.k, d.windows, d.seq, d.kv_heads),
      head_tiles(a.v, d.windows, d.seq, d.kv_heads), head_tiles(a.dy, d.windows, d.seq, d.heads)};
  if (cluster == 2)
    launch_clusters(l, attention_hopper_backward<2>, unsigned(blocks), 2, maps, p);
  else
    launch_clusters(l, attention_hopper_backward<1>, unsigned(blocks), 1, maps, p);
}

}  // namespace sixteen::cuda
