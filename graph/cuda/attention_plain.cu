// Causal attention for any head dim up to 128 in fp32 or bf16, forward and backward: a warp a query, or in the second half of
// the backward a warp a key. It serves the golden data and odd shapes; bf16 at head dim 64 goes to tensor cores.
//
// Keys come in tiles of 32 from the window's start, a lane a key; then each lane owns up to four of the head's dims.
// Bites: slow by design (no tensor cores, no sharing between queries). A query's bits depend on its keys alone.
#include "graph/cuda/attention.h"
#include "graph/cuda/pack.cuh"

namespace sixteen::cuda {
namespace {

constexpr int kWarps = 4, kMaxDim = 128, kParts = kMaxDim / 32;

template <class T>
__device__ inline float dot(const float* x, const T* y, int dh) {
  float total = 0;
  for (int c = 0; c < dh; ++c) total = fmaf(x[c], to_float(y[c]), total);
  return total;
}

template <class T>
__device__ inline void stage(const T* from, float* to, int dh, int lane) {
  for (int c = lane; c < dh; c += 32) to[c] = to_float(from[c]);
  __syncwarp();
}

// Where query `i` of all [windows, heads, query_rows] stands.
struct Query {
  int64_t q, kv, lse;  // first elements in q, and in k and v of the window's first key
  int position;
  __device__ Query(const AttentionDims& d, int64_t i, int64_t seen) : lse(i) {
    const int64_t row = i % d.query_rows, h = i / d.query_rows % d.heads, w = i / d.query_rows / d.heads;
    q = ((w * d.query_rows + row) * d.heads + h) * d.head_dim;
    kv = (w * d.seq * d.kv_heads + h / (d.heads / d.kv_heads)) * d.head_dim;
    position = static_cast<int>(seen - d.query_rows + row);
  }
};

template <class T>
__global__ void __launch_bounds__(kWarps * 32) forward(const T* q, const T* k, const T* v, const int32_t* keys, T* y, float* lse,
                                                       AttentionDims d, float scale) {
  __shared__ float query[kWarps][kMaxDim];
  const int64_t i = int64_t{blockIdx.x} * kWarps + threadIdx.y;
  if (i >= d.windows * d.heads * d.query_rows) return;
  const Query at(d, i, seen_keys(keys, d.seq));
  const int dh = static_cast<int>(d.head_dim), lane = threadIdx.x;
  const int64_t stride = d.kv_heads * dh;
  stage(q + at.q, query[threadIdx.y], dh, lane);
  float highest = -INFINITY, total = 0, out[kParts] = {};
  for (int tile = 0; tile <= at.position; tile += 32) {
    const int j = tile + lane;
    const float s = j <= at.position ? scale * dot(query[threadIdx.y], k + at.kv + j * stride, dh) : -INFINITY;
    const float next = fmaxf(highest, warp_max(s)), keep = expf(highest - next), p = expf(s - next);
    total = total * keep + warp_sum(p);
    highest = next;
#pragma unroll
    for (int part = 0; part < kParts; ++part) out[part] *= keep;
    for (int other = 0; other < 32 && tile + other <= at.position; ++other) {
      const float weight = __shfl_sync(0xffffffffu, p, other);
      const T* value = v + at.kv + (tile + other) * stride;
#pragma unroll
      for (int part = 0; part < kParts; ++part) {
        const int c = part * 32 + lane;
        if (c < dh) out[part] = fmaf(weight, to_float(value[c]), out[part]);
      }
    }
  }
#pragma unroll
  for (int part = 0; part < kParts; ++part) {
    const int c = part * 32 + lane;
    if (c < dh) from_float(out[part] / total, y + at.q + c);
  }
  if (lane == 0) lse[at.lse] = highest + logf(total);
}

// ds = p (dp - delta), dq = scale sum ds k
template <class T>
__global__ void __launch_bounds__(kWarps * 32) backward_queries(AttentionGrad<T> a, const float* delta, AttentionDims d, float scale) {
  __shared__ float query[kWarps][kMaxDim], gradient[kWarps][kMaxDim];
  const int64_t i = int64_t{blockIdx.x} * kWarps + threadIdx.y;
  if (i >= d.windows * d.heads * d.seq) return;
  const Query at(d, i, d.seq);
  const int dh = static_cast<int>(d.head_dim), lane = threadIdx.x;
  const int64_t stride = d.kv_heads * dh;
  stage(a.q + at.q, query[threadIdx.y], dh, lane);
  stage(a.dy + at.q, gradient[threadIdx.y], dh, lane);
  const float lse = a.lse[i], own = delta[i];
  float out[kParts] = {};
  for (int tile = 0; tile <= at.position; tile += 32) {
    const int j = tile + lane;
    float ds = 0;
    if (j <= at.position) {
      const float p = expf(scale * dot(query[threadIdx.y], a.k + at.kv + j * stride, dh) - lse);
      ds = p * (dot(gradient[threadIdx.y], a.v + at.kv + j * stride, dh) - own);
    }
    for (int other = 0; other < 32 && tile + other <= at.position; ++other) {
      const float weight = __shfl_sync(0xffffffffu, ds, other);
      const T* key = a.k + at.kv + (tile + other) * stride;
#pragma unroll
      for (int part = 0; part < kParts; ++part) {
        const int c = part * 32 + lane;
        if (c < dh) out[part] = fmaf(weight, to_float(key[c]), out[part]);
      }
    }
  }
#pragma unroll
  for (int part = 0; part < kParts; ++part) {
    const int c = part * 32 + lane;
    if (c < dh) put(scale * out[part], a.dq + at.q + c, a.add_dq);
  }
}

// A warp a key: over the group's heads, then queries from the key's position on, a lane a query.
template <class T>
__global__ void __launch_bounds__(kWarps * 32) backward_keys(AttentionGrad<T> a, const float* delta, AttentionDims d, float scale) {
  __shared__ float key[kWarps][kMaxDim], value[kWarps][kMaxDim];
  const int64_t i = int64_t{blockIdx.x} * kWarps + threadIdx.y;  // (window, position, kv head), as k lies
  if (i >= d.windows * d.seq * d.kv_heads) return;
  const int dh = static_cast<int>(d.head_dim), lane = threadIdx.x, seq = static_cast<int>(d.seq);
  const int64_t g = i % d.kv_heads, w = i / d.kv_heads / d.seq, group = d.heads / d.kv_heads, stride = d.heads * dh;
  const int position = static_cast<int>(i / d.kv_heads % d.seq);
  stage(a.k + i * dh, key[threadIdx.y], dh, lane);
  stage(a.v + i * dh, value[threadIdx.y], dh, lane);
  float dk[kParts] = {}, dv[kParts] = {};
  for (int64_t h = g * group; h < (g + 1) * group; ++h) {
    const int64_t first = w * d.seq * stride + h * dh;
    for (int tile = position; tile < seq; tile += 32) {
      const int row = tile + lane;
      float p = 0, ds = 0;
      if (row < seq) {
        const int64_t statistic = (w * d.heads + h) * d.seq + row;
        p = expf(scale * dot(key[threadIdx.y], a.q + first + row * stride, dh) - a.lse[statistic]);
        ds = p * (dot(value[threadIdx.y], a.dy + first + row * stride, dh) - delta[statistic]);
      }
      for (int other = 0; other < 32 && tile + other < seq; ++other) {
        const float weight = __shfl_sync(0xffffffffu, p, other), along = __shfl_sync(0xffffffffu, ds, other);
        const int64_t row_at = first + (tile + other) * stride;
#pragma unroll
        for (int part = 0; part < kParts; ++part) {
          const int c = part * 32 + lane;
          if (c >= dh) continue;
          dv[part] = fmaf(weight, to_float(a.dy[row_at + c]), dv[part]);
          dk[part] = fmaf(along, to_float(a.q[row_at + c]), dk[part]);
        }
      }
    }
  }
#pragma unroll
  for (int part = 0; part < kParts; ++part) {
    const int c = part * 32 + lane;
    if (c >= dh) continue;
    put(scale * dk[part], a.dk + i * dh + c, a.add_dk);
    put(dv[part], a.dv + i * dh + c, a.add_dv);
  }
}

unsigned blocks(int64_t warps) { return static_cast<unsigned>(ceil_div(warps, kWarps)); }

void check_head_dim(const AttentionDims& d) {
  if (d.head_dim > kMaxDim) fail("cuda: attention with head dim ", d.head_dim, "; at most ", kMaxDim, " is supported");
}

}  // namespace

template <class T>
void attention_plain(Launch& l, const T* q, const T* k, const T* v, const int32_t* keys, T* y, float* lse, const AttentionDims& d,
                     float scale) {
  check_head_dim(d);
  launch(l, forward<T>, blocks(d.windows * d.heads * d.query_rows), dim3(32, kWarps), 0, q, k, v, keys, y, lse, d, scale);
}

template <class T>
void attention_grad_plain(Launch& l, const AttentionGrad<T>& a, const float* delta, const AttentionDims& d, float scale) {
  check_head_dim(d);
  launch(l, backward_queries<T>, blocks(d.windows * d.heads * d.seq), dim3(32, kWarps), 0, a, delta, d, scale);
  launch(l, backward_keys<T>, blocks(d.windows * d.seq * d.kv_heads), dim3(32, kWarps), 0, a, delta, d, scale);
}

#define SIXTEEN_INSTANTIATE(T)                                                                                    \
  template void attention_plain(Launch&, const T*, const T*, const T*, const int32_t*, T*, float*, const AttentionDims&, float); \
  template void attention_grad_plain(Launch&, const AttentionGrad<T>&, const float*, const AttentionDims&, float);
SIXTEEN_INSTANTIATE(float)
SIXTEEN_INSTANTIATE(bf16)
#undef SIXTEEN_INSTANTIATE

}  // namespace sixteen::cuda
