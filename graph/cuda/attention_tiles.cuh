// What Hopper's attention kernels share: tiles of 64 rows x 64 bf16 in shared memory, fragments of them, and the online softmax.
//
// A tile's rows are 128 bytes; the 16-byte chunk c of row r lies at chunk c ^ (r % 8), which the copy engine calls a 128-byte
// swizzle: no bank conflicts for ldmatrix and stmatrix. `lane` is the thread's place in its warp.
// Fragments follow the layout of mma.m16n8k16 (PTX ISA, "Matrix fragments"): lane / 4 is the row (and + 8), 2 (lane % 4)
// the first of two columns. An accumulator of 64 columns is float[32]: [4 j + e] is column 8 j + 2 (lane % 4) + e % 2 of row
// lane / 4 + 8 (e / 2).
// Bites: ldmatrix and the votes are warp-wide: no divergence around them. Tiles must begin at multiples of 1024 bytes.
#pragma once

#include "graph/cuda/attention.h"
#include "graph/cuda/pack.cuh"

namespace sixteen::cuda {

constexpr int kHeadDim = 64;  // the only one these kernels do
constexpr int kTile = 64;     // keys a tile: graph/op.h's kAttentionTile
constexpr int kTileBytes = kTile * kHeadDim * 2;
constexpr float kLog2E = 1.4426950408889634f, kLn2 = 0.6931471805599453f;

__device__ inline uint32_t shared_address(const void* p) { return static_cast<uint32_t>(__cvta_generic_to_shared(p)); }

__device__ inline uint32_t chunk_address(uint32_t tile, int row, int chunk) {
  return tile + row * 128 + ((chunk ^ (row & 7)) << 4);
}

__device__ inline float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// 2^x without the special-function unit, to 1e-4 (bf16 rounds at 4e-3): 2^n of the nearest integer through the exponent's bits, the
// rest by a polynomial with p(0) = 1. Below -126.5 it is 0, so a masked score gives exactly 0. x is under 128.
__device__ inline float exp2_polynomial(float x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves n in the low bits
  x = fmaxf(x, -127.0f);
  const float shifted = x + kRound, r = x - (shifted - kRound);
  const float p = fmaf(fmaf(fmaf(0.05500893f, r, 0.24221095f), r, 0.6932829f), r, 1.0f);
  return __int_as_float(__float_as_int(p) + (__float_as_int(shifted) << 23));
}

// Two floats as bf16, the first in the low half.
__device__ inline uint32_t pack_bf16(float low, float high) {
  uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}

// An accumulator of 16 x 64 as the left operand of the next product: chunk k holds its columns 16 k to 16 k + 15.
__device__ inline void pack_operand(const float (&x)[32], uint32_t (&a)[4][4]) {
#pragma unroll
  for (int k = 0; k < 4; ++k) {
#pragma unroll
    for (int i = 0; i < 4; ++i) a[k][i] = pack_bf16(x[8 * k + 2 * i], x[8 * k + 2 * i + 1]);
  }
}

__device__ inline void ldmatrix(uint32_t address, uint32_t (&r)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

// 16 rows of a tile from `row` on, as the left operand.
__device__ inline void load_operand(uint32_t tile, int row, int lane, uint32_t (&a)[4][4]) {
#pragma unroll
  for (int k = 0; k < 4; ++k) ldmatrix(chunk_address(tile, row + lane % 16, 2 * k + lane / 16), a[k]);
}

// --- softmax of 16 rows over tiles of 64 keys (the online softmax of FlashAttention-2, Dao 2023)

// Of this lane's two rows: the largest score so far and the sum of the exponentials, in units of log2.
//
// The maximum moves only when it would rise by more than kSlack: exponentials then reach 2^kSlack at most, which bf16 and
// fp32 hold as well as 1, and the sums so far need rescaling only rarely (as FlashAttention-4 does). Each row decides for
// itself, so its bits do not depend on its neighbours; a key that is masked adds exactly nothing.
struct OnlineSoftmax {
  static constexpr float kSlack = 8.0f;
  static constexpr int kPolynomial = 0;  // of four blocks of columns, those whose exponentials are made so
  float top[2] = {-INFINITY, -INFINITY};
  float sum[2] = {0.0f, 0.0f};

  // Scores become exponentials; what was summed before is to be multiplied by factor, if this returns true (warp-uniform).
  __device__ bool step(float (&s)[32], float scale_log2, float (&factor)[2]) {
    float most[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) most[r] = scale_log2 * largest(s, r);
    const bool moved = __any_sync(0xffffffffu, most[0] > top[0] + kSlack || most[1] > top[1] + kSlack);
    if (moved) move(most, factor);
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float part = 0.0f;
#pragma unroll
      for (int j = 0; j < 8; ++j) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          float& x = s[4 * j + 2 * r + e];
          x = fmaf(x, scale_log2, -top[r]);
          x = j % 4 < kPolynomial ? exp2_polynomial(x) : exp2_fast(x);
          part += x;
        }
      }
      sum[r] += part;
    }
    return moved;
  }

  // Of this lane's part of a row.
  __device__ static float largest(const float (&s)[32], int r) {
    float most[8];
#pragma unroll
    for (int j = 0; j < 8; ++j) most[j] = fmaxf(s[4 * j + 2 * r], s[4 * j + 2 * r + 1]);
#pragma unroll
    for (int half = 4; half > 0; half /= 2) {
#pragma unroll
      for (int j = 0; j < half; ++j) most[j] = fmaxf(most[j], most[j + half]);
    }
    return most[0];
  }

  __device__ void move(float (&most)[2], float (&factor)[2]) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      most[r] = fmaxf(most[r], __shfl_xor_sync(0xffffffffu, most[r], 1));
      most[r] = fmaxf(most[r], __shfl_xor_sync(0xffffffffu, most[r], 2));
      factor[r] = 1.0f;
      if (most[r] > top[r] + kSlack) {
        factor[r] = exp2_fast(top[r] - most[r]);
        top[r] = most[r];
        sum[r] *= factor[r];
      }
    }
  }

  // The four lanes of a row add up their parts.
  __device__ void finish() {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      sum[r] += __shfl_xor_sync(0xffffffffu, sum[r], 1);
      sum[r] += __shfl_xor_sync(0xffffffffu, sum[r], 2);
    }
  }
};

