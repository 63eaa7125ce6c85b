// Ops that see one head of a row at a time: norm, rotation and gain of queries and keys, XSA, the learned gate a head; with
// their gradients. A warp a head (XSA: a warp a group of heads that share a value), V elements a lane at a time.
//
// Floor: read once, written once; second looks come out of L1.
// Bites: half layout of the rotation: (a, b) -> (a cos + b sin, b cos - a sin) with b = x[i + half]; what lies beyond passes.
#include "graph/cuda/kernels.h"
#include "graph/cuda/row_sums.cuh"

namespace sixteen::cuda {
namespace {

constexpr int kWarps = 8;
constexpr float kXsaEps = 1e-12f;  // the records' F.normalize

// body(width, which, lane) for `count` warps
template <int V, class Body>
__global__ void __launch_bounds__(kWarps * 32) each_warp(int64_t count, Body body) {
  const int64_t which = int64_t{blockIdx.x} * kWarps + threadIdx.y;
  if (which < count) body(std::integral_constant<int, V>(), which, static_cast<int>(threadIdx.x));
}

template <class Body>
void warps(Launch& l, bool pairs, int64_t count, Body body) {
  const unsigned blocks = static_cast<unsigned>(ceil_div(count, kWarps));
  if (pairs) launch(l, each_warp<2, Body>, blocks, dim3(32, kWarps), 0, count, body);
  else launch(l, each_warp<1, Body>, blocks, dim3(32, kWarps), 0, count, body);
}

// Elements c .. c + V of rope(x), or of the rotation back when sign is -1.
template <int V, class T>
__device__ inline Floats<V> rotated(const T* x, const float* cos, const float* sin, int half, int c, float sign) {
  Floats<V> v = load<V>(x + c);
  if (c >= 2 * half) return v;
  const bool first = c < half;
  const Floats<V> other = load<V>(x + (first ? c + half : c - half));
  const int angle = first ? c : c - half;
  const float turn = first ? sign : -sign;
#pragma unroll
  for (int i = 0; i < V; ++i) v.v[i] = v.v[i] * cos[angle + i] + turn * (other.v[i] * sin[angle + i]);
  return v;
}

template <int V, class T>
__device__ inline float dot(const T* a, const T* b, int dh, int lane) {
  float total = 0;
  for (int c = lane * V; c < dh; c += 32 * V) {
    const Floats<V> x = load<V>(a + c), y = load<V>(b + c);
#pragma unroll
    for (int i = 0; i < V; ++i) total += x.v[i] * y.v[i];
  }
  return warp_sum(total);
}

bool even(std::initializer_list<int64_t> numbers) {
  return std::all_of(numbers.begin(), numbers.end(), [](int64_t n) { return n % 2 == 0; });
}

}  // namespace

template <class T>
void head_norm(Launch& l, const T* x, const float* cos, const float* sin, const float* gain, T* y, const HeadNormShape& s,
               float eps) {
  const int dh = static_cast<int>(s.head_dim), half = static_cast<int>(s.rope_half);
  warps(l, even({dh, half}) && aligned16(x, y), s.rows * s.heads, [=] __device__(auto width, int64_t head, int lane) {
    constexpr int V = decltype(width)::value;
    const int64_t at = head * dh, angles = head / s.heads % s.seq * half;
    const float r = 1.0f / sqrtf(dot<V>(x + at, x + at, dh, lane) / static_cast<float>(dh) + eps);
    const float factor = gain != nullptr ? gain[head % s.heads] * r : r;
    for (int c = lane * V; c < dh; c += 32 * V) {
      Floats<V> v = rotated<V>(x + at, cos + angles, sin + angles, half, c, 1.0f);
#pragma unroll
      for (int i = 0; i < V; ++i) v.v[i] *= factor;
      store<V>(v, y + at + c);
    }
  });
}

// With r = 1 / rms and t = dy rotated back: y = gain rope(r x), so dx = gain r (t - x r^2 (x . t) / dh), dgain = r x . t.
template <class T>
void head_norm_grad(Launch& l, const T* x, const float* cos, const float* sin, const float* gain, const T* dy, T* dx, bool add,
                    float* dgain, const HeadNormShape& s, float eps) {
  const int dh = static_cast<int>(s.head_dim), half = static_cast<int>(s.rope_half);
  float* along_rows = l.scratch<float>(s.rows * s.heads);
  warps(l, even({dh, half}) && aligned16(x, dy, dx), s.rows * s.heads, [=] __device__(auto width, int64_t head, int lane) {
    constexpr int V = decltype(width)::value;
    const int64_t at = head * dh, angles = head / s.heads % s.seq * half;
    float squares = 0, products = 0;
    for (int c = lane * V; c < dh; c += 32 * V) {
      const Floats<V> v = load<V>(x + at + c), t = rotated<V>(dy + at, cos + angles, sin + angles, half, c, -1.0f);
#pragma unroll
      for (int i = 0; i < V; ++i) {
        squares += v.v[i] * v.v[i];
        products += v.v[i] * t.v[i];
      }
    }
    const float r = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(dh) + eps), along = warp_sum(products) * r;
    const float factor = gain != nullptr ? gain[head % s.heads] * r : r, back = along * r / static_cast<float>(dh);
    if (lane == 0) along_rows[head] = along;
    for (int c = lane * V; c < dh; c += 32 * V) {
      const Floats<V> v = load<V>(x + at + c);
      Floats<V> t = rotated<V>(dy + at, cos + angles, sin + angles, half, c, -1.0f);
#pragma unroll
      for (int i = 0; i < V; ++i) t.v[i] = factor * (t.v[i] - back * v.v[i]);
      put<V>(t, dx + at + c, add);
    }
  });
  if (dgain != nullptr) add_row_grad<float>(l, along_rows, dgain, s.rows, s.heads);
}

