// Ops that need a sum or a maximum over a row: RMS norm, its gradient, fake quantisation. A warp a row.
//
// Floor: read once, written once; the second look at a row comes out of L1, in norms of the model's width out of registers.
// Bites: a lane's elements and the butterfly's order depend on the width alone: row-invariant.
#include "graph/cuda/kernels.h"
#include "graph/cuda/pack.cuh"

namespace sixteen::cuda {
namespace {

constexpr int kWarps = 8;  // rows of a block

// body(width, first element of the row, lane) by each lane of a row's warp
template <int V, class Body>
__global__ void __launch_bounds__(kWarps * 32) each_warp_row(int64_t rows, int64_t dim, Body body) {
  const int64_t row = int64_t{blockIdx.x} * kWarps + threadIdx.y;
  if (row < rows) body(std::integral_constant<int, V>(), row * dim, static_cast<int>(threadIdx.x));
}

template <class T, class Body>
void warp_rows(Launch& l, bool wide, int64_t rows, int64_t dim, Body body) {
  const unsigned blocks = static_cast<unsigned>(ceil_div(rows, kWarps));
  if (wide) launch(l, each_warp_row<kWide<T>, Body>, blocks, dim3(32, kWarps), 0, rows, dim, body);
  else launch(l, each_warp_row<1, Body>, blocks, dim3(32, kWarps), 0, rows, dim, body);
}

// y = alpha x / rms of a row whose packs `take` gives and `give` gets, with (pack, column): kPacks of them a lane, all taken first.
template <int V, int kPacks, class Take, class Give>
__device__ inline void norm_row(int lane, float alpha, float eps, Take take, Give give) {
  Floats<V> v[kPacks];
  float squares = 0;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) v[p] = take((p * 32 + lane) * V);
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
#pragma unroll
    for (int i = 0; i < V; ++i) squares += v[p].v[i] * v[p].v[i];
  }
  const float factor = alpha / sqrtf(warp_sum(squares) / static_cast<float>(kPacks * 32 * V) + eps);
#pragma unroll
  for (int p = 0; p < kPacks; ++p) give(v[p], factor, (p * 32 + lane) * V);
}

}  // namespace

template <class T>
void rms_norm(Launch& l, const T* x, T* y, int64_t rows, int64_t dim, float alpha, float eps) {
  warp_rows<T>(l, dim % kWide<T> == 0 && aligned16(x, y), rows, dim, [=] __device__(auto width, int64_t at, int lane) {
    constexpr int V = decltype(width)::value;
    if (V > 1 && dim == 64 * V) {
      return norm_row<V, 2>(
          lane, alpha, eps, [&](int c) { return load<V>(x + at + c); },
          [&](Floats<V> v, float factor, int c) {
#pragma unroll
            for (int i = 0; i < V; ++i) v.v[i] *= factor;
            store<V>(v, y + at + c);
          });
    }
    float squares = 0;
    for (int64_t c = lane * V; c < dim; c += 32 * V) {
      const Floats<V> v = load<V>(x + at + c);
#pragma unroll
      for (int i = 0; i < V; ++i) squares += v.v[i] * v.v[i];
    }
    const float factor = alpha / sqrtf(warp_sum(squares) / static_cast<float>(dim) + eps);
    for (int64_t c = lane * V; c < dim; c += 32 * V) {
      Floats<V> v = load<V>(x + at + c);
#pragma unroll
      for (int i = 0; i < V; ++i) v.v[i] *= factor;
      store<V>(v, y + at + c);
    }
  });
}

template <class T>
void mix_norm(Launch& l, const T* x, const T* x0, const float* mix, T* y, T* m, int64_t rows, int64_t dim, float alpha, float eps) {
  const bool wide = dim % kWide<T> == 0 && aligned16(x, x0, mix, y, m);
  warp_rows<T>(l, wide, rows, dim, [=] __device__(auto width, int64_t at, int lane) {
    constexpr int V = decltype(width)::value;
    const auto mixed = [&](int64_t c) {
      Floats<V> a = load<V>(x + at + c), b = load<V>(x0 + at + c), ma = load<V>(mix + c), mb = load<V>(mix + dim + c);
#pragma unroll
      for (int i = 0; i < V; ++i) a.v[i] = maybe_rounded(ma.v[i] * a.v[i] + mb.v[i] * b.v[i], std::is_same_v<T, bf16>);
      return a;
    };
    if (V > 1 && dim == 64 * V) {
      return norm_row<V, 2>(lane, alpha, eps, mixed, [&](Floats<V> v, float factor, int c) {
        if (m != nullptr) store<V>(v, m + at + c);
#pragma unroll
        for (int i = 0; i < V; ++i) v.v[i] *= factor;
        store<V>(v, y + at + c);
      });
    }
    float squares = 0;
    for (int64_t c = lane * V; c < dim; c += 32 * V) {
      const Floats<V> v = mixed(c);
#pragma unroll
      for (int i = 0; i < V; ++i) squares += v.v[i] * v.v[i];
    }
    const float factor = alpha / sqrtf(warp_sum(squares) / static_cast<float>(dim) + eps);
    for (int64_t c = lane * V; c < dim; c += 32 * V) {
      Floats<V> v = mixed(c);
      if (m != nullptr) store<V>(v, m + at + c);
#pragma unroll
      for (int i = 0; i < V; ++i) v.v[i] *= factor;
      store<V>(v, y + at + c);
    }
  });
}

