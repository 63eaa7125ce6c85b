// The optimiser ops but Newton-Schulz: sums of squares, clip, Muon's direction and step, AdamW, SGD, EMA. All fp32.
//
// Floor: each state read and written once. Where a record keeps values in bf16, they are rounded (round_bf16) but stay fp32.
// Bites: products that a record rounds on their own are written with __fmul_rn, so that no fma swallows the rounding.
#include "graph/cuda/each_row.cuh"
#include "graph/cuda/kernels.h"

namespace sixteen::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kSumBlock = 8192;  // elements of one partial sum of squares

__global__ void __launch_bounds__(kThreads) squares_of_block(const float* x, int64_t count, float* sums) {
  __shared__ float shared[kThreads / 32];
  const int64_t first = blockIdx.x * kSumBlock, end = min(count, first + kSumBlock);
  float total = 0;
  for (int64_t i = first + threadIdx.x; i < end; i += kThreads) total += x[i] * x[i];
  total = warp_sum(total);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = total;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int w = 1; w < kThreads / 32; ++w) total += shared[w];
  sums[blockIdx.x] = total;
}

__global__ void __launch_bounds__(1024) add_up(const float* sums, int64_t count, float* out) {
  __shared__ double shared[1024];
  double total = 0;  // double: with fp32 the norm, and so the clip, would drift with the model's size
  for (int64_t i = threadIdx.x; i < count; i += 1024) total += sums[i];
  shared[threadIdx.x] = total;
  __syncthreads();
  for (int half = 512; half > 0; half /= 2) {
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) *out = static_cast<float>(shared[0]);
}

__global__ void clip_kernel(const float* sum, float max_norm, float* coefficient, float* norm) {
  *norm = sqrtf(*sum);
  const float wanted = max_norm / (*norm + 1e-6f);
  *coefficient = wanted >= 1.0f ? 1.0f : wanted;  // in this order NaN stays NaN
}

// A warp a row: b = momentum b + g, u = g + momentum b with g = coefficient g; u divided by its row's norm.
__global__ void __launch_bounds__(kThreads) direction_rows(const float* g, const float* coefficient, const float* momentum, float* u,
                                                           float* buffer, int64_t rows, int64_t cols, bool row_norm, bool round) {
  const int64_t row = int64_t{blockIdx.x} * (kThreads / 32) + threadIdx.x / 32;
  if (row >= rows) return;
  const float c = *coefficient, mu = *momentum;
  float squares = 0;
  for (int64_t i = row * cols + threadIdx.x % 32; i < (row + 1) * cols; i += 32) {
    const float gradient = maybe_rounded(__fmul_rn(c, g[i]), round);
    const float b = mu * buffer[i] + gradient, direction = gradient + mu * b;
    squares += direction * direction;
    buffer[i] = maybe_rounded(b, round);
    u[i] = maybe_rounded(direction, round && !row_norm);
  }
  if (!row_norm) return;
  const float norm = fmaxf(sqrtf(warp_sum(squares)), 1e-7f);
  for (int64_t i = row * cols + threadIdx.x % 32; i < (row + 1) * cols; i += 32) u[i] = maybe_rounded(u[i] / norm, round);
}

template <class... Pointers>
bool wide(int64_t count, Pointers... pointers) {
  return count % 4 == 0 && aligned16(pointers...);
}

}  // namespace

void sum_squares(Launch& l, const float* x, float* out, int64_t count) {
  const int64_t blocks = ceil_div(count, kSumBlock);
  float* sums = l.scratch<float>(blocks);
  launch(l, squares_of_block, static_cast<unsigned>(blocks), kThreads, 0, x, count, sums);
  launch(l, add_up, 1, 1024, 0, static_cast<const float*>(sums), blocks, out);
}

void clip_scale(Launch& l, const float* sum, float max_norm, float* coefficient, float* norm) {
  launch(l, clip_kernel, 1, 1, 0, sum, max_norm, coefficient, norm);
}

