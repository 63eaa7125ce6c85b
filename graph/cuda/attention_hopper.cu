// Causal attention forward for Hopper (sm_90a): wgmma, the copy engine, and the softmax of one tile under the products of others.
//
// Floor, 48 x 2048, heads 8/4 x 64: 206 GFLOP = 0.27 ms at 766 TFLOP/s; 805 M exponentials = 0.22 ms at 16 a clock and
// multiprocessor: as much again, so both units must work at the same time (FlashAttention-3, Shah et al. 2024).
// A block has two warpgroups of 64 queries and a warp that fetches keys and values; two blocks share a multiprocessor, so four
// warpgroups take turns at the tensor cores by themselves. Where heads come in pairs, the two warpgroups are two heads with the same
// keys at the same 64 positions; else 128 positions of one head. Within a warpgroup the scores of the next tile and the values of
// this one are started together; exponentials are made while the values' product still runs.
// XSA's y -> z (attention.cu) is made of the rows on their way out, with their values read again out of L2.
// Bites: registers. 32 scores, 32 outputs, 16 exponentials, 16 queries leave 16 of 112 for all the rest.
#include "graph/cuda/heads.cuh"
#include "graph/cuda/hopper.cuh"

namespace sixteen::cuda {
namespace {

constexpr int kStages = 5, kWarpgroups = 2, kThreads = kWarpgroups * 128;

struct Forward {
  const int32_t* keys;
  const bf16* v;
  bf16* y;
  float *lse, *along;
  int seq, query_rows, heads, kv_heads;
  float scale_log2;
  bool head_pairs;
  int query_tiles;
};

struct Shared {
  char q[kWarpgroups][kTileBytes], k[kStages][kTileBytes], v[kStages][kTileBytes];
  uint64_t q_full, k_full[kStages], v_full[kStages], empty[kStages];
};
constexpr int kSharedBytes = sizeof(Shared) + 1024;  // the kernel aligns it itself

#if defined(SIXTEEN_SM90A)

// What a block, and in it each warpgroup, works on.
struct Place {
  int window, kv_head, query_tile, seen;  // keys
  __device__ Place(const Forward& p) : seen(static_cast<int>(seen_keys(p.keys, p.seq))) {
    // Tiles of one group of heads follow each other, the long ones first: their keys stay in L2, and the last blocks are short.
    const int groups = p.head_pairs ? p.heads / 2 : p.heads;
    query_tile = p.query_tiles - 1 - blockIdx.x % p.query_tiles;
    const int group = blockIdx.x / p.query_tiles % groups;
    window = blockIdx.x / p.query_tiles / groups;
    first_head_ = p.head_pairs ? 2 * group : group;
    kv_head = first_head_ / (p.heads / p.kv_heads);
  }
  __device__ int head(const Forward& p, int warpgroup) const { return first_head_ + (p.head_pairs ? warpgroup : 0); }
  __device__ int row(const Forward& p, int warpgroup) const {
    return (p.head_pairs ? query_tile : 2 * query_tile + warpgroup) * kTile;
  }
  // Tiles of keys that the queries of a warpgroup see.
  __device__ int tiles(const Forward& p, int warpgroup) const {
    return min(seen - p.query_rows + row(p, warpgroup) + kTile - 1, seen - 1) / kTile + 1;
  }

