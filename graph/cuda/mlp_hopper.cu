// The MLP's products with LeakyReLU^2 in their epilogues, for Hopper (sm_90a): wgmma and the copy engine.
//
// Forward: y = act(x up^T), and x up^T itself where the gradient will want it. Backward: dh = (dy down) times act's slope at h.
// Both are [rows, k] times a matrix of k x n, k at most 512: a block keeps 128 of the n columns for all of k in shared memory
// (128 KiB), and rows stream past them. Two blocks of a cluster share the rows: each fetches half of a tile for both, so that L2
// gives a multiprocessor what it would give to tiles of 256 columns. Two warpgroups take turns with tiles of 128 rows: one writes
// its results while the other one multiplies.
// Floor, 98,304 x 512 x 2048: 206 GFLOP, 0.27 ms at 766 TFLOP/s; 0.9 GB, 0.22 ms at 4.2 TB/s: both at the same time.
// Bites: columns lie permuted in shared memory (place_of_column), so that what a thread holds of a row are eight neighbours, 16
// bytes, and stores need no exchange. Each output is one chain over k in order: row-invariant.
#include "graph/cuda/hopper.cuh"
#include "graph/cuda/mlp.h"

namespace sixteen::cuda {
namespace {

constexpr int kColumns = 128, kRows = 128, kSteps = 8;  // of a block's tiles; k in steps of 64
constexpr int kStages = 6, kCluster = 2, kWarpgroups = 2;
constexpr int kThreads = (kWarpgroups + 1) * 128;  // the last warpgroup fetches
constexpr int kHalfBytes = kTileBytes, kStepBytes = kCluster * kHalfBytes;
static_assert(kRows == kCluster * kTile && kColumns == kRows);

struct Product {
  const bf16* w;  // forward [n, k], backward [k, n]
  bf16 *h, *y;    // forward: h is written, where it is not null; backward: read
  int rows, n, steps;
  float slope;
};

struct Shared {
  char w[kSteps][kStepBytes], x[kStages][kStepBytes];
  uint64_t full[kStages], empty[kStages];
};
constexpr int kSharedBytes = sizeof(Shared) + 1024;  // the kernel aligns it itself

#if defined(SIXTEEN_SM90A)

constexpr int kProductRegisters = 232, kFetchRegisters = 40;

// A tile of 64 rows into both blocks of the cluster, at the same address, completing on the barrier of each.
__device__ inline void copy_tile_to_both(uint32_t tile, const CUtensorMap& map, uint32_t barrier, int step, int row) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
      "[%0], [%1, {%2, %3, %4, %5}], [%6], %7;" ::"r"(tile),
      "l"(&map), "r"(0), "r"(step), "r"(row), "r"(0), "r"(barrier), "h"(uint16_t((1 << kCluster) - 1))
      : "memory");
}

// This thread's warp has read a stage. Without ".release.cluster", which waits for all results that are on their way out (541 us
// instead of 362): what wgmma has read and was waited for needs no such fence.
__device__ inline void arrive_at(uint32_t cluster_barrier) {
  asm volatile("mbarrier.arrive.shared::cluster.b64 _, [%0];" ::"r"(cluster_barrier) : "memory");
}

#define SIXTEEN_ACCUMULATOR_128 \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}"
#define SIXTEEN_ACCUMULATOR_128_OPERANDS(d) \
  "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), \
      "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), \
      "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), \
      "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), \
      "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), \
      "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), \
      "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), \
      "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63])

// d [64, 128] = (add ? d : 0) + a b^T, 16 of the inner dimension.
__device__ inline void wgmma_128(float (&d)[64], uint64_t a, uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.ne.b32 add, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " SIXTEEN_ACCUMULATOR_128 ", %64, %65, add, 1, 1, 0, 0;\n}"
      : SIXTEEN_ACCUMULATOR_128_OPERANDS(d)
      : "l"(a), "l"(b), "r"(int(add)));
}

// An accumulator's column 8 j + 2 q + e belongs to the lane with lane % 4 == q. It stands for the column 8 q + 2 (j % 4) + e of its
// block of 32, so that four j are 16 bytes of a row.
__device__ inline int place_of_column(int c) { return c / 32 * 32 + c % 8 / 2 * 8 + c % 32 / 8 * 2 + c % 2; }

