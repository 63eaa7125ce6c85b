// Ops that touch each element on its own: fill, cast, scale, axpby, LeakyReLU^2, softcap, their gradients, and ops that also
// know the element's column (residual mix, scaled add, skip gate, lane mix, added row).
//
// Floor: bytes read and written once at the card's copy rate. One thread handles 16 bytes of the activation type.
// Bites: see each_row.cuh.
#include "graph/cuda/kernels.h"
#include "graph/cuda/each_row.cuh"

namespace sixteen::cuda {
namespace {

__device__ inline float leaky(float x, float slope) { return x > 0 ? x : slope * x; }

}  // namespace

void fill_f32(Launch& l, float* y, float value, int64_t count) {
  each_row<float>(l, count % 4 == 0 && aligned16(y), 1, count, [=] __device__(auto width, int64_t, int64_t at, int) {
    constexpr int V = decltype(width)::value;
    Floats<V> x;
#pragma unroll
    for (int i = 0; i < V; ++i) x.v[i] = value;
    store<V>(x, y + at);
  });
}

template <class From, class To>
void scale(Launch& l, const From* x, const float* s, float alpha, To* y, bool add, int64_t count) {
  each_row<bf16>(l, count % 8 == 0 && aligned16(x, y), 1, count, [=] __device__(auto width, int64_t, int64_t at, int) {
    constexpr int V = decltype(width)::value;
    Floats<V> v = load<V>(x + at);
    const float factor = s != nullptr ? alpha * *s : alpha;
#pragma unroll
    for (int i = 0; i < V; ++i) v.v[i] *= factor;
    put<V>(v, y + at, add);
  });
}

template <class T>
void axpby(Launch& l, const T* x, const T* y, float alpha, float beta, T* out, int64_t count) {
  each_row<T>(l, count % kWide<T> == 0 && aligned16(x, y, out), 1, count, [=] __device__(auto width, int64_t, int64_t at, int) {
    constexpr int V = decltype(width)::value;
    Floats<V> a = load<V>(x + at), b = load<V>(y + at);
#pragma unroll
    for (int i = 0; i < V; ++i) a.v[i] = alpha * a.v[i] + beta * b.v[i];
    store<V>(a, out + at);
  });
}

template <class T>
void leaky_relu_sq(Launch& l, const T* h, T* y, float slope, int64_t count) {
  each_row<T>(l, count % kWide<T> == 0 && aligned16(h, y), 1, count, [=] __device__(auto width, int64_t, int64_t at, int) {
    constexpr int V = decltype(width)::value;
    Floats<V> x = load<V>(h + at);
#pragma unroll
    for (int i = 0; i < V; ++i) x.v[i] = leaky(x.v[i], slope) * leaky(x.v[i], slope);
    store<V>(x, y + at);
  });
}

template <class T>
void leaky_relu_sq_grad(Launch& l, const T* h, const T* dy, T* dh, bool add, float slope, int64_t count) {
  each_row<T>(l, count % kWide<T> == 0 && aligned16(h, dy, dh), 1, count, [=] __device__(auto width, int64_t, int64_t at, int) {
    constexpr int V = decltype(width)::value;
    Floats<V> x = load<V>(h + at), d = load<V>(dy + at);
#pragma unroll
    for (int i = 0; i < V; ++i) d.v[i] *= (x.v[i] > 0 ? 2.0f : 2.0f * slope * slope) * x.v[i];
    put<V>(d, dh + at, add);
  });
}

template <class T>
void softcap(Launch& l, const T* z, T* y, float cap, bool fast, int64_t count) {
  each_row<T>(l, false, 1, count, [=] __device__(auto, int64_t, int64_t at, int) {
    const float x = to_float(z[at]);
    from_float(fast ? capped<true>(x, cap) : capped<false>(x, cap), y + at);
  });
}

template <class T>
void softcap_grad(Launch& l, const T* z, const T* dy, T* dz, bool add, float cap, int64_t count) {
  each_row<T>(l, false, 1, count, [=] __device__(auto, int64_t, int64_t at, int) {
    const float t = cap > 0 ? tanhf(to_float(z[at]) / cap) : 0.0f;
    put(to_float(dy[at]) * (1.0f - t * t), dz + at, add);
  });
}

template <class T>
void residual_mix(Launch& l, const T* x, const T* x0, const float* mix, T* y, int64_t rows, int64_t dim) {
  each_row<T>(l, dim % kWide<T> == 0 && aligned16(x, x0, mix, y), rows, dim, [=] __device__(auto width, int64_t, int64_t at, int column) {
    constexpr int V = decltype(width)::value;
    Floats<V> a = load<V>(x + at), b = load<V>(x0 + at);
    const Floats<V> m = load<V>(mix + column), m0 = load<V>(mix + dim + column);
#pragma unroll
    for (int i = 0; i < V; ++i) a.v[i] = m.v[i] * a.v[i] + m0.v[i] * b.v[i];
    store<V>(a, y + at);
  });
}

template <class T>
void add_scaled(Launch& l, const T* x, const T* a, const float* s, T* y, int64_t rows, int64_t dim) {
  each_row<T>(l, dim % kWide<T> == 0 && aligned16(x, a, s, y), rows, dim, [=] __device__(auto width, int64_t, int64_t at, int column) {
    constexpr int V = decltype(width)::value;
    Floats<V> v = load<V>(x + at), u = load<V>(a + at);
    const Floats<V> f = load<V>(s + column);
#pragma unroll
    for (int i = 0; i < V; ++i) v.v[i] += f.v[i] * u.v[i];
    store<V>(v, y + at);
  });
}

template <class To>
void scale_rows(Launch& l, const float* w, const float* s, To* y, int64_t rows, int64_t dim) {
  each_row<bf16>(l, dim % kWide<bf16> == 0 && aligned16(w, y), rows, dim, [=] __device__(auto width, int64_t row, int64_t at, int) {
    constexpr int V = decltype(width)::value;
    Floats<V> v = load<V>(w + at);
    const float factor = s[row];
#pragma unroll
    for (int i = 0; i < V; ++i) v.v[i] *= factor;
    store<V>(v, y + at);
  });
}

template <class T>
void add_row(Launch& l, const T* x, const float* row, T* y, int64_t rows, int64_t dim) {
  each_row<T>(l, dim % kWide<T> == 0 && aligned16(x, row, y), rows, dim, [=] __device__(auto width, int64_t, int64_t at, int column) {
    constexpr int V = decltype(width)::value;
    Floats<V> v = load<V>(x + at);
    const Floats<V> r = load<V>(row + column);
#pragma unroll
    for (int i = 0; i < V; ++i) v.v[i] += r.v[i];
    store<V>(v, y + at);
  });
}

template <class T>
void skip_gate(Launch& l, const T* x, const T* skip, const float* w, const float* gate, T* y, int64_t rows, int64_t dim) {
  each_row<T>(l, dim % kWide<T> == 0 && aligned16(x, skip, w, gate, y), rows, dim, [=] __device__(auto width, int64_t, int64_t at, int column) {
    constexpr int V = decltype(width)::value;
    Floats<V> a = load<V>(x + at), b = load<V>(skip + at);
    const Floats<V> weight = load<V>(w + column), raw = load<V>(gate + column);
#pragma unroll
    for (int i = 0; i < V; ++i) {
      const float g = sigmoid(raw.v[i]);
      a.v[i] = g * a.v[i] + (1.0f - g) * (weight.v[i] * b.v[i]);
    }
    store<V>(a, y + at);
  });
}

template <class T>
void lane_mix(Launch& l, const LaneMix<T>& in, T* y, int64_t rows, int64_t dim) {
  each_row<T>(l, dim % kWide<T> == 0 && aligned16(in.lane, in.a, in.f, in.sa, in.sf, y), rows, dim, [=] __device__(auto width, int64_t, int64_t at, int column) {
    constexpr int V = decltype(width)::value;
    Floats<V> lane = load<V>(in.lane + at), a = load<V>(in.a + at), f = load<V>(in.f + at);
    const Floats<V> sa = load<V>(in.sa + column), sf = load<V>(in.sf + column);
    const float r = *in.r, pa = *in.pa, pf = *in.pf;
#pragma unroll
    for (int i = 0; i < V; ++i) {
      lane.v[i] = r * lane.v[i] + pa * (sa.v[i] * a.v[i]) + pf * (sf.v[i] * f.v[i]);
    }
    store<V>(lane, y + at);
  });
}

template void scale_rows(Launch&, const float*, const float*, float*, int64_t, int64_t);
template void scale_rows(Launch&, const float*, const float*, bf16*, int64_t, int64_t);
template void scale(Launch&, const float*, const float*, float, float*, bool, int64_t);
template void scale(Launch&, const bf16*, const float*, float, bf16*, bool, int64_t);
template void scale(Launch&, const bf16*, const float*, float, float*, bool, int64_t);
template void scale(Launch&, const float*, const float*, float, bf16*, bool, int64_t);

#define SIXTEEN_INSTANTIATE(T)                                                                                    \
  template void axpby(Launch&, const T*, const T*, float, float, T*, int64_t);                                    \
  template void leaky_relu_sq(Launch&, const T*, T*, float, int64_t);                                             \
  template void leaky_relu_sq_grad(Launch&, const T*, const T*, T*, bool, float, int64_t);                        \
  template void softcap(Launch&, const T*, T*, float, bool, int64_t);                                             \
  template void softcap_grad(Launch&, const T*, const T*, T*, bool, float, int64_t);                              \
  template void residual_mix(Launch&, const T*, const T*, const float*, T*, int64_t, int64_t);                    \
  template void add_scaled(Launch&, const T*, const T*, const float*, T*, int64_t, int64_t);                      \
  template void add_row(Launch&, const T*, const float*, T*, int64_t, int64_t);                                   \
  template void skip_gate(Launch&, const T*, const T*, const float*, const float*, T*, int64_t, int64_t);         \
  template void lane_mix(Launch&, const LaneMix<T>&, T*, int64_t, int64_t);
SIXTEEN_INSTANTIATE(float)
SIXTEEN_INSTANTIATE(bf16)
#undef SIXTEEN_INSTANTIATE

}  // namespace sixteen::cuda