 private:
  int first_head_;
};

struct Maps {
  const CUtensorMap &q, &k, &v;
};

// One thread's work: starts the copy of a tile of keys and values, once both warpgroups have left what is overwritten.
__device__ inline void fetch_tile(const Place& place, Shared* s, const Maps& maps, int tile) {
  const int stage = tile % kStages;
  if (tile >= kStages) barrier_wait(shared_address(&s->empty[stage]), (tile / kStages - 1) & 1);
  barrier_expect(shared_address(&s->k_full[stage]), kTileBytes);
  copy_head_tile(shared_address(s->k[stage]), maps.k, shared_address(&s->k_full[stage]), place.kv_head, tile * kTile,
                 place.window);
  barrier_expect(shared_address(&s->v_full[stage]), kTileBytes);
  copy_head_tile(shared_address(s->v[stage]), maps.v, shared_address(&s->v_full[stage]), place.kv_head, tile * kTile,
                 place.window);
}

__device__ inline void fetch_first(const Forward& p, const Place& place, Shared* s, const Maps& maps, int tiles) {
  const uint32_t full = shared_address(&s->q_full);
  barrier_expect(full, kWarpgroups * kTileBytes);
  for (int w = 0; w < kWarpgroups; ++w)
    copy_head_tile(shared_address(s->q[w]), maps.q, full, place.head(p, w), place.row(p, w), place.window);
  for (int tile = 0; tile < min(kStages - 1, tiles); ++tile) fetch_tile(place, s, maps, tile);
}

// Eight lanes hold a row of y and of its own value: y becomes z, along is returned (attention.cu).
__device__ inline float remove_value(uint4& y, const uint4& v) {
  Floats<8> a = unpack(reinterpret_cast<const Packed<bf16, 8>&>(y));
  const Floats<8> b = unpack(reinterpret_cast<const Packed<bf16, 8>&>(v));
  float squares = 0, along = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i) squares += b.v[i] * b.v[i], along += a.v[i] * b.v[i];
#pragma unroll
  for (int offset = 4; offset > 0; offset /= 2) {
    squares += __shfl_xor_sync(0xffffffffu, squares, offset);
    along += __shfl_xor_sync(0xffffffffu, along, offset);
  }
  const float inverse = inverse_length(squares);
  along *= inverse;
#pragma unroll
  for (int i = 0; i < 8; ++i) a.v[i] -= along * inverse * b.v[i];
  reinterpret_cast<Packed<bf16, 8>&>(y) = pack<bf16>(a);
  return along;
}

// The values of a warp's rows as write_rows takes them: 16 bytes a lane, four rows at a time. Asked for before the last product, to be
// there after it.
__device__ inline void load_own_values(const Forward& p, const Place& place, int warp_row, int lane, int row0, uint4 (&v)[4]) {
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const int64_t row = min(row0 + warp_row + 4 * j + lane / 8, p.query_rows - 1) + place.seen - p.query_rows;
    const bf16* from = p.v + ((int64_t{place.window} * p.seq + row) * p.kv_heads + place.kv_head) * kHeadDim + lane % 8 * 8;
    asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v[j].x), "=r"(v[j].y), "=r"(v[j].z), "=r"(v[j].w) : "l"(from) : "memory");
  }
}

// A warp's 16 rows go out through its own rows of the query tile, 16 bytes at a time.
template <bool kXsa>
__device__ inline void write_rows(const Forward& p, float (&o)[32], const OnlineSoftmax& softmax, const uint4 (&v)[4], uint32_t tile,
                                  int warp_row, int lane, const Place& place, int64_t head, int row0) {
  const int64_t window = place.window;
  rescale(o, {1.0f / softmax.sum[0], 1.0f / softmax.sum[1]});
#pragma unroll
  for (int j = 0; j < 4; ++j)
    stmatrix(chunk_address(tile, warp_row + lane % 16, 2 * j + lane / 16), pack_bf16(o[8 * j], o[8 * j + 1]),
             pack_bf16(o[8 * j + 2], o[8 * j + 3]), pack_bf16(o[8 * j + 4], o[8 * j + 5]),
             pack_bf16(o[8 * j + 6], o[8 * j + 7]));
  __syncwarp();
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const int row = warp_row + 4 * j + lane / 8;
    uint4 x;
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
                 : "r"(chunk_address(tile, row, lane % 8))
                 : "memory");
    const int64_t at = (window * p.query_rows + row0 + row) * p.heads + head;
    const bool inside = row0 + row < p.query_rows;
    if constexpr (kXsa) {
      const float along = remove_value(x, v[j]);
      if (inside && lane % 8 == 0 && p.along != nullptr) p.along[at] = along;
    }
    if (inside) *reinterpret_cast<uint4*>(p.y + at * kHeadDim + lane % 8 * 8) = x;
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int row = row0 + warp_row + lane / 4 + 8 * r;
    if (lane % 4 == 0 && row < p.query_rows)
      p.lse[(window * p.heads + head) * p.query_rows + row] = softmax.top[r] * kLn2 + logf(softmax.sum[r]);
  }
}