void muon_direction(Launch& l, const float* g, const float* coefficient, const float* momentum, float* u, float* buffer, int64_t n,
                    int64_t rows, int64_t cols, bool row_norm, bool round_bf16) {
  launch(l, direction_rows, static_cast<unsigned>(ceil_div(n * rows, kThreads / 32)), kThreads, 0, g, coefficient, momentum, u, buffer,
         n * rows, cols, row_norm, round_bf16);
}

void muon_apply(Launch& l, float* w, const float* u, const float* lr, float weight_decay, float factor, bool round_bf16,
                int64_t count) {
  each_row<float>(l, wide(count, w, u), 1, count, [=] __device__(auto width, int64_t, int64_t at, int) {
    constexpr int V = decltype(width)::value;
    Floats<V> x = load<V>(w + at);
    const Floats<V> d = load<V>(u + at);
    const float keep = 1.0f - *lr * weight_decay, step = *lr * factor;
#pragma unroll
    for (int i = 0; i < V; ++i) {
      x.v[i] = maybe_rounded(maybe_rounded(__fmul_rn(keep, x.v[i]), round_bf16) - step * d.v[i], round_bf16);
    }
    store<V>(x, w + at);
  });
}

void adamw(Launch& l, float* p, const float* g, float* m, float* v, const AdamWStep& s, int64_t count) {
  each_row<float>(l, wide(count, p, g, m, v), 1, count, [=] __device__(auto width, int64_t, int64_t at, int) {
    constexpr int V = decltype(width)::value;
    Floats<V> x = load<V>(p + at), d = load<V>(g + at), first = load<V>(m + at), second = load<V>(v + at);
    const float keep = 1.0f - *s.lr * s.weight_decay, size = *s.lr / *s.bias1, bias2 = sqrtf(*s.bias2);
#pragma unroll
    for (int i = 0; i < V; ++i) {
      const float gradient = maybe_rounded(__fmul_rn(*s.coefficient, d.v[i]), s.round_bf16);
      const float new_m = first.v[i] + (1.0f - s.beta1) * (gradient - first.v[i]);
      const float new_v = s.beta2 * second.v[i] + (1.0f - s.beta2) * (gradient * gradient);
      const float new_p = keep * x.v[i] - size * new_m / (sqrtf(new_v) / bias2 + s.eps);
      first.v[i] = maybe_rounded(new_m, s.round_bf16);
      second.v[i] = maybe_rounded(new_v, s.round_bf16);
      x.v[i] = maybe_rounded(new_p, s.round_bf16);
    }
    store<V>(first, m + at);
    store<V>(second, v + at);
    store<V>(x, p + at);
  });
}

void sgd(Launch& l, float* p, const float* g, float* buffer, const float* coefficient, const float* lr, float momentum,
         int64_t count) {
  each_row<float>(l, wide(count, p, g, buffer), 1, count, [=] __device__(auto width, int64_t, int64_t at, int) {
    constexpr int V = decltype(width)::value;
    Floats<V> x = load<V>(p + at), b = load<V>(buffer + at);
    const Floats<V> d = load<V>(g + at);
#pragma unroll
    for (int i = 0; i < V; ++i) {
      b.v[i] = momentum * b.v[i] + *coefficient * d.v[i];
      x.v[i] -= *lr * b.v[i];
    }
    store<V>(b, buffer + at);
    store<V>(x, p + at);
  });
}

void ema(Launch& l, float* e, const float* w, float decay, int64_t count) {
  each_row<float>(l, wide(count, e, w), 1, count, [=] __device__(auto width, int64_t, int64_t at, int) {
    constexpr int V = decltype(width)::value;
    Floats<V> x = load<V>(e + at);
    const Floats<V> d = load<V>(w + at);
#pragma unroll
    for (int i = 0; i < V; ++i) x.v[i] = decay * x.v[i] + (1.0f - decay) * d.v[i];
    store<V>(x, e + at);
  });
}

}  // namespace sixteen::cuda