// w [n, k] row-major: 16 bytes of a column's inner dimension at a time.
__device__ inline void keep_rows(const Product& p, Shared* s, int first, int thread) {
  const int chunks = p.steps * 8;
#pragma unroll 8
  for (int i = thread; i < kColumns * chunks; i += kWarpgroups * 128) {
    const int column = i / chunks, chunk = i % chunks, row = place_of_column(column);
    const uint4 x = *reinterpret_cast<const uint4*>(p.w + (int64_t{first} + column) * chunks * 8 + chunk * 8);
    *reinterpret_cast<uint4*>(&s->w[chunk / 8][row * 128 + ((chunk % 8 ^ row % 8) << 4)]) = x;
  }
}

// w [k, n] row-major: transposed on the way, two of the inner dimension and eight columns at a time.
__device__ inline void keep_columns(const Product& p, Shared* s, int first, int thread) {
#pragma unroll 4
  for (int i = thread; i < p.steps * 32 * (kColumns / 8); i += kWarpgroups * 128) {
    const int k = i / (kColumns / 8) * 2, column = i % (kColumns / 8) * 8;
    const bf16* from = p.w + int64_t{k} * p.n + first + column;
    const uint4 a = *reinterpret_cast<const uint4*>(from), b = *reinterpret_cast<const uint4*>(from + p.n);
    const uint32_t even[4] = {a.x, a.y, a.z, a.w}, odd[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
    for (int c = 0; c < 8; ++c) {
      const int row = place_of_column(column + c);
      const uint32_t pair = __byte_perm(even[c / 2], odd[c / 2], c % 2 == 0 ? 0x5410 : 0x7632);
      *reinterpret_cast<uint32_t*>(&s->w[k / 64][row * 128 + ((k % 64 / 8 ^ row % 8) << 4) + k % 8 * 2]) = pair;
    }
  }
}

// Where a block's tiles of rows are: every `groups`-th.
struct Tiles {
  int first, step, count;
};

// One thread's work: this block's half of every tile, for both blocks.
__device__ inline void fetch_all(const Product& p, Shared* s, const CUtensorMap& x, const Tiles& tiles, int rank) {
  int turn = 0;
  for (int i = 0; i < tiles.count; ++i) {
    const int row = (tiles.first + i * tiles.step) * kRows + rank * kTile;
    for (int step = 0; step < p.steps; ++step, ++turn) {
      const int stage = turn % kStages;
      const uint32_t full = shared_address(&s->full[stage]);
      if (turn >= kStages) barrier_wait(shared_address(&s->empty[stage]), (turn / kStages - 1) & 1);
      barrier_expect(full, kStepBytes);
      copy_tile_to_both(shared_address(s->x[stage]) + rank * kHalfBytes, x, full, step, row);
    }
  }
}

__device__ inline float slope_at(float h, float slope) { return (h > 0 ? 2.0f : 2.0f * slope * slope) * h; }
__device__ inline float activation(float h, float slope) {
  const float x = h > 0 ? h : slope * h;
  return x * x;
}
__device__ inline float low_bf16(uint32_t pair) { return __uint_as_float(pair << 16); }
__device__ inline float high_bf16(uint32_t pair) { return __uint_as_float(pair & 0xffff0000u); }

// Eight columns of a row, from accumulators d[e + 4 j] (j under 4).
template <bool kBackward>
__device__ inline void finish_eight(const Product& p, const float* d, const uint4& h, int64_t at) {
  uint32_t pre[4], out[4];
  const uint32_t given[4] = {h.x, h.y, h.z, h.w};
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const float a = d[4 * j], b = d[4 * j + 1];
    if constexpr (kBackward) {
      out[j] = pack_bf16(a * slope_at(low_bf16(given[j]), p.slope), b * slope_at(high_bf16(given[j]), p.slope));
    } else {
      pre[j] = pack_bf16(a, b);
      out[j] = pack_bf16(activation(low_bf16(pre[j]), p.slope), activation(high_bf16(pre[j]), p.slope));
    }
  }
  if constexpr (!kBackward) {
    if (p.h != nullptr) *reinterpret_cast<uint4*>(p.h + at) = make_uint4(pre[0], pre[1], pre[2], pre[3]);
  }
  *reinterpret_cast<uint4*>(p.y + at) = make_uint4(out[0], out[1], out[2], out[3]);
}

