// Hopper's own instructions (sm_90a), one small function each: barriers in shared memory, the copy engine, wgmma, registers moved
// between warpgroups; and on the host the maps that tell the copy engine where a tensor's tiles lie.
//
// Sources: PTX ISA 9.0, "mbarrier", "cp.async.bulk.tensor", "wgmma", "Matrix-descriptor format", "setmaxnreg".
// All tiles are 64 rows of 128 bytes (64 bf16) with the 128-byte swizzle, at multiples of 1024 bytes: one descriptor serves a tile
// whether its rows are the product's inner dimension (transposed, "MN-major") or not ("K-major"); only the step between
// slices of 16 differs: 16 rows = 2048 bytes, or 32 bytes along the row.
// Bites: between a wgmma and its wait the registers it reads or writes must not be touched. Everything here exists only when
// compiled for sm_90a (SIXTEEN_SM90A); bodies of kernels stand within that macro.
#pragma once

#include <cuda.h>

#include "graph/cuda/attention_tiles.cuh"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define SIXTEEN_SM90A 1
#endif

namespace sixteen::cuda {

// A map of [windows, rows, heads, 64] bf16 whose tiles are 64 rows of one head; rows past a window's end read as zero.
CUtensorMap head_tiles(const bf16* x, int64_t windows, int64_t rows, int64_t heads);

#if defined(SIXTEEN_SM90A)

// --- barriers in shared memory: `count` arrivals (and the bytes expected) end a phase; parity is the phase waited for, modulo 2

__device__ inline void barrier_init(uint32_t barrier, int count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(count) : "memory");
}
__device__ inline void barriers_visible() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
__device__ inline void barrier_arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
__device__ inline void barrier_expect(uint32_t barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}
__device__ inline void barrier_wait(uint32_t barrier, int parity) {
  asm volatile(
      "{\n.reg .pred done;\nagain:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra over;\nbra again;\nover:\n}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

// --- clusters: the same shared address in the block of that rank

__device__ inline uint32_t peer_address(uint32_t address, int rank) {
  uint32_t mapped;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(mapped) : "r"(address), "r"(rank));
  return mapped;
}
// 16 bytes into the peer's memory, which completes on a barrier there that expects its bytes.
__device__ inline void peer_store(uint32_t address, float a, float b, float c, float d, uint32_t barrier) {
  asm volatile(
      "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%0], {%1, %2, %3, %4}, [%5];" ::"r"(address),
      "f"(a), "f"(b), "f"(c), "f"(d), "r"(barrier)
      : "memory");
}
__device__ inline void peer_arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cluster.b64 _, [%0];" ::"r"(barrier) : "memory");
}
__device__ inline void cluster_sync() {
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}

// --- copies by the copy engine; they complete on a barrier that expects their bytes

__device__ inline void copy_head_tile(uint32_t tile, const CUtensorMap& map, uint32_t barrier, int head, int row,
                                      int window) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4, %5}], "
      "[%6];" ::"r"(tile),
      "l"(&map), "r"(0), "r"(head), "r"(row), "r"(window), "r"(barrier)
      : "memory");
}
__device__ inline void copy_bytes(uint32_t to, const void* from, int bytes, uint32_t barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(to),
               "l"(from), "r"(bytes), "r"(barrier)
               : "memory");
}
// What this thread stored in shared memory is to be read by wgmma or the copy engine.
__device__ inline void fence_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

__device__ inline void stmatrix(uint32_t address, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(a), "r"(b),
               "r"(c), "r"(d)
               : "memory");
}

// --- wgmma

template <int kRegisters>
__device__ inline void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ inline void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// 128-byte swizzle (1 in bits 62-63), 1024 bytes between groups of eight rows; the other stride is not used by these tiles.
__device__ inline uint64_t tile_descriptor(uint32_t tile) {
  return (uint64_t{1} << 62) | (uint64_t{1024 / 16} << 32) | (uint64_t{1} << 16) | ((tile & 0x3ffff) >> 4);
}

__device__ inline void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int kPending>
__device__ inline void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

#define SIXTEEN_ACCUMULATOR                                                                                         \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, " \
  "%24, "                                                                                                           \
  "%25, %26, %27, %28, %29, %30, %31}"
#define SIXTEEN_ACCUMULATOR_OPERANDS(d)                                                                       \
  "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]), "+f"(d[8]), \
      "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]),  \
      "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), \
      "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])

// The same, and what makes x must come before it (without this the compiler moves arithmetic past the wait, where it hides
// nothing) and what uses x after it.
template <int kPending>
__device__ inline void wgmma_wait(float (&x)[32]) {
  asm volatile("wgmma.wait_group.sync.aligned %32;" : SIXTEEN_ACCUMULATOR_OPERANDS(x) : "n"(kPending) : "memory");
}

// d [64, 64] = (add ? d : 0) + a b, 16 of the inner dimension. kTransposed: that operand's rows are the inner dimension.
template <bool kTransposedB>
__device__ inline void wgmma(float (&d)[32], const uint32_t (&a)[4], uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.ne.b32 add, %37, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " SIXTEEN_ACCUMULATOR
      ", {%32, %33, %34, %35}, %36, add, 1, 1, %38;\n}"
      : SIXTEEN_ACCUMULATOR_OPERANDS(d)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(int(add)), "n"(int(kTransposedB)));
}
template <bool kTransposedA, bool kTransposedB>
__device__ inline void wgmma(float (&d)[32], uint64_t a, uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.ne.b32 add, %34, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " SIXTEEN_ACCUMULATOR ", %32, %33, add, 1, 1, %35, %36;\n}"
      : SIXTEEN_ACCUMULATOR_OPERANDS(d)
      : "l"(a), "l"(b), "r"(int(add)), "n"(int(kTransposedA)), "n"(int(kTransposedB)));
}

// Products of whole tiles, given by their descriptors (plus kNextTile for each tile further). They only start; commit and wait are
// the caller's.
constexpr uint64_t kNextTile = kTileBytes / 16, kNextColumns = 32 / 16, kNextRows = 2048 / 16;

// d [64, 64] = a tile^T with a in registers: a column for every row of the tile.
__device__ inline void start_nt(float (&d)[32], const uint32_t (&a)[4][4], uint64_t tile) {
#pragma unroll
  for (int k = 0; k < 4; ++k) wgmma<false>(d, a[k], tile + k * kNextColumns, k > 0);
}
// The same with a as a tile.
__device__ inline void start_nt(float (&d)[32], uint64_t a_tile, uint64_t tile) {
#pragma unroll
  for (int k = 0; k < 4; ++k) wgmma<false, false>(d, a_tile + k * kNextColumns, tile + k * kNextColumns, k > 0);
}
// d [64, 64] += (or, without add, =) a tile.
__device__ inline void start_nn(float (&d)[32], const uint32_t (&a)[4][4], uint64_t tile, bool add) {
#pragma unroll
  for (int k = 0; k < 4; ++k) wgmma<true>(d, a[k], tile + k * kNextRows, add || k > 0);
}
// d [64, 64] += (or =) a_tile^T tile.
__device__ inline void start_tn(float (&d)[32], uint64_t a_tile, uint64_t tile, bool add) {
#pragma unroll
  for (int k = 0; k < 4; ++k) wgmma<true, true>(d, a_tile + k * kNextRows, tile + k * kNextRows, add || k > 0);
}

#endif

}  // namespace sixteen::cuda
