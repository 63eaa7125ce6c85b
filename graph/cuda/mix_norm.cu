// The gradient of residual mix and norm in one pass: a warp a row, the mix recomputed.
//
// With m = mix[0] x + mix[1] x0, r = 1 / rms(m): d = dm + alpha r (dy - m r^2 mean(m dy)); dx = mix[0] d, dx0 = mix[1] d,
// dmix = column sums of d x and d x0. Floor: x, x0, dy, dm read, dx, dx0 written (and read, where added to): 7 passes at most.
// Bites: layer 0's x and x0 are one value and so are their gradients: then dx0 is read after dx was written. Sums: row_sums.cuh's
// parts, so their order depends on the number of rows alone.
#include "graph/cuda/kernels.h"
#include "graph/cuda/row_sums.cuh"

namespace sixteen::cuda {
namespace {

constexpr int kWarps = 4, kBlocks = 4;  // of a block, and on a multiprocessor: with 128 registers nothing spills
constexpr int kArrays = 5;              // read a row: x, x0, dy, and dm and the dx0 so far where they are wanted

template <class T>
struct MixNormGrad {
  const T *x, *x0;
  const float* mix;
  const T *dy, *dm;
  T *dx, *dx0;
  bool add_dx, add_dx0;
  int64_t rows, rows_a_part;
  float alpha, eps;
};

// The block's sums of each column: a warp's part in lane order, the warps in order. parts: [part, 2, dim].
template <int V, int kPacks>
__device__ inline void leave_sums(const Floats<V> (&sums)[2][kPacks], float* parts) {
  constexpr int kDim = 32 * kPacks * V;
  __shared__ float shared[kWarps][kDim];
#pragma unroll
  for (int s = 0; s < 2; ++s) {
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
#pragma unroll
      for (int i = 0; i < V; ++i) shared[threadIdx.y][(p * 32 + threadIdx.x) * V + i] = sums[s][p].v[i];
    }
    __syncthreads();
    for (int c = threadIdx.y * 32 + threadIdx.x; c < kDim; c += kWarps * 32) {
      float total = 0;
#pragma unroll
      for (int w = 0; w < kWarps; ++w) total += shared[w][c];
      parts[(int64_t{blockIdx.x} * 2 + s) * kDim + c] = total;
    }
    __syncthreads();
  }
}

// What a warp reads of a row, on its way through shared memory: the next row's copies run while this one is computed. A lane reads
// what it copied itself, so no barrier is needed.
template <class T, int kPacks>
struct RowInFlight {
  using Pack = Packed<T, kWide<T>>;
  Pack pack[kArrays][kPacks][32];

  __device__ void fetch(const MixNormGrad<T>& a, bool early, int64_t row, int lane) {
    const T* from[kArrays] = {a.x, a.x0, a.dy, a.dm, early ? a.dx0 : nullptr};
#pragma unroll
    for (int i = 0; i < kArrays; ++i) {
#pragma unroll
      for (int p = 0; p < kPacks; ++p) {
        const uint32_t to = static_cast<uint32_t>(__cvta_generic_to_shared(&pack[i][p][lane]));
        const T* source = from[i] + (row * kPacks * 32 + p * 32 + lane) * kWide<T>;
        if (from[i] != nullptr) asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(source) : "memory");
      }
    }
  }
};

// kPacks: 16-byte packs of a row that a lane holds; dim = 32 kPacks V.
template <class T, int kPacks>
__global__ void __launch_bounds__(kWarps * 32, kBlocks) mix_norm_grad_part(MixNormGrad<T> a, float* parts) {
  constexpr int V = kWide<T>, kDim = 32 * kPacks * V;
  extern __shared__ char raw[];
  const int lane = threadIdx.x, warp = threadIdx.y;
  auto* stages = reinterpret_cast<RowInFlight<T, kPacks>*>(raw) + 2 * warp;
  Floats<V> sums[2][kPacks] = {}, mix[2][kPacks];
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
#pragma unroll
    for (int s = 0; s < 2; ++s) mix[s][p] = load<V>(a.mix + s * kDim + (p * 32 + lane) * V);
  }
  const bool early = a.add_dx0 && a.dx0 != a.dx;
  const int64_t first = blockIdx.x * a.rows_a_part + warp, end = min(a.rows, (blockIdx.x + 1) * a.rows_a_part);
  if (first < end) stages[0].fetch(a, early, first, lane);
  asm volatile("cp.async.commit_group;" ::: "memory");
  int turn = 0;
  for (int64_t row = first; row < end; row += kWarps, turn ^= 1) {
    if (row + kWarps < end) stages[turn ^ 1].fetch(a, early, row + kWarps, lane);
    asm volatile("cp.async.commit_group;" ::: "memory");
    asm volatile("cp.async.wait_group 1;" ::: "memory");
    // 16 bytes a read of shared memory: element by element it is this kernel's bottleneck.
    const auto in = [&](int array, int p) { return load<V>(stages[turn].pack[array][p][lane].v); };
    Packed<T, V> m[kPacks];  // exact: in bf16 the mix is rounded
    float squares = 0, products = 0;
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      const Floats<V> x = in(0, p), x0 = in(1, p), dy = in(2, p);
#pragma unroll
      for (int i = 0; i < V; ++i) {
        from_float(mix[0][p].v[i] * x.v[i] + mix[1][p].v[i] * x0.v[i], &m[p].v[i]);
        const float mixed = to_float(m[p].v[i]);
        squares += mixed * mixed;
        products += mixed * dy.v[i];
      }
    }
    const float r = 1.0f / sqrtf(warp_sum(squares) / kDim + a.eps), along_dy = a.alpha * r;
    const float along_m = a.alpha * r * (r * r * (warp_sum(products) / kDim));
    asm volatile("" ::: "memory");  // read again rather than kept: registers are what is short
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
      Floats<V> dx, dx0 = early ? in(4, p) : Floats<V>{};
      const Floats<V> x = in(0, p), x0 = in(1, p), dy = in(2, p), dm = a.dm != nullptr ? in(3, p) : Floats<V>{};