// y = alpha r x with r = 1 / rms: dx = alpha r (dy - x r^2 mean(x dy))
template <class T>
void rms_norm_grad(Launch& l, const T* x, const T* dy, T* dx, bool add, int64_t rows, int64_t dim, float alpha, float eps) {
  const bool wide = dim % kWide<T> == 0 && aligned16(x, dy, dx);
  warp_rows<T>(l, wide, rows, dim, [=] __device__(auto width, int64_t at, int lane) {
    constexpr int V = decltype(width)::value;
    float squares = 0, products = 0;
    for (int64_t c = lane * V; c < dim; c += 32 * V) {
      const Floats<V> v = load<V>(x + at + c), d = load<V>(dy + at + c);
#pragma unroll
      for (int i = 0; i < V; ++i) {
        squares += v.v[i] * v.v[i];
        products += v.v[i] * d.v[i];
      }
    }
    const float r = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(dim) + eps), along_dy = alpha * r;
    const float along_x = alpha * r * (r * r * (warp_sum(products) / static_cast<float>(dim)));
    for (int64_t c = lane * V; c < dim; c += 32 * V) {
      const Floats<V> v = load<V>(x + at + c);
      Floats<V> d = load<V>(dy + at + c);
#pragma unroll
      for (int i = 0; i < V; ++i) d.v[i] = along_dy * d.v[i] - along_x * v.v[i];
      put<V>(d, dx + at + c, add);
    }
  });
}

void scale_rows_grad(Launch& l, const float* w, const float* s, const float* dy, float* dw, bool add, float* ds, int64_t rows,
                     int64_t dim) {
  const bool wide = dim % kWide<float> == 0 && aligned16(w, dy, dw);
  warp_rows<float>(l, wide, rows, dim, [=] __device__(auto width, int64_t at, int lane) {
    constexpr int V = decltype(width)::value;
    const int64_t row = at / dim;
    const float factor = s[row];
    float products = 0;
    for (int64_t c = lane * V; c < dim; c += 32 * V) {
      const Floats<V> v = load<V>(w + at + c);
      Floats<V> d = load<V>(dy + at + c);
#pragma unroll
      for (int i = 0; i < V; ++i) {
        products += v.v[i] * d.v[i];
        d.v[i] *= factor;
      }
      put<V>(d, dw + at + c, add);
    }
    products = warp_sum(products);
    if (lane == 0) ds[row] += products;
  });
}

template <class From, class To>
void fake_quant(Launch& l, const From* w, To* y, float low, int64_t rows, int64_t dim) {
  const bool wide = dim % kWide<bf16> == 0 && aligned16(w, y);
  warp_rows<bf16>(l, wide, rows, dim, [=] __device__(auto width, int64_t at, int lane) {
    constexpr int V = decltype(width)::value;
    float most = 0;
    for (int64_t c = lane * V; c < dim; c += 32 * V) {
      const Floats<V> v = load<V>(w + at + c);
#pragma unroll
      for (int i = 0; i < V; ++i) most = fmaxf(most, fabsf(v.v[i]));
    }
    const float step = fmaxf(warp_max(most) / 31.0f, 1.0f / 31.0f);
    for (int64_t c = lane * V; c < dim; c += 32 * V) {
      Floats<V> v = load<V>(w + at + c);
#pragma unroll
      for (int i = 0; i < V; ++i) {
        const float code = fminf(fmaxf(rintf(v.v[i] / step), low), 31.0f);
        v.v[i] += __fmul_rn(code, step) - v.v[i];
      }
      store<V>(v, y + at + c);
    }
  });
}

template void fake_quant(Launch&, const float*, float*, float, int64_t, int64_t);
template void fake_quant(Launch&, const float*, bf16*, float, int64_t, int64_t);
template void fake_quant(Launch&, const bf16*, bf16*, float, int64_t, int64_t);

#define SIXTEEN_INSTANTIATE(T)                                                        \
  template void rms_norm(Launch&, const T*, T*, int64_t, int64_t, float, float);      \
  template void mix_norm(Launch&, const T*, const T*, const float*, T*, T*, int64_t, int64_t, float, float); \
  template void rms_norm_grad(Launch&, const T*, const T*, T*, bool, int64_t, int64_t, float, float);
SIXTEEN_INSTANTIATE(float)
SIXTEEN_INSTANTIATE(bf16)
#undef SIXTEEN_INSTANTIATE

}  // namespace sixteen::cuda