// 64 rows of a tile. `row0`: the lane's first row; its other one is eight further. `column`: its first.
template <bool kBackward>
__device__ inline void finish_half(const Product& p, const float (&d)[64], int row0, int column) {
  uint4 h[2][4] = {};
  if constexpr (kBackward) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (row0 + 8 * r >= p.rows) continue;
#pragma unroll
      for (int block = 0; block < 4; ++block)
        h[r][block] = *reinterpret_cast<const uint4*>(p.h + (int64_t{row0} + 8 * r) * p.n + column + 32 * block);
    }
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (row0 + 8 * r >= p.rows) continue;
#pragma unroll
    for (int block = 0; block < 4; ++block)
      finish_eight<kBackward>(p, d + 16 * block + 2 * r, h[r][block],
                              (int64_t{row0} + 8 * r) * p.n + column + 32 * block);
  }
}

// What the epilogue will read is on its way to L2 while the tile is multiplied.
__device__ inline void prefetch_row(const Product& p, int row, int column) {
  if (row >= p.rows) return;
  const bf16* h = p.h + int64_t{row} * p.n + column;
  asm volatile("prefetch.global.L2 [%0];" ::"l"(h));
  asm volatile("prefetch.global.L2 [%0];" ::"l"(h + 64));
}

// The warpgroups' products come strictly in turn: one may start when the other has seen all of its stages arrive. Without that a
// warpgroup could wait for a stage's next phase but one, and take the last one for it.
__device__ inline void wait_for_turn(int warpgroup) {
  asm volatile("bar.sync %0, %1;" ::"r"(2 + warpgroup), "n"(kWarpgroups * 128) : "memory");
}
__device__ inline void give_turn_to(int warpgroup) {
  asm volatile("bar.arrive %0, %1;" ::"r"(2 + warpgroup), "n"(kWarpgroups * 128) : "memory");
}

template <bool kBackward>
__device__ inline void multiply_all(const Product& p, Shared* s, const Tiles& tiles, int first_column, int warpgroup) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4;
  const uint64_t w = tile_descriptor(shared_address(s->w)), x = tile_descriptor(shared_address(s->x));
  // Lane r tells block r of the cluster that this warp has read a stage.
  uint32_t empty = 0;
  if (lane < kCluster) empty = peer_address(shared_address(s->empty), lane);
  const auto release = [&](int turn) {
    if (lane < kCluster) arrive_at(empty + turn % kStages * 8);
  };
  float d[2][64];
  if (warpgroup != 0) give_turn_to(0);
  for (int i = warpgroup; i < tiles.count; i += kWarpgroups) {
    const int row = (tiles.first + i * tiles.step) * kRows;
    if constexpr (kBackward) prefetch_row(p, row + threadIdx.x % 128, first_column);
    int turn = i * p.steps;
    wait_for_turn(warpgroup);
    for (int step = 0; step < p.steps; ++step, ++turn) {
      const int stage = turn % kStages;
      barrier_wait(shared_address(&s->full[stage]), turn / kStages & 1);
      wgmma_fence();
#pragma unroll
      for (int k = 0; k < 4; ++k) {
#pragma unroll
        for (int half = 0; half < 2; ++half)
          wgmma_128(d[half], x + stage * (kStepBytes / 16) + half * (kHalfBytes / 16) + k * (32 / 16),
                    w + step * (kStepBytes / 16) + k * (32 / 16), step > 0 || k > 0);
      }
      wgmma_commit();
      if (step > 0) {
        wgmma_wait<1>();
        release(turn - 1);
      }
    }
    if (i + 1 < tiles.count) give_turn_to(1 - warpgroup);
    wgmma_wait<0>();
    release(turn - 1);
#pragma unroll
    for (int half = 0; half < 2; ++half)
      finish_half<kBackward>(p, d[half], row + half * kTile + warp * 16 + lane / 4, first_column + lane % 4 * 8);
  }
}