template <class T>
void xsa(Launch& l, const T* y, const T* v, T* out, int64_t rows, int64_t heads, int64_t kv_heads, int64_t head_dim) {
  const int dh = static_cast<int>(head_dim), group = static_cast<int>(heads / kv_heads);
  warps(l, dh % 2 == 0 && aligned16(y, v, out), rows * kv_heads, [=] __device__(auto width, int64_t g, int lane) {
    constexpr int V = decltype(width)::value;
    const T* value = v + g * dh;
    const float inverse = 1.0f / fmaxf(sqrtf(dot<V>(value, value, dh, lane)), kXsaEps);
    for (int64_t h = g * group; h < (g + 1) * group; ++h) {
      const float factor = dot<V>(y + h * dh, value, dh, lane) * inverse * inverse;
      for (int c = lane * V; c < dh; c += 32 * V) {
        Floats<V> x = load<V>(y + h * dh + c);
        const Floats<V> u = load<V>(value + c);
#pragma unroll
        for (int i = 0; i < V; ++i) x.v[i] -= factor * u.v[i];
        store<V>(x, out + h * dh + c);
      }
    }
  });
}

// With u = v / |v|: dy = do - (do . u) u; du = -sum over the group of (y . u) do + (do . u) y; dv = (du - (du . u) u) / |v|.
// A lane keeps its part of du in registers: head dims of up to 256.
template <class T>
void xsa_grad(Launch& l, const T* y, const T* v, const T* dout, T* dy, bool add_dy, T* dv, bool add_dv, int64_t rows,
              int64_t heads, int64_t kv_heads, int64_t head_dim) {
  CHECK(head_dim <= 256);
  const int dh = static_cast<int>(head_dim), group = static_cast<int>(heads / kv_heads);
  const bool pairs = dh % 2 == 0 && aligned16(y, v, dout, dy, dv);
  warps(l, pairs, rows * kv_heads, [=] __device__(auto width, int64_t g, int lane) {
    constexpr int V = decltype(width)::value, kParts = 8 / V;
    const T* value = v + g * dh;
    const float length = sqrtf(dot<V>(value, value, dh, lane)), inverse = 1.0f / fmaxf(length, kXsaEps);
    Floats<V> du[kParts] = {};
    for (int64_t h = g * group; h < (g + 1) * group; ++h) {
      const float along_d = dot<V>(dout + h * dh, value, dh, lane) * inverse, along_y = dot<V>(y + h * dh, value, dh, lane) * inverse;
#pragma unroll
      for (int part = 0; part < kParts; ++part) {
        const int c = (part * 32 + lane) * V;
        if (c >= dh) break;
        const Floats<V> x = load<V>(y + h * dh + c), u = load<V>(value + c);
        Floats<V> t = load<V>(dout + h * dh + c);
#pragma unroll
        for (int i = 0; i < V; ++i) {
          du[part].v[i] -= along_d * x.v[i] + along_y * t.v[i];
          t.v[i] -= along_d * inverse * u.v[i];
        }
        put<V>(t, dy + h * dh + c, add_dy);
      }
    }
    float products = 0;
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      const int c = (part * 32 + lane) * V;
      if (c >= dh) break;
      const Floats<V> u = load<V>(value + c);
#pragma unroll
      for (int i = 0; i < V; ++i) products += du[part].v[i] * u.v[i];
    }
    // Below the bound |v| is a constant there, so nothing is taken off along v.
    const float total = warp_sum(products), along = length > kXsaEps ? total * inverse * inverse : 0.0f;
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      const int c = (part * 32 + lane) * V;
      if (c >= dh) break;
      const Floats<V> u = load<V>(value + c);
#pragma unroll
      for (int i = 0; i < V; ++i) du[part].v[i] = inverse * (du[part].v[i] - along * u.v[i]);
      put<V>(du[part], dv + g * dh + c, add_dv);
    }
  });
}