template <bool kXsa>
__device__ inline void attend(const Forward& p, const Place& place, Shared* s, const Maps& maps, int warpgroup) {
  const int lane = threadIdx.x % 32, warp_row = threadIdx.x / 32 % 4 * 16;
  const int tiles = place.tiles(p, warpgroup), all_tiles = place.tiles(p, kWarpgroups - 1);
  const int row0 = place.row(p, warpgroup), head = place.head(p, warpgroup);
  const int query0 = place.seen - p.query_rows + row0 + warp_row;
  const uint32_t q_tile = shared_address(s->q[warpgroup]);
  const uint64_t k_tiles = tile_descriptor(shared_address(s->k)), v_tiles = tile_descriptor(shared_address(s->v));
  uint32_t q[4][4], exponentials[4][4];
  float o[32], scores[32], factor[2];
  OnlineSoftmax softmax;
  int stage = 0, parity = 0, before = 0, parity_before = 0;  // of a tile and the one before: tile % kStages, tile / kStages % 2
  auto free_before = [&] {
    if (lane == 0) barrier_arrive(shared_address(&s->empty[before]));
  };
  auto next_tile = [&] {
    before = stage, parity_before = parity;
    if (++stage == kStages) stage = 0, parity ^= 1;
  };
  auto start_values_before = [&](bool add) {
    barrier_wait(shared_address(&s->v_full[before]), parity_before);
    start_nn(o, exponentials, v_tiles + before * kNextTile, add);
    wgmma_commit();
  };
  auto mask = [&](int tile) {
    if (tile * kTile + kTile - 1 > query0) mask_later_keys(scores, tile * kTile, query0, lane);
  };

  if (threadIdx.x == 0) fetch_first(p, place, s, maps, all_tiles);
  __syncwarp();
  barrier_wait(shared_address(&s->q_full), 0);
  load_operand(q_tile, warp_row, lane, q);
  barrier_wait(shared_address(&s->k_full[0]), 0);
  wgmma_fence();
  start_nt(scores, q, k_tiles);
  wgmma_commit();
  wgmma_wait<0>();
  mask(0);
  softmax.step(scores, p.scale_log2, factor);
  pack_operand(scores, exponentials);
  next_tile();
  for (int tile = 1; tile < tiles; ++tile, next_tile()) {
    barrier_wait(shared_address(&s->k_full[stage]), parity);
    wgmma_fence();
    start_nt(scores, q, k_tiles + stage * kNextTile);
    wgmma_commit();
    start_values_before(tile > 1);
    wgmma_wait<1>(scores);
    mask(tile);
    const bool moved = softmax.step(scores, p.scale_log2, factor);
    // Stands here so that the compiler cannot lift the wait over the softmax, as it does within a block of instructions.
    if (threadIdx.x == 0 && tile + kStages - 2 < all_tiles) fetch_tile(place, s, maps, tile + kStages - 2);
    __syncwarp();
    wgmma_wait<0>(scores);
    free_before();
    if (moved) rescale(o, factor);
    pack_operand(scores, exponentials);
  }
  uint4 own_values[4];
  if constexpr (kXsa) load_own_values(p, place, warp_row, lane, row0, own_values);
  wgmma_fence();
  start_values_before(tiles > 1);
  softmax.finish();
  wgmma_wait<0>();
  for (int tile = tiles; tile < all_tiles; ++tile, next_tile()) {  // only the other warpgroup's
    barrier_wait(shared_address(&s->k_full[stage]), parity);
    free_before();
  }
  write_rows<kXsa>(p, o, softmax, own_values, q_tile, warp_row, lane, place, head, row0);
}

#endif