__device__ inline void rescale(float (&o)[32], const float (&factor)[2]) {
#pragma unroll
  for (int i = 0; i < 32; ++i) o[i] *= factor[i / 2 % 2];
}

// Scores of keys after the query become -infinity: key = first_key + column, query = first_query + row (of this lane).
__device__ inline void mask_later_keys(float (&s)[32], int first_key, int first_query, int lane) {
#pragma unroll
  for (int i = 0; i < 32; ++i) {
    const int key = first_key + i / 4 * 8 + lane % 4 * 2 + i % 2, query = first_query + lane / 4 + i / 2 % 2 * 8;
    if (key > query) s[i] = -INFINITY;
  }
}

// Stores (or adds) 16 x 64 results times alpha straight from their fragment: rows from `first` on, `rows` of them exist.
__device__ inline void put_fragment(const float (&x)[32], float alpha, bf16* out, int64_t stride, int first, int rows,
                                    bool add, int lane) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int row = first + lane / 4 + 8 * r;
    if (row >= rows) continue;
    bf16* p = out + row * stride + lane % 4 * 2;
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      float low = alpha * x[4 * j + 2 * r], high = alpha * x[4 * j + 2 * r + 1];
      auto* pair = reinterpret_cast<__nv_bfloat162*>(p + 8 * j);
      if (add) {
        const float2 old = __bfloat1622float2(*pair);
        low += old.x, high += old.y;
      }
      *pair = __floats2bfloat162_rn(low, high);
    }
  }
}

}  // namespace sixteen::cuda
