// One head of a row at a time: a group of lanes holds it in registers. At head dim 64 in bf16 that is 8 lanes of 16 bytes, so a warp
// serves four; odd head dims take the slow layout of 32 lanes, an element each.
#pragma once

#include "graph/cuda/pack.cuh"

namespace sixteen::cuda {

constexpr int kHeadThreads = 256;  // of a block

// kLanes lanes hold a head, kParts packs of V elements each; pack p of a lane begins at element (p * kLanes + lane) * V.
template <int kWidth, int kLaneCount, int kPartCount>
struct Layout {
  static constexpr int V = kWidth, kLanes = kLaneCount, kParts = kPartCount;
  int dh, lane;
  bool active;  // lanes beyond the last head go along with it, so that warps stay together, and store nothing

  __device__ int at(int part) const { return (part * kLanes + lane) * V; }
  __device__ bool inside(int part) const { return kParts == 1 || at(part) < dh; }
  __device__ float sum(float x) const {
#pragma unroll
    for (int offset = kLanes / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
    return x;
  }
};

constexpr float kXsaEps = 1e-12f;  // the records' F.normalize

// 1 / max(|v|, eps) of a value's sum of squares
__device__ inline float inverse_length(float squares) { return rsqrtf(fmaxf(squares, kXsaEps * kXsaEps)); }

// A head's elements, or what is computed from them.
template <class L>
struct Head {
  Floats<L::V> v[L::kParts];

  template <class F>
  __device__ void each(F f) {
#pragma unroll
    for (int p = 0; p < L::kParts; ++p) {
#pragma unroll
      for (int i = 0; i < L::V; ++i) f(v[p].v[i], p, i);
    }
  }
};

template <class L, class T>
__device__ inline Head<L> load_head(const L& l, const T* x) {
  Head<L> head;
#pragma unroll
  for (int p = 0; p < L::kParts; ++p) head.v[p] = l.inside(p) ? load<L::V>(x + l.at(p)) : Floats<L::V>{};
  return head;
}

// A head as it lies in memory: all that a load in flight takes of registers.
template <class L, class T>
struct RawHead {
  Packed<T, L::V> v[L::kParts];

  __device__ RawHead() = default;
  __device__ RawHead(const L& l, const T* x) {
#pragma unroll
    for (int p = 0; p < L::kParts; ++p) v[p] = l.inside(p) ? load_pack<L::V>(x + l.at(p)) : Packed<T, L::V>{};
  }
  __device__ explicit RawHead(const Head<L>& head) {
#pragma unroll
    for (int p = 0; p < L::kParts; ++p) v[p] = pack<T>(head.v[p]);
  }
  __device__ Head<L> floats() const {
    Head<L> head;
#pragma unroll
    for (int p = 0; p < L::kParts; ++p) head.v[p] = unpack(v[p]);
    return head;
  }
};

template <class L, class T>
__device__ inline void put_head(const L& l, const Head<L>& head, T* x, bool add) {
#pragma unroll
  for (int p = 0; p < L::kParts; ++p) {
    if (l.active && l.inside(p)) put<L::V>(head.v[p], x + l.at(p), add);
  }
}

template <class L>
__device__ inline float dot(const L& l, const Head<L>& a, const Head<L>& b) {
  float total = 0;
#pragma unroll
  for (int p = 0; p < L::kParts; ++p) {
#pragma unroll
    for (int i = 0; i < L::V; ++i) total += a.v[p].v[i] * b.v[p].v[i];
  }
  return l.sum(total);
}

// body(layout, which) by the lanes of each head
template <class L, class Body>
__global__ void __launch_bounds__(kHeadThreads) each_head(uint32_t count, int dh, Body body) {
  const uint32_t thread = blockIdx.x * kHeadThreads + threadIdx.x, which = thread / L::kLanes;
  body(L{dh, static_cast<int>(thread % L::kLanes), which < count}, min(which, count - 1));
}

// run(layout) with the layout of such heads; `wide`: rows and rotation allow 16-byte packs.
template <class T, class Run>
void with_layout(bool wide, int64_t head_dim, Run run) {
  CHECK(head_dim <= 256);
  constexpr int V = kWide<T>;
  if (wide && head_dim == 8 * V) return run(Layout<V, 8, 1>{});
  if (wide && head_dim == 16 * V) return run(Layout<V, 16, 1>{});
  run(Layout<1, 32, 8>{});
}

template <class T, class Body>
void heads_of(Launch& l, bool wide, int64_t count, int64_t head_dim, Body body) {
  CHECK(count < (int64_t{1} << 26));
  with_layout<T>(wide, head_dim, [&](auto layout) {
    using L = decltype(layout);
    constexpr int kHeads = kHeadThreads / L::kLanes;
    launch(l, each_head<L, Body>, static_cast<unsigned>(ceil_div(count, kHeads)), kHeadThreads, 0, static_cast<uint32_t>(count),
           static_cast<int>(head_dim), body);
  });
}

}  // namespace sixteen::cuda
