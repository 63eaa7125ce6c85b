// Head, softcap and cross-entropy in chunks of rows: the full logits never exist.
//
// A chunk: logits = x table^T (GEMM); one block a row stages them in shared memory, finds maximum and sum, writes the loss and,
// in training, the logits' gradient over the logits; two GEMMs take it to x and the table. Floor: the GEMMs, plus one write and
// (training) three reads and one more write of the logits.
// Bites: training keeps a bf16 graph's logits in bf16, as the records do; scoring keeps them fp32. A row must fit into shared
// memory: vocabularies of at most 50,000. Softcap and exp of bf16 graphs are the fast forms (about 1e-7 of the cap).
#include "graph/cuda/kernels.h"
#include "graph/cuda/pack.cuh"

namespace sixteen::cuda {
namespace {

constexpr int64_t kChunkRows = 8192;
constexpr int kThreads = 256;

template <bool kFast>
__device__ inline float exp_of(float x) {
  return kFast ? __expf(x) : expf(x);
}

// The same value in all threads; fixed order. `shared` holds one float a warp.
template <int kBlock, class F>
__device__ inline float block_reduce(float x, float* shared, F combine) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) x = combine(x, __shfl_xor_sync(0xffffffffu, x, offset));
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = x;
  __syncthreads();
  x = shared[0];
#pragma unroll
  for (int w = 1; w < kBlock / 32; ++w) x = combine(x, shared[w]);
  return x;
}

struct LossRow {
  const int32_t* targets;
  const float* row_weight;  // null: no gradient
  float* nll;
  int vocab;
  float cap;
  bool round_bf16;
};

// One row of logits; with kGradient they are overwritten by row_weight (softmax - onehot) dcap/dz.
template <bool kFast, bool kGradient, class T>
__global__ void __launch_bounds__(kThreads) loss_row(T* logits, LossRow a) {
  extern __shared__ float row[];
  __shared__ float shared[kThreads / 32];
  constexpr int V = kWide<T>;
  T* z = logits + int64_t{blockIdx.x} * a.vocab;
  float highest = -INFINITY;
  const auto take = [&](float raw, int c) {
    const float y = maybe_rounded(capped<kFast>(raw, a.cap), a.round_bf16);
    row[c] = y;
    highest = fmaxf(highest, y);
  };
  const bool wide = a.vocab % V == 0;  // rows then begin 16-byte aligned
  if (wide) {
    for (int c = threadIdx.x * V; c < a.vocab; c += kThreads * V) {
      const Floats<V> v = load<V>(z + c);
#pragma unroll
      for (int i = 0; i < V; ++i) take(v.v[i], c + i);
    }
  } else {
    for (int c = threadIdx.x; c < a.vocab; c += kThreads) take(to_float(z[c]), c);
  }
  highest = block_reduce<kThreads>(highest, shared, [](float x, float y) { return fmaxf(x, y); });
  float total = 0;
  for (int c = threadIdx.x; c < a.vocab; c += kThreads) total += exp_of<kFast>(row[c] - highest);
  total = block_reduce<kThreads>(total, shared, [](float x, float y) { return x + y; });
  const int target = a.targets[blockIdx.x];
  if (threadIdx.x == 0) a.nll[blockIdx.x] = logf(total) + (highest - row[target]);
  if constexpr (kGradient) {
    const float weight = a.row_weight[blockIdx.x], inverse = 1.0f / total, uncap = a.cap > 0 ? 1.0f / a.cap : 0.0f;
    const auto gradient = [&](int c) {
      const float t = row[c] * uncap, p = exp_of<kFast>(row[c] - highest) * inverse;
      return weight * (p - (c == target ? 1.0f : 0.0f)) * (1.0f - t * t);
    };
    if (wide) {
      for (int c = threadIdx.x * V; c < a.vocab; c += kThreads * V) {
        Floats<V> v;
#pragma unroll
        for (int i = 0; i < V; ++i) v.v[i] = gradient(c + i);
        store<V>(v, z + c);
      }
    } else {
      for (int c = threadIdx.x; c < a.vocab; c += kThreads) from_float(gradient(c), z + c);
    }
  }
}

// (1 - tanh(x)) / 2 = 1 / (1 + e^2x), which is all that the kernel below keeps of a logit.
template <bool kFast>
__device__ inline float tanh_rest(float x) {
  if (!kFast) return 0.5f * (1.0f - tanhf(x));
  float power, rest;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x * 2.885390081777927f));  // 2 log2(e)
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(rest) : "f"(1.0f + power));
  return rest;
}

// The same for a vocabulary of 8192 and a cap of at most kLargestFixedCap: then exp(y - cap) neither overflows nor vanishes, so
// that no maximum is needed, and a row stays in registers: one read, one write. With r = tanh_rest(z / cap) the capped logit is
// y = cap (1 - 2 r) and its slope 4 (r - r r). Three special-function calls an entry are the second cost after the bytes.
constexpr float kLargestFixedCap = 40;
constexpr int kFixedVocab = 8192, kFixedThreads = 512;

