// Muon's Newton-Schulz iteration over a bank of matrices at once: batched GEMMs and the element work between them.
//
// p(s) = a s + b s^3 + c s^5 on every singular value s: PR 1584 (spec 5.3), after K. Jordan's Muon. With round_bf16 all
// matrices are bf16 in memory, rounded where the record rounds; without, fp32 through the plain product.
// Floor: 4 r r c + 2 r r r flops a step and matrix; tall matrices use X^T X, so nothing is transposed.
// Bites: needs scratch of 2 banks and 2 Gram matrices each.
#include "graph/cuda/kernels.h"
#include "graph/cuda/pack.cuh"

namespace sixteen::cuda {
namespace {

constexpr float kA = 3.4445f, kB = -4.775f, kC = 2.0315f;
constexpr int kThreads = 1024;

// One block a matrix: divisor = |u| + 1e-7, rounded as a bf16 program would.
__global__ void __launch_bounds__(kThreads) norms(const float* u, int64_t count, bool round, float* divisors) {
  __shared__ float shared[kThreads / 32];
  const float* x = u + blockIdx.x * count;
  float total = 0;
  for (int64_t i = threadIdx.x; i < count; i += kThreads) {
    const float v = maybe_rounded(x[i], round);
    total += v * v;
  }
  total = warp_sum(total);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = total;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int w = 1; w < kThreads / 32; ++w) total += shared[w];
  divisors[blockIdx.x] = maybe_rounded(maybe_rounded(sqrtf(total), round) + 1e-7f, round);
}

template <class T>
__global__ void divide(const float* u, const float* divisors, int64_t count, int64_t all, bool round, T* x) {
  for (int64_t i = int64_t{blockIdx.x} * 256 + threadIdx.x; i < all; i += int64_t{gridDim.x} * 256) {
    from_float(maybe_rounded(u[i], round) / divisors[i / count], x + i);
  }
}

// out = alpha x + beta y; each product and the sum rounded when T is bf16
template <class T, class To>
__global__ void combine(const T* x, float alpha, const T* y, float beta, To* out, int64_t count, bool round) {
  for (int64_t i = int64_t{blockIdx.x} * 256 + threadIdx.x; i < count; i += int64_t{gridDim.x} * 256) {
    const float a = maybe_rounded(__fmul_rn(alpha, to_float(x[i])), round), b = maybe_rounded(__fmul_rn(beta, to_float(y[i])), round);
    from_float(maybe_rounded(a + b, round), out + i);
  }
}

unsigned blocks(int64_t count) { return static_cast<unsigned>(std::min<int64_t>(ceil_div(count, 256), 2112)); }

template <class T>
void iterate(Launch& l, const float* u, float* out, int64_t n, int64_t rows, int64_t cols, int64_t steps) {
  constexpr bool kRound = !std::is_same_v<T, float>;
  const bool tall = rows > cols;
  const int64_t s = std::min(rows, cols), k = std::max(rows, cols), count = rows * cols, all = n * count;
  float* divisors = l.scratch<float>(n);
  T* x = l.scratch<T>(all);
  T* product = l.scratch<T>(all);
  T* gram = l.scratch<T>(n * s * s);
  T* square = l.scratch<T>(n * s * s);
  launch(l, norms, static_cast<unsigned>(n), kThreads, 0, u, count, kRound, divisors);
  launch(l, divide<T>, blocks(all), 256, 0, u, static_cast<const float*>(divisors), count, all, kRound, x);
  const T *cx = x, *cg = gram, *cs = square, *cp = product;
  for (int64_t step = 0; step < steps; ++step) {
    matmul(l, {tall, !tall, s, s, k, cols, cols, s, false, n, count, count, s * s}, cx, cx, gram);
    matmul(l, {false, false, s, s, s, s, s, s, false, n, s * s, s * s, s * s}, cg, cg, square);
    launch(l, combine<T, T>, blocks(n * s * s), 256, 0, cg, kB, cs, kC, gram, n * s * s, kRound);
    if (tall) matmul(l, {false, false, rows, cols, s, cols, s, cols, false, n, count, s * s, count}, cx, cg, product);
    else matmul(l, {false, false, rows, cols, s, s, cols, cols, false, n, s * s, count, count}, cg, cx, product);
    if (step + 1 == steps) launch(l, combine<T, float>, blocks(all), 256, 0, cx, kA, cp, 1.0f, out, all, kRound);
    else launch(l, combine<T, T>, blocks(all), 256, 0, cx, kA, cp, 1.0f, x, all, kRound);
  }
}

}  // namespace

void newton_schulz(Launch& l, const float* u, float* out, int64_t n, int64_t rows, int64_t cols, int64_t steps, bool round_bf16) {
  CHECK(steps >= 1 && u != out);
  if (round_bf16) iterate<bf16>(l, u, out, n, rows, cols, steps);
  else iterate<float>(l, u, out, n, rows, cols, steps);
}

}  // namespace sixteen::cuda