template <bool kXsa>
__global__ void __launch_bounds__(kThreads, 2)
    attention_hopper_forward(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k,
                             const __grid_constant__ CUtensorMap v, const Forward p) {
#if defined(SIXTEEN_SM90A)
  extern __shared__ char raw[];
  Shared* s = reinterpret_cast<Shared*>(raw + (1024 - shared_address(raw) % 1024) % 1024);
  if (threadIdx.x == 0) {
    barrier_init(shared_address(&s->q_full), 1);
    for (int i = 0; i < kStages; ++i) {
      barrier_init(shared_address(&s->k_full[i]), 1);
      barrier_init(shared_address(&s->v_full[i]), 1);
      barrier_init(shared_address(&s->empty[i]), kWarpgroups * 4);
    }
    barriers_visible();
  }
  __syncthreads();
  const Place place(p);
  const int warpgroup = __shfl_sync(0xffffffffu, threadIdx.x / 128, 0);
  attend<kXsa>(p, place, s, {q, k, v}, warpgroup);
#endif
}

constexpr int kProbeBytes = 4096;

// Tells by its shared memory whether the card runs code for sm_90a: a build for older cards has empty kernels in this file.
__global__ void hopper_probe() {
#if defined(SIXTEEN_SM90A)
  __shared__ char probe[kProbeBytes];
  asm volatile("" ::"r"(shared_address(probe)) : "memory");
#endif
}

}  // namespace

bool on_hopper() {
  int device = 0;
  SIXTEEN_CUDA_CHECK(cudaGetDevice(&device));
  static thread_local int known = -1;
  static thread_local bool hopper = false;
  if (device == known) return hopper;
  cudaFuncAttributes attributes;
  SIXTEEN_CUDA_CHECK(cudaFuncGetAttributes(&attributes, hopper_probe));
  known = device;
  return hopper = attributes.sharedSizeBytes >= kProbeBytes;
}

void attention_hopper(Launch& l, const bf16* q, const bf16* k, const bf16* v, const int32_t* keys, bf16* y, float* lse,
                      const XsaOutput& xsa, const AttentionDims& d, float scale) {
  CHECK(d.head_dim == kHeadDim && d.heads % d.kv_heads == 0 && d.query_rows <= d.seq && d.seq < (1 << 30) && scale > 0);
  if (l.dry || d.windows * d.query_rows == 0) return;
  Forward p = {keys, v, y, lse, xsa.along, int(d.seq), int(d.query_rows), int(d.heads), int(d.kv_heads), scale * kLog2E, false, 0};
  p.head_pairs = d.heads / d.kv_heads % 2 == 0;
  p.query_tiles = int(ceil_div(d.query_rows, p.head_pairs ? kTile : kWarpgroups * kTile));
  const int64_t blocks = d.windows * (p.head_pairs ? d.heads / 2 : d.heads) * p.query_tiles;
  CHECK(blocks < (int64_t{1} << 31));
  const auto kernel = xsa.wanted ? attention_hopper_forward<true> : attention_hopper_forward<false>;
  SIXTEEN_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes));
  launch(l, kernel, unsigned(blocks), kThreads, kSharedBytes,
         head_tiles(q, d.windows, d.query_rows, d.heads), head_tiles(k, d.windows, d.seq, d.kv_heads),
         head_tiles(v, d.windows, d.seq, d.kv_heads), p);
}

CUtensorMap head_tiles(const bf16* x, int64_t windows, int64_t rows, int64_t heads) {
  using Encode = decltype(&cuTensorMapEncodeTiled);
  static const Encode encode = [] {
    void* entry = nullptr;
    cudaDriverEntryPointQueryResult found;
    SIXTEEN_CUDA_CHECK(
        cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault, &found));
    if (found != cudaDriverEntryPointSuccess)
      fail("cuda: the driver has no cuTensorMapEncodeTiled; a driver for CUDA 12.4 or newer is needed");
    return reinterpret_cast<Encode>(entry);
  }();
  const cuuint64_t sizes[4] = {kHeadDim, cuuint64_t(heads), cuuint64_t(rows), cuuint64_t(windows)};
  const cuuint64_t strides[3] = {kHeadDim * 2, sizes[1] * kHeadDim * 2, sizes[1] * sizes[2] * kHeadDim * 2};
  const cuuint32_t box[4] = {kHeadDim, 1, kTile, 1}, steps[4] = {1, 1, 1, 1};
  CUtensorMap map;
  const CUresult result = encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 4, const_cast<bf16*>(x), sizes, strides, box,
                                 steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                 CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  CHECK(result == CUDA_SUCCESS);
  return map;
}

}  // namespace sixteen::cuda
