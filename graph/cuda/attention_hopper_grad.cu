// Causal attention backward for Hopper (sm_90a) in one pass: five products a pair of tiles, and every sum in a fixed order.
//
// Floor, 48 x 2048, heads 8/4 x 64: 515 GFLOP = 0.67 ms at 766 TFLOP/s. Scores are made once, so dk and dv are summed in registers
// while the queries pass, and dq must be summed across tiles of keys. A block walks all tiles of keys of one head in order and is
// alone with its dq: an element is added to by one thread, always the same, in program order. That fixes the order without
// semaphores (red here only saves the load), and the last addend, the diagonal's, is where the result is written as bf16. A
// second pass for dq would cost seven products instead of five. Tiling after FlashAttention-3 (Shah et al. 2024); the walk is ours.
//
// Queries are walked in chunks of kChunk tiles: 132 heads' whole dq, q and dy are 134 MB and would pass through memory for every
// tile of keys, a chunk's 34 MB stay in L2. Two warpgroups hold 64 keys each (attention_hopper_keys.cuh), a third makes dq = ds k
// and adds it up, a thread of the fourth starts all copies. Where two heads share their keys their blocks are a cluster: each sends
// the other half of its sums, and finishes dv (rank 0) or dk (rank 1).
// Bites: a block stays with its head to the end, so with few windows multiprocessors idle. A barrier waited on by parity must
// not run two phases ahead of the waiter: each stage has its own.
#include "graph/cuda/attention_hopper_keys.cuh"

namespace sixteen::cuda {
namespace {

using namespace hopper_grad;

#if defined(SIXTEEN_SM90A)

// Of the 128 a thread that a block of 512 starts with: 2 x 208 + 64 + 32 = 4 x 128.
constexpr int kKeyRegisters = 208, kQueryRegisters = 64, kFetchRegisters = 32;

struct Maps {
  const CUtensorMap &q, &k, &v, &dy;
};

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

__device__ inline void fetch_all(const Backward& p, const Maps& maps, Shared* s) {
  int stage = 0,
      parity = 1;  // a new barrier counts as one whose odd phase is over: the first round finds all stages empty
  each_turn(p, [&](const Item& item, int turn, int keys, int first, int end) {
    fetch_keys(maps, s, item, keys, turn);
    for (int query = first; query < end; ++query) {
      barrier_wait(shared_address(&s->empty[stage]), parity);
      fetch_queries(p, maps, s, item, query, stage);
      if (++stage == kStages) stage = 0, parity ^= 1;
    }
  });
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

__device__ inline void sum_queries(const Backward& p, Shared* s) {
  const int thread = threadIdx.x % 128;
  float4* sums = p.sums + int64_t{blockIdx.x} * p.chunk * 8 * 128 + thread;
  const uint64_t ds = tile_descriptor(shared_address(s->ds)), k = tile_descriptor(shared_address(s->k));
  int step = 0;
  each_turn(p, [&](const Item& item, int turn, int keys, int first, int end) {
    bf16* out = p.dq + (int64_t{item.window} * p.seq * p.heads + item.head) * kHeadDim;
    for (int query = first; query < end; ++query, ++step) {
      barrier_wait(shared_address(&s->ds_full[step & 1]), step / 2 & 1);
      float dq[32];
      wgmma_fence();
      const uint64_t ds_tile = ds + (step & 1) * 2 * kNextTile, k_tile = k + (turn & 1) * 2 * kNextTile;
      start_tn(dq, ds_tile, k_tile, false);
      start_tn(dq, ds_tile + kNextTile, k_tile + kNextTile, true);
      wgmma_commit();
      wgmma_wait<0>();
      if (thread % 32 == 0) {
        barrier_arrive(shared_address(&s->ds_empty[step & 1]));
        if (query + 1 == end) barrier_arrive(shared_address(&s->keys_empty[turn & 1]));
      }
      add_queries(dq, p, sums + int64_t{query % p.chunk} * 8 * 128, out, keys == 0, query < 2 * keys + 2,
                  query * kTile);
    }
  });
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
    for (int i = 0; i < kStages; ++i) {
      barrier_init(shared_address(&s->full[i]), 1);
      barrier_init(shared_address(&s->empty[i]), 8);
    }
    barrier_init(shared_address(&s->sent_full), 1);
    barrier_init(shared_address(&s->sent_empty), 256);
    barriers_visible();
  }
  if constexpr (kCluster > 1)
    cluster_sync();
  else
    __syncthreads();
  const int warpgroup = __shfl_sync(0xffffffffu, threadIdx.x / 128, 0);
  if (warpgroup < 2) {
    take_registers<kKeyRegisters>();
    hold_keys<kCluster>(p, s, warpgroup);
  } else if (warpgroup == 2) {
    give_registers<kQueryRegisters>();
    sum_queries(p, s);
  } else {
    give_registers<kFetchRegisters>();
    if (threadIdx.x % 128 == 0) fetch_all(p, {q, k, v, dy}, s);
    __syncwarp();
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

void attention_grad_hopper(Launch& l, const AttentionGrad<bf16>& a, const float2* pairs, const AttentionDims& d,
                           float scale) {
  CHECK(d.head_dim == kHeadDim && hopper_grad_fits(d) && d.query_rows == d.seq && d.seq < (1 << 30));
  const int query_tiles = int(ceil_div(d.seq, kTile)), key_tiles = int(ceil_div(d.seq, kKeys)),
            cluster = int(d.heads / d.kv_heads);
  int device = 0, multiprocessors = 0;
  SIXTEEN_CUDA_CHECK(cudaGetDevice(&device));
  SIXTEEN_CUDA_CHECK(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device));
  const int64_t items = d.windows * d.heads, blocks = std::min<int64_t>(items, multiprocessors / cluster * cluster);
  CHECK(items < (1 << 30));
  const int chunk = std::min(kChunk, query_tiles);
  float4* sums = l.scratch<float4>(blocks * chunk * 8 * 128);
  float4* parts = l.scratch<float4>(chunk < query_tiles ? blocks * key_tiles * 16 * 256 : 0);
  if (l.dry || items == 0) return;
  Backward p = {};
  p.dq = a.dq, p.dk = a.dk, p.dv = a.dv, p.add_dq = a.add_dq, p.add_dk = a.add_dk, p.add_dv = a.add_dv;
  p.rows = pairs, p.sums = sums, p.parts = parts;
  p.windows = int(d.windows), p.seq = int(d.seq), p.heads = int(d.heads), p.kv_heads = int(d.kv_heads);
  p.query_tiles = query_tiles, p.key_tiles = key_tiles, p.chunk = chunk;
  p.scale = scale, p.scale_log2 = scale * kLog2E;
  const CUtensorMap maps[4] = {
      head_tiles(a.q, d.windows, d.seq, d.heads), head_tiles(a.k, d.windows, d.seq, d.kv_heads),
      head_tiles(a.v, d.windows, d.seq, d.kv_heads), head_tiles(a.dy, d.windows, d.seq, d.heads)};
  if (cluster == 2)
    launch_clusters(l, attention_hopper_backward<2>, unsigned(blocks), 2, maps, p);
  else
    launch_clusters(l, attention_hopper_backward<1>, unsigned(blocks), 1, maps, p);
}

}  // namespace sixteen::cuda