#endif

template <bool kBackward>
__global__ void __launch_bounds__(kThreads, 1) mlp_product(const __grid_constant__ CUtensorMap x, const Product p) {
#if defined(SIXTEEN_SM90A)
  extern __shared__ char raw[];
  Shared* s = reinterpret_cast<Shared*>(raw + (1024 - shared_address(raw) % 1024) % 1024);
  if (threadIdx.x == 0) {
    for (int i = 0; i < kStages; ++i) {
      barrier_init(shared_address(&s->full[i]), 1);
      barrier_init(shared_address(&s->empty[i]), kCluster * 4);  // the four warps of one warpgroup of each block
    }
    barriers_visible();
  }
  cluster_sync();
  const int bands = p.n / kColumns, band = blockIdx.x % bands, group = blockIdx.x / bands, groups = gridDim.x / bands;
  const int all = (p.rows + kRows - 1) / kRows;
  const Tiles tiles = {group, groups, (all - group + groups - 1) / groups};
  const int warpgroup = __shfl_sync(0xffffffffu, threadIdx.x / 128, 0);
  if (warpgroup == kWarpgroups) {
    give_registers<kFetchRegisters>();
    if (threadIdx.x % 128 == 0) fetch_all(p, s, x, tiles, band % kCluster);
    __syncwarp();
  } else {
    take_registers<kProductRegisters>();
    if constexpr (kBackward) keep_columns(p, s, band * kColumns, threadIdx.x);
    else keep_rows(p, s, band * kColumns, threadIdx.x);
    fence_async();
    asm volatile("bar.sync 1, %0;" ::"n"(kWarpgroups * 128) : "memory");
    multiply_all<kBackward>(p, s, tiles, band * kColumns, warpgroup);
  }
  cluster_sync();  // the other block may still send to this one
#endif
}

template <bool kBackward>
void launch_product(Launch& l, const bf16* x, const Product& p) {
  if (l.dry || p.rows == 0) return;
  int device = 0, multiprocessors = 0;
  SIXTEEN_CUDA_CHECK(cudaGetDevice(&device));
  SIXTEEN_CUDA_CHECK(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device));
  const int bands = p.n / kColumns, tiles = int(ceil_div(p.rows, kRows)), groups = std::clamp(multiprocessors / bands, 1, tiles);
  cudaLaunchAttribute attribute;
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim.x = kCluster, attribute.val.clusterDim.y = 1, attribute.val.clusterDim.z = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = unsigned(bands * groups), config.blockDim = kThreads, config.dynamicSmemBytes = kSharedBytes;
  config.stream = l.stream, config.attrs = &attribute, config.numAttrs = 1;
  SIXTEEN_CUDA_CHECK(
      cudaFuncSetAttribute(mlp_product<kBackward>, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes));
  SIXTEEN_CUDA_CHECK(
      cudaLaunchKernelEx(&config, mlp_product<kBackward>, head_tiles(x, 1, p.rows, p.steps), p));
}

}  // namespace

bool hopper_mlp_fits(int64_t rows, int64_t n, int64_t k) {
  return n % (kColumns * kCluster) == 0 && k % kTile == 0 && k >= kTile && k <= kSteps * kTile && rows < (1 << 30) && n < (1 << 20);
}

void linear_leaky_relu_sq_hopper(Launch& l, const bf16* x, const bf16* w, bf16* y, bf16* h, const MlpShape& s, float slope) {
  launch_product<false>(l, x, {w, h, y, int(s.rows), int(s.n), int(s.k / kTile), slope});
}

void matmul_leaky_relu_sq_grad_hopper(Launch& l, const bf16* dy, const bf16* w, const bf16* h, bf16* dh, const MlpShape& s,
                                      float slope) {
  launch_product<true>(l, dy, {w, const_cast<bf16*>(h), dh, int(s.rows), int(s.n), int(s.k / kTile), slope});
}

}  // namespace sixteen::cuda
