// Tiles of 64 bf16 a row in shared memory, and the warp's matrix instructions on them (mma.sync m16n8k16, sm_80 and later).
//
// A tile's row is 128 bytes, eight chunks of 16; chunk c of row r lies at place c ^ (r & 7), so that ldmatrix meets no bank
// conflict. Fragments follow the PTX manual: with g = lane / 4 and t = lane % 4 an accumulator holds (row g, columns 2t, 2t + 1)
// and (row g + 8, the same columns).
#pragma once

#include "graph/cuda/pack.cuh"

namespace sixteen::cuda::mma {

constexpr int kWidth = 64;    // bf16 of a row: the head dim
constexpr int kThreads = 128;  // of a block: four warps, 32 rows each

struct Frag {
  uint32_t r[4];
};

__device__ inline uint32_t shared_address(const bf16* tile, int row, int chunk) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(tile + row * kWidth + ((chunk ^ (row & 7)) << 3)));
}

// kRows rows of `from` (stride in elements) into a tile, asynchronously; rows from `valid` on become zeros.
template <int kRows>
__device__ inline void load_tile(bf16* tile, const bf16* from, int64_t stride, int valid) {
#pragma unroll
  for (int i = threadIdx.x; i < kRows * 8; i += kThreads) {
    const int row = i / 8, chunk = i % 8;
    const bool inside = row < valid;
    const bf16* source = from + (inside ? row * stride + chunk * 8 : 0);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(tile, row, chunk)), "l"(source),
                 "r"(inside ? 16 : 0));
  }
}

__device__ inline void commit() { asm volatile("cp.async.commit_group;"); }
template <int kPending>
__device__ inline void wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

__device__ inline Frag ldmatrix(uint32_t address) {
  Frag f;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(f.r[0]), "=r"(f.r[1]), "=r"(f.r[2]), "=r"(f.r[3])
               : "r"(address)
               : "memory");
  return f;
}

__device__ inline Frag ldmatrix_trans(uint32_t address) {
  Frag f;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(f.r[0]), "=r"(f.r[1]), "=r"(f.r[2]), "=r"(f.r[3])
               : "r"(address)
               : "memory");
  return f;
}

// A operand: rows row .. row + 15, columns 16 k .. 16 k + 15.
__device__ inline Frag rows_frag(const bf16* tile, int row, int k) {
  const int lane = threadIdx.x % 32;
  return ldmatrix(shared_address(tile, row + lane % 16, 2 * k + lane / 16));
}

// B operands of a product with the tile transposed: its rows row .. row + 15 are the product's columns (two of 8), its columns
// 16 k .. 16 k + 15 the inner dimension. r[0], r[1] serve the first eight, r[2], r[3] the others.
__device__ inline Frag columns_frag(const bf16* tile, int row, int k) {
  const int lane = threadIdx.x % 32;
  return ldmatrix(shared_address(tile, row + lane % 8 + lane / 16 * 8, 2 * k + lane / 8 % 2));
}

// B operands of a product with the tile as it stands: its rows row .. row + 15 are the inner dimension, its columns 16 n ..
// 16 n + 15 the product's.
__device__ inline Frag inner_frag(const bf16* tile, int row, int n) {
  const int lane = threadIdx.x % 32;
  return ldmatrix_trans(shared_address(tile, row + lane % 16, 2 * n + lane / 16));
}

__device__ inline void multiply(float (&c)[4], const Frag& a, uint32_t b0, uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(b0), "r"(b1));
}

__device__ inline uint32_t pack2(float low, float high) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&both);
}

// Two neighbouring accumulators of 8 columns as an A operand of 16.
__device__ inline Frag as_operand(const float (&left)[4], const float (&right)[4]) {
  return {{pack2(left[0], left[1]), pack2(left[2], left[3]), pack2(right[0], right[1]), pack2(right[2], right[3])}};
}

__device__ inline float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Over the four lanes that hold a row.
__device__ inline float quad_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}
__device__ inline float quad_sum(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

__device__ inline void put2(float a, float b, bf16* out, bool add) { put<2>(Floats<2>{{a, b}}, out, add); }

constexpr float kLog2E = 1.44269504088896340736f, kLn2 = 0.693147180559945309417f;

}  // namespace sixteen::cuda::mma