#pragma unroll
      for (int i = 0; i < V; ++i) {
        const float d = along_dy * dy.v[i] - along_m * to_float(m[p].v[i]) + dm.v[i];
        sums[0][p].v[i] += d * x.v[i];
        sums[1][p].v[i] += d * x0.v[i];
        dx.v[i] = mix[0][p].v[i] * d;
        dx0.v[i] += mix[1][p].v[i] * d;
      }
      const int64_t at = row * kDim + (p * 32 + lane) * V;
      put<V>(dx, a.dx + at, a.add_dx);
      put<V>(dx0, a.dx0 + at, a.add_dx0 && !early);
    }
  }
  leave_sums(sums, parts);
}

template <class T, int kPacks>
void one_pass(Launch& l, MixNormGrad<T> a, float* dmix) {
  constexpr int kDim = 32 * kPacks * kWide<T>;
  a.rows_a_part = std::max<int64_t>(kWarps, ceil_div(a.rows, kRowParts));
  const int64_t parts = ceil_div(a.rows, a.rows_a_part);
  float* partial = l.scratch<float>(parts * 2 * kDim);
  constexpr int kShared = 2 * kWarps * sizeof(RowInFlight<T, kPacks>);
  launch(l, mix_norm_grad_part<T, kPacks>, static_cast<unsigned>(parts), dim3(32, kWarps), kShared, a, partial);
  const auto finish = [=] __device__(int i, float sum) { dmix[i] += sum; };
  launch(l, sum_parts<decltype(finish)>, static_cast<unsigned>(2 * kDim / 32), 1024, 0, parts, 2 * kDim,
         static_cast<const float*>(partial), finish);
}

// Rows that do not fit: the parts one after another.
template <class T>
void in_parts(Launch& l, const MixNormGrad<T>& a, float* dmix, int64_t dim) {
  T *m = l.scratch<T>(a.rows * dim), *d = l.scratch<T>(a.rows * dim);
  residual_mix<T>(l, a.x, a.x0, a.mix, m, a.rows, dim);
  if (a.dm != nullptr) scale(l, a.dm, nullptr, 1.0f, d, false, a.rows * dim);
  rms_norm_grad<T>(l, m, a.dy, d, a.dm != nullptr, a.rows, dim, a.alpha, a.eps);
  residual_mix_grad<T>(l, a.x, a.x0, a.mix, d, a.dx, a.add_dx, a.dx0, a.add_dx0, dmix, a.rows, dim);
}

}  // namespace

template <class T>
void mix_norm_grad(Launch& l, const T* x, const T* x0, const float* mix, const T* dy, const T* dm, T* dx, bool add_dx, T* dx0,
                   bool add_dx0, float* dmix, int64_t rows, int64_t dim, float alpha, float eps) {
  const MixNormGrad<T> a{x, x0, mix, dy, dm, dx, dx0, add_dx, add_dx0, rows, 0, alpha, eps};
  const int64_t pack_row = 32 * kWide<T>;
  if (rows == 0 || !aligned16(x, x0, mix, dy, dm, dx, dx0)) return in_parts(l, a, dmix, dim);
  if (dim == pack_row) return one_pass<T, 1>(l, a, dmix);
  if (dim == 2 * pack_row) return one_pass<T, 2>(l, a, dmix);
  in_parts(l, a, dmix, dim);
}

template void mix_norm_grad(Launch&, const float*, const float*, const float*, const float*, const float*, float*, bool, float*, bool,
                            float*, int64_t, int64_t, float, float);
template void mix_norm_grad(Launch&, const bf16*, const bf16*, const float*, const bf16*, const bf16*, bf16*, bool, bf16*, bool, float*,
                            int64_t, int64_t, float, float);

}  // namespace sixteen::cuda
