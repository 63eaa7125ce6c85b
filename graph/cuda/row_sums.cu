// Gradients that end in sums over rows: of channel parameters (mix, scales, gates, lane factors), and SmearGate's.
//
// Floor: every activation read and written once. Sums: row_sums.cuh.
// Bites: factors that are the same for all rows (1 - g, pa) are applied to the sums, not to each row.
#include "graph/cuda/each_row.cuh"
#include "graph/cuda/kernels.h"
#include "graph/cuda/row_sums.cuh"

namespace sixteen::cuda {
namespace {

// *out += factor(i) . column sums, in a fixed order, by one block.
struct Dot {
  const float* sums;
  const float* weights;  // null: ones
  float alpha;
  float* out;
};

template <int N>
struct Dots {
  Dot dot[N];
};

template <int N>
__global__ void __launch_bounds__(32) add_dots(int dim, Dots<N> dots) {
  const Dot d = dots.dot[blockIdx.x];
  double total = 0;  // double: many terms of both signs
  for (int i = threadIdx.x; i < dim; i += 32) total += double(d.weights != nullptr ? d.weights[i] : 1.0f) * d.sums[i];
  for (int offset = 16; offset > 0; offset /= 2) total += __shfl_xor_sync(0xffffffffu, total, offset);
  if (threadIdx.x == 0) *d.out += static_cast<float>(double(d.alpha) * total);
}

struct AddTo {
  float* out;
  __device__ void operator()(int i, float sum) const { out[i] += sum; }
};

struct StoreTo {
  float* out;
  __device__ void operator()(int i, float sum) const { out[i] = sum; }
};

}  // namespace

template <class T>
void scale_by_grad(Launch& l, const T* x, const float* s, const T* dy, float alpha, T* dx, bool add, float* ds, int64_t rows,
                   int64_t dim) {
  float* sums = l.scratch<float>(dim);
  sum_rows<1, T>(l, dim % kWide<T> == 0 && aligned16(x, dy, dx), rows, dim,
                 [=] __device__(auto width, int64_t, int64_t at, int, auto* sum) {
                   constexpr int V = decltype(width)::value;
                   Floats<V> d = load<V>(dy + at);
                   const Floats<V> v = load<V>(x + at);
                   const float factor = alpha * *s;
#pragma unroll
                   for (int i = 0; i < V; ++i) {
                     sum->v[i] += d.v[i] * v.v[i];
                     d.v[i] *= factor;
                   }
                   put<V>(d, dx + at, add);
                 },
                 StoreTo{sums});
  launch(l, add_dots<1>, 1, 32, 0, static_cast<int>(dim), Dots<1>{{{sums, nullptr, alpha, ds}}});
}

template <class T>
void add_row_grad(Launch& l, const T* dy, float* drow, int64_t rows, int64_t dim) {
  sum_rows<1, T>(l, dim % kWide<T> == 0 && aligned16(dy), rows, dim,
                 [=] __device__(auto width, int64_t, int64_t at, int, auto* sum) {
                   constexpr int V = decltype(width)::value;
                   const Floats<V> d = load<V>(dy + at);
#pragma unroll
                   for (int i = 0; i < V; ++i) sum->v[i] += d.v[i];
                 },
                 AddTo{drow});
}

template <class T>
void residual_mix_grad(Launch& l, const T* x, const T* x0, const float* mix, const T* dy, T* dx, bool add_dx, T* dx0, bool add_dx0,
                       float* dmix, int64_t rows, int64_t dim) {
  sum_rows<2, T>(l, dim % kWide<T> == 0 && aligned16(x, x0, mix, dy, dx, dx0), rows, dim,
                 [=] __device__(auto width, int64_t, int64_t at, int column, auto* sum) {
                   constexpr int V = decltype(width)::value;
                   const Floats<V> d = load<V>(dy + at), a = load<V>(x + at), b = load<V>(x0 + at);
                   Floats<V> m = load<V>(mix + column), m0 = load<V>(mix + dim + column);
#pragma unroll
                   for (int i = 0; i < V; ++i) {
                     sum[0].v[i] += d.v[i] * a.v[i];
                     sum[1].v[i] += d.v[i] * b.v[i];
                     m.v[i] *= d.v[i];
                     m0.v[i] *= d.v[i];
                   }
                   put<V>(m, dx + at, add_dx);
                   put<V>(m0, dx0 + at, add_dx0);
                 },
                 AddTo{dmix});
}

template <class T>
void add_scaled_grad(Launch& l, const T* a, const float* s, const T* dy, T* da, bool add, float* ds, int64_t rows, int64_t dim) {
  sum_rows<1, T>(l, dim % kWide<T> == 0 && aligned16(a, s, dy, da), rows, dim,
                 [=] __device__(auto width, int64_t, int64_t at, int column, auto* sum) {
                   constexpr int V = decltype(width)::value;
                   const Floats<V> d = load<V>(dy + at), v = load<V>(a + at);
                   Floats<V> f = load<V>(s + column);
#pragma unroll
                   for (int i = 0; i < V; ++i) {
                     sum->v[i] += d.v[i] * v.v[i];
                     f.v[i] *= d.v[i];
                   }
                   put<V>(f, da + at, add);
                 },
                 AddTo{ds});
}

template <class T, int V, int N>
struct RowPacks {
  Packed<T, V> v[N];
  __device__ Floats<V> floats(int n) const { return unpack(v[n]); }
};

template <int V, class T, class... Rest>
__device__ inline auto row_packs(int64_t at, const T* first, Rest... rest) {
  return RowPacks<T, V, 1 + sizeof...(rest)>{{load_pack<V>(first + at), load_pack<V>(rest + at)...}};
}

template <int V, int N>
struct ColumnFloats {
  Floats<V> v[N];
};

// y = g x + (1 - g) w skip: dw = (1 - g) sum skip dy, dgate = g (1 - g) sum (x - w skip) dy
template <class T>
void skip_gate_grad(Launch& l, const T* x, const T* skip, const float* w, const float* gate, const T* dy, T* dx, bool add_dx,
                    T* dskip, bool add_dskip, float* dw, float* dgate, int64_t rows, int64_t dim) {
  const int n = static_cast<int>(dim);
  sum_rows<2, T>(l, dim % kWide<T> == 0 && aligned16(x, skip, w, gate, dy, dx, dskip), rows, dim,
                 [=] __device__(auto width, int column) {
                   constexpr int V = decltype(width)::value;
                   ColumnFloats<V, 2> c = {{load<V>(w + column), load<V>(gate + column)}};
#pragma unroll
                   for (int i = 0; i < V; ++i) c.v[1].v[i] = sigmoid(c.v[1].v[i]);
                   return c;
                 },
                 [=] __device__(auto width, int64_t at) { return row_packs<decltype(width)::value>(at, dy, x, skip); },
                 [=] __device__(auto width, int64_t, int64_t at, int, const auto& c, const auto& in, auto* sum) {
                   constexpr int V = decltype(width)::value;
                   const Floats<V> d = in.floats(0), a = in.floats(1), b = in.floats(2);
                   Floats<V> da, db;
#pragma unroll
                   for (int i = 0; i < V; ++i) {
                     const float weight = c.v[0].v[i], open = c.v[1].v[i];
                     sum[0].v[i] += b.v[i] * d.v[i];
                     sum[1].v[i] += (a.v[i] - weight * b.v[i]) * d.v[i];
                     da.v[i] = open * d.v[i];
                     db.v[i] = weight * ((1.0f - open) * d.v[i]);
                   }
                   put<V>(da, dx + at, add_dx);
                   put<V>(db, dskip + at, add_dskip);
                 },
                 [=] __device__(int i, float sum) {
                   const float g = sigmoid(gate[i < n ? i : i - n]);
                   if (i < n) dw[i] += (1.0f - g) * sum;
                   else dgate[i - n] += g * (1.0f - g) * sum;
                 });
}

template <class T>
void lane_mix_grad(Launch& l, const LaneMix<T>& in, const T* dy, const LaneMixGrad<T>& out, int64_t rows, int64_t dim) {
  const int n = static_cast<int>(dim);
  float* sums = l.scratch<float>(3 * dim);
  const bool wide = dim % kWide<T> == 0 && aligned16(in.lane, in.a, in.f, in.sa, in.sf, dy, out.lane, out.a, out.f);
  sum_rows<3, T>(l, wide, rows, dim,
                 [=] __device__(auto width, int column) {
                   constexpr int V = decltype(width)::value;
                   ColumnFloats<V, 2> c = {{load<V>(in.sa + column), load<V>(in.sf + column)}};
#pragma unroll
                   for (int i = 0; i < V; ++i) c.v[0].v[i] *= *in.pa, c.v[1].v[i] *= *in.pf;
                   return c;
                 },
                 [=] __device__(auto width, int64_t at) { return row_packs<decltype(width)::value>(at, dy, in.lane, in.a, in.f); },
                 [=] __device__(auto width, int64_t, int64_t at, int, const auto& c, const auto& packs, auto* sum) {
                   constexpr int V = decltype(width)::value;
                   const Floats<V> d = packs.floats(0), lane = packs.floats(1), a = packs.floats(2), f = packs.floats(3);
                   const float r = *in.r;
                   Floats<V> dl, da, df;
#pragma unroll
                   for (int i = 0; i < V; ++i) {
                     sum[0].v[i] += d.v[i] * lane.v[i];
                     sum[1].v[i] += d.v[i] * a.v[i];
                     sum[2].v[i] += d.v[i] * f.v[i];
                     dl.v[i] = r * d.v[i];
                     da.v[i] = c.v[0].v[i] * d.v[i];
                     df.v[i] = c.v[1].v[i] * d.v[i];
                   }
                   put<V>(dl, out.lane + at, out.add_lane);
                   put<V>(da, out.a + at, out.add_a);
                   put<V>(df, out.f + at, out.add_f);
                 },
                 [=] __device__(int i, float sum) {
                   sums[i] = sum;
                   if (i >= n && i < 2 * n) out.sa[i - n] += *in.pa * sum;
                   if (i >= 2 * n) out.sf[i - 2 * n] += *in.pf * sum;
                 });
  launch(l, add_dots<3>, 3, 32, 0, n,
         Dots<3>{{{sums, nullptr, 1, out.r}, {sums + dim, in.sa, 1, out.pa}, {sums + 2 * dim, in.sf, 1, out.pf}}});
}

// y_t = (1 - g) x_t + g x_(t-1)
template <class T>
void smear(Launch& l, const T* x, const float* gate, T* y, int64_t rows, int64_t dim, int64_t seq) {
  const bool wide = dim % kWide<T> == 0 && aligned16(x, gate, y);
  each_row<T>(l, wide, rows, dim, [=] __device__(auto width, int64_t row, int64_t at, int column) {
    constexpr int V = decltype(width)::value;
    Floats<V> v = load<V>(x + at);
    const Floats<V> g = load<V>(gate + column), before = row % seq != 0 ? load<V>(x + at - dim) : Floats<V>{};
#pragma unroll
    for (int i = 0; i < V; ++i) {
      const float open = sigmoid(g.v[i]);
      v.v[i] = (1.0f - open) * v.v[i] + open * before.v[i];
    }
    store<V>(v, y + at);
  });
}

// dx_t = (1 - g) dy_t + g dy_(t+1), dgate = g (1 - g) sum_t (x_(t-1) - x_t) dy_t
template <class T>
void smear_grad(Launch& l, const T* x, const float* gate, const T* dy, T* dx, bool add, float* dgate, int64_t rows, int64_t dim,
                int64_t seq) {
  sum_rows<1, T>(l, dim % kWide<T> == 0 && aligned16(x, gate, dy, dx), rows, dim,
                 [=] __device__(auto width, int64_t row, int64_t at, int column, auto* sum) {
                   constexpr int V = decltype(width)::value;
                   const int64_t t = row % seq;
                   Floats<V> d = load<V>(dy + at);
                   const Floats<V> v = load<V>(x + at), g = load<V>(gate + column);
                   const Floats<V> before = t != 0 ? load<V>(x + at - dim) : Floats<V>{};
                   const Floats<V> after = t + 1 != seq ? load<V>(dy + at + dim) : Floats<V>{};
#pragma unroll
                   for (int i = 0; i < V; ++i) {
                     const float open = sigmoid(g.v[i]);
                     sum->v[i] += (before.v[i] - v.v[i]) * d.v[i];
                     d.v[i] = (1.0f - open) * d.v[i] + open * after.v[i];
                   }
                   put<V>(d, dx + at, add);
                 },
                 [=] __device__(int i, float sum) {
                   const float g = sigmoid(gate[i]);
                   dgate[i] += g * (1.0f - g) * sum;
                 });
}

#define SIXTEEN_INSTANTIATE(T)                                                                                              \
  template void scale_by_grad(Launch&, const T*, const float*, const T*, float, T*, bool, float*, int64_t, int64_t);        \
  template void add_row_grad(Launch&, const T*, float*, int64_t, int64_t);                                                  \
  template void residual_mix_grad(Launch&, const T*, const T*, const float*, const T*, T*, bool, T*, bool, float*, int64_t, \
                                  int64_t);                                                                                 \
  template void add_scaled_grad(Launch&, const T*, const float*, const T*, T*, bool, float*, int64_t, int64_t);             \
  template void skip_gate_grad(Launch&, const T*, const T*, const float*, const float*, const T*, T*, bool, T*, bool,       \
                               float*, float*, int64_t, int64_t);                                                           \
  template void lane_mix_grad(Launch&, const LaneMix<T>&, const T*, const LaneMixGrad<T>&, int64_t, int64_t);               \
  template void smear(Launch&, const T*, const float*, T*, int64_t, int64_t, int64_t);                                      \
  template void smear_grad(Launch&, const T*, const float*, const T*, T*, bool, float*, int64_t, int64_t, int64_t);
SIXTEEN_INSTANTIATE(float)
SIXTEEN_INSTANTIATE(bf16)
#undef SIXTEEN_INSTANTIATE

}  // namespace sixteen::cuda