template <bool kFast, bool kGradient, class T>
__global__ void __launch_bounds__(kFixedThreads) capped_loss_row(T* logits, LossRow a) {
  __shared__ float shared[kFixedThreads / 32], at_target;
  constexpr int V = kWide<T>, kPacks = kFixedVocab / (kFixedThreads * V);
  T* z = logits + int64_t{blockIdx.x} * kFixedVocab + threadIdx.x * V;
  const int target = a.targets[blockIdx.x] - static_cast<int>(threadIdx.x) * V;  // relative to the thread's first element
  const bool has_target = target >= 0 && target % (kFixedThreads * V) < V;
  const float uncap = 1.0f / a.cap, per_rest = -2.0f * 1.4426950408889634f * a.cap;  // log2 of the weight, by r
  Floats<V> r[kPacks], weight[kPacks];
  float total = 0;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) r[p] = load<V>(z + p * kFixedThreads * V);
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
#pragma unroll
    for (int i = 0; i < V; ++i) {
      r[p].v[i] = tanh_rest<kFast>(r[p].v[i] * uncap);
      if (!kGradient && a.round_bf16) r[p].v[i] = 0.5f - 0.5f * uncap * rounded_bf16(a.cap - 2.0f * a.cap * r[p].v[i]);
      if (kFast) asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(weight[p].v[i]) : "f"(r[p].v[i] * per_rest));
      else weight[p].v[i] = exp2f(r[p].v[i] * per_rest);
      total += weight[p].v[i];
    }
  }
  if (has_target) {
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
#pragma unroll
      for (int i = 0; i < V; ++i) {
        if (p * kFixedThreads * V + i == target) at_target = r[p].v[i];
      }
    }
  }
  total = block_reduce<kFixedThreads>(total, shared, [](float x, float other) { return x + other; });
  if (threadIdx.x == 0) a.nll[blockIdx.x] = logf(total) + 2.0f * a.cap * at_target;
  if constexpr (kGradient) {
    const float factor = 4.0f * a.row_weight[blockIdx.x], share = factor / total;
    if (has_target) {
#pragma unroll
      for (int p = 0; p < kPacks; ++p) {
#pragma unroll
        for (int i = 0; i < V; ++i) {
          if (p * kFixedThreads * V + i == target) weight[p].v[i] -= total;
        }
      }
    }
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
#pragma unroll
      for (int i = 0; i < V; ++i) weight[p].v[i] *= share * fmaf(-r[p].v[i], r[p].v[i], r[p].v[i]);
      store<V>(weight[p], z + p * kFixedThreads * V);
    }
  }
}

template <bool kFast, bool kGradient, class T>
void loss_rows(Launch& l, T* logits, int64_t rows, const LossRow& a) {
  if (a.vocab == kFixedVocab && a.cap > 0 && a.cap <= kLargestFixedCap) {
    return launch(l, capped_loss_row<kFast, kGradient, T>, static_cast<unsigned>(rows), kFixedThreads, 0, logits, a);
  }
  const size_t shared = static_cast<size_t>(a.vocab) * sizeof(float);
  CHECK(a.vocab <= 50000);
  if (shared > 40 * 1024) {
    SIXTEEN_CUDA_CHECK(cudaFuncSetAttribute(loss_row<kFast, kGradient, T>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                            static_cast<int>(shared)));
  }
  launch(l, loss_row<kFast, kGradient, T>, static_cast<unsigned>(rows), kThreads, shared, logits, a);
}

}  // namespace

template <class T>
void head_nll(Launch& l, const T* x, const T* table, const int32_t* targets, float* nll, int64_t rows, int64_t dim, int64_t vocab,
              float cap, bool round_bf16) {
  constexpr bool kFast = !std::is_same_v<T, float>;
  float* logits = l.scratch<float>(std::min(rows, kChunkRows) * vocab);
  for (int64_t first = 0; first < rows; first += kChunkRows) {
    const int64_t n = std::min(kChunkRows, rows - first);
    matmul(l, {false, true, n, vocab, dim, dim, dim, vocab, false}, x + first * dim, table, logits);
    loss_rows<kFast, false>(l, logits, n, {targets + first, nullptr, nll + first, static_cast<int>(vocab), cap, round_bf16});
  }
}

template <class T>
void head_loss(Launch& l, const T* x, const T* table, const int32_t* targets, const float* row_weight, float* nll, T* dx,
               float* dtable, int64_t rows, int64_t dim, int64_t vocab, float cap) {
  constexpr bool kFast = !std::is_same_v<T, float>;
  T* logits = l.scratch<T>(std::min(rows, kChunkRows) * vocab);
  for (int64_t first = 0; first < rows; first += kChunkRows) {
    const int64_t n = std::min(kChunkRows, rows - first);
    matmul(l, {false, true, n, vocab, dim, dim, dim, vocab, false}, x + first * dim, table, logits);
    loss_rows<kFast, true>(l, logits, n,
                           {targets + first, row_weight + first, nll + first, static_cast<int>(vocab), cap, false});
    matmul(l, {false, false, n, dim, vocab, vocab, dim, dim, false}, static_cast<const T*>(logits), table, dx + first * dim);
    if (dtable != nullptr) {
      matmul(l, {true, false, vocab, dim, n, vocab, dim, dim, true}, static_cast<const T*>(logits), x + first * dim, dtable);
    }
  }
}

#define SIXTEEN_INSTANTIATE(T)                                                                                                 \
  template void head_nll(Launch&, const T*, const T*, const int32_t*, float*, int64_t, int64_t, int64_t, float, bool);         \
  template void head_loss(Launch&, const T*, const T*, const int32_t*, const float*, float*, T*, float*, int64_t, int64_t,     \
                          int64_t, float);
SIXTEEN_INSTANTIATE(float)
SIXTEEN_INSTANTIATE(bf16)
#undef SIXTEEN_INSTANTIATE

}  // namespace sixteen::cuda