template <class T>
void head_gate(Launch& l, const T* y, const T* z, const float* bias, T* out, int64_t rows, int64_t heads, int64_t head_dim) {
  const int dh = static_cast<int>(head_dim);
  warps(l, dh % 2 == 0 && aligned16(y, out), rows * heads, [=] __device__(auto width, int64_t head, int lane) {
    constexpr int V = decltype(width)::value;
    const float open = sigmoid(to_float(z[head]) + bias[head % heads]);
    for (int c = lane * V; c < dh; c += 32 * V) {
      Floats<V> x = load<V>(y + head * dh + c);
#pragma unroll
      for (int i = 0; i < V; ++i) x.v[i] *= open;
      store<V>(x, out + head * dh + c);
    }
  });
}

template <class T>
void head_gate_grad(Launch& l, const T* y, const T* z, const float* bias, const T* dout, T* dy, bool add_dy, T* dz, bool add_dz,
                    float* dbias, int64_t rows, int64_t heads, int64_t head_dim) {
  const int dh = static_cast<int>(head_dim);
  float* dz_rows = l.scratch<float>(rows * heads);
  warps(l, dh % 2 == 0 && aligned16(y, dout, dy), rows * heads, [=] __device__(auto width, int64_t head, int lane) {
    constexpr int V = decltype(width)::value;
    const float open = sigmoid(to_float(z[head]) + bias[head % heads]);
    const float along = dot<V>(y + head * dh, dout + head * dh, dh, lane) * (open * (1.0f - open));
    if (lane == 0) {
      dz_rows[head] = along;
      put(along, dz + head, add_dz);
    }
    for (int c = lane * V; c < dh; c += 32 * V) {
      Floats<V> d = load<V>(dout + head * dh + c);
#pragma unroll
      for (int i = 0; i < V; ++i) d.v[i] *= open;
      put<V>(d, dy + head * dh + c, add_dy);
    }
  });
  add_row_grad<float>(l, dz_rows, dbias, rows, heads);
}

#define SIXTEEN_INSTANTIATE(T)                                                                                              \
  template void head_norm(Launch&, const T*, const float*, const float*, const float*, T*, const HeadNormShape&, float);    \
  template void head_norm_grad(Launch&, const T*, const float*, const float*, const float*, const T*, T*, bool, float*,     \
                               const HeadNormShape&, float);                                                                \
  template void xsa(Launch&, const T*, const T*, T*, int64_t, int64_t, int64_t, int64_t);                                   \
  template void xsa_grad(Launch&, const T*, const T*, const T*, T*, bool, T*, bool, int64_t, int64_t, int64_t, int64_t);    \
  template void head_gate(Launch&, const T*, const T*, const float*, T*, int64_t, int64_t, int64_t);                        \
  template void head_gate_grad(Launch&, const T*, const T*, const float*, const T*, T*, bool, T*, bool, float*, int64_t,    \
                               int64_t, int64_t);
SIXTEEN_INSTANTIATE(float)
SIXTEEN_INSTANTIATE(bf16)
#undef SIXTEEN_INSTANTIATE

}  // namespace sixteen::cuda
