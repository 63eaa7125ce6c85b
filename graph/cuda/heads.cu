// Ops that see one head of a row at a time: norm, rotation and gain of queries and keys, XSA, the learned gate a head; with
// their gradients. A group of lanes holds a head (XSA: a value, and the heads that share it one by one) in registers.
//
// Floor: read once, written once. At head dim 64 in bf16 a head is 8 lanes of 16 bytes, so a warp serves four.
// Bites: half layout of the rotation: (a, b) -> (a cos + b sin, b cos - a sin) with b = x[i + half]; what lies beyond passes.
// The partner of a rotated pack is loaded again (out of L1). Odd head dims take the slow layout of 32 lanes, an element each.
#include "graph/cuda/kernels.h"
#include "graph/cuda/row_sums.cuh"

namespace sixteen::cuda {
namespace {

constexpr int kThreads = 256;
constexpr float kXsaEps = 1e-12f;  // the records' F.normalize

// kLanes lanes hold a head, kParts packs of V elements each; pack p of a lane begins at element (p * kLanes + lane) * V.
template <int kWidth, int kLaneCount, int kPartCount>
struct Layout {
  static constexpr int V = kWidth, kLanes = kLaneCount, kParts = kPartCount;
  int dh, lane;
  bool active;  // lanes beyond the last head go along with it, so that warps stay together, and store nothing

  __device__ int at(int part) const { return (part * kLanes + lane) * V; }
  __device__ bool inside(int part) const { return at(part) < dh; }
  __device__ float sum(float x) const {
#pragma unroll
    for (int offset = kLanes / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
    return x;
  }
};

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

struct Rotation {
  const float *cos, *sin;
  int half;
};

// rope(x) of a loaded head that lies at `memory`; the rotation back when turn is -1.
template <class L, class T>
__device__ inline Head<L> rotated(const L& l, Head<L> head, const T* memory, const Rotation& r, float turn) {
#pragma unroll
  for (int p = 0; p < L::kParts; ++p) {
    const int c = l.at(p);
    if (c >= 2 * r.half) continue;
    const bool first = c < r.half;
    const Floats<L::V> other = load<L::V>(memory + (first ? c + r.half : c - r.half));
    const Floats<L::V> cos = load<L::V>(r.cos + (first ? c : c - r.half)), sin = load<L::V>(r.sin + (first ? c : c - r.half));
    const float sign = first ? turn : -turn;
#pragma unroll
    for (int i = 0; i < L::V; ++i) head.v[p].v[i] = head.v[p].v[i] * cos.v[i] + sign * (other.v[i] * sin.v[i]);
  }
  return head;
}

// body(layout, which) by the lanes of each head
template <class L, class Body>
__global__ void __launch_bounds__(kThreads) each_head(uint32_t count, int dh, Body body) {
  const uint32_t thread = blockIdx.x * kThreads + threadIdx.x, which = thread / L::kLanes;
  body(L{dh, static_cast<int>(thread % L::kLanes), which < count}, min(which, count - 1));
}

// `wide`: rows and rotation allow 16-byte packs.
template <class T, class Body>
void heads_of(Launch& l, bool wide, int64_t count, int64_t head_dim, Body body) {
  CHECK(head_dim <= 256 && count < (int64_t{1} << 26));
  const auto run = [&](auto layout) {
    using L = decltype(layout);
    constexpr int kHeads = kThreads / L::kLanes;
    launch(l, each_head<L, Body>, static_cast<unsigned>(ceil_div(count, kHeads)), kThreads, 0, static_cast<uint32_t>(count),
           static_cast<int>(head_dim), body);
  };
  constexpr int V = kWide<T>;
  if (wide && head_dim == 8 * V) return run(Layout<V, 8, 1>{});
  if (wide && head_dim == 16 * V) return run(Layout<V, 16, 1>{});
  run(Layout<1, 32, 8>{});
}

bool fits(int64_t half, int64_t width) { return half % width == 0; }

}  // namespace

template <class T>
void head_norm(Launch& l, const T* x, const float* cos, const float* sin, const float* gain, T* y, const HeadNormShape& s,
               float eps) {
  const int half = static_cast<int>(s.rope_half);
  const Divider heads(s.heads), seq(s.seq);
  const bool wide = fits(half, kWide<T>) && aligned16(x, y, cos, sin);
  heads_of<T>(l, wide, s.rows * s.heads, s.head_dim, [=] __device__(auto layout, uint32_t head) {
    const int64_t at = int64_t{head} * layout.dh, angles = int64_t{seq.remainder(heads.quotient(head))} * half;
    const auto raw = load_head(layout, x + at);
    const float r = rsqrtf(dot(layout, raw, raw) / static_cast<float>(layout.dh) + eps);
    const float factor = gain != nullptr ? gain[heads.remainder(head)] * r : r;
    auto out = rotated(layout, raw, x + at, Rotation{cos + angles, sin + angles, half}, 1.0f);
    out.each([&](float& v, int, int) { v *= factor; });
    put_head(layout, out, y + at, false);
  });
}

// With r = 1 / rms and t = dy rotated back: y = gain rope(r x), so dx = gain r (t - x r^2 (x . t) / dh), dgain = r x . t.
template <class T>
void head_norm_grad(Launch& l, const T* x, const float* cos, const float* sin, const float* gain, const T* dy, T* dx, bool add,
                    float* dgain, const HeadNormShape& s, float eps) {
  const int half = static_cast<int>(s.rope_half);
  const Divider heads(s.heads), seq(s.seq);
  float* along_rows = l.scratch<float>(s.rows * s.heads);
  const bool wide = fits(half, kWide<T>) && aligned16(x, dy, dx, cos, sin);
  heads_of<T>(l, wide, s.rows * s.heads, s.head_dim, [=] __device__(auto layout, uint32_t head) {
    const int64_t at = int64_t{head} * layout.dh, angles = int64_t{seq.remainder(heads.quotient(head))} * half;
    const auto raw = load_head(layout, x + at);
    auto t = rotated(layout, load_head(layout, dy + at), dy + at, Rotation{cos + angles, sin + angles, half}, -1.0f);
    const float r = rsqrtf(dot(layout, raw, raw) / static_cast<float>(layout.dh) + eps), along = dot(layout, raw, t) * r;
    const float factor = gain != nullptr ? gain[heads.remainder(head)] * r : r, back = along * r / static_cast<float>(layout.dh);
    if (layout.active && layout.lane == 0) along_rows[head] = along;
    t.each([&](float& v, int p, int i) { v = factor * (v - back * raw.v[p].v[i]); });
    put_head(layout, t, dx + at, add);
  });
  if (dgain != nullptr) add_row_grad<float>(l, along_rows, dgain, s.rows, s.heads);
}

template <class T>
void xsa(Launch& l, const T* y, const T* v, T* out, int64_t rows, int64_t heads, int64_t kv_heads, int64_t head_dim) {
  const int group = static_cast<int>(heads / kv_heads);
  heads_of<T>(l, aligned16(y, v, out), rows * kv_heads, head_dim, [=] __device__(auto layout, uint32_t g) {
    const auto value = load_head(layout, v + int64_t{g} * layout.dh);
    const float inverse = 1.0f / fmaxf(sqrtf(dot(layout, value, value)), kXsaEps);
    for (int h = 0; h < group; ++h) {
      const int64_t at = (int64_t{g} * group + h) * layout.dh;
      auto x = load_head(layout, y + at);
      const float factor = dot(layout, x, value) * inverse * inverse;
      x.each([&](float& e, int p, int i) { e -= factor * value.v[p].v[i]; });
      put_head(layout, x, out + at, false);
    }
  });
}

// With u = v / |v|: dy = do - (do . u) u; du = -sum over the group of (y . u) do + (do . u) y; dv = (du - (du . u) u) / |v|.
template <class T>
void xsa_grad(Launch& l, const T* y, const T* v, const T* dout, T* dy, bool add_dy, T* dv, bool add_dv, int64_t rows,
              int64_t heads, int64_t kv_heads, int64_t head_dim) {
  const int group = static_cast<int>(heads / kv_heads);
  heads_of<T>(l, aligned16(y, v, dout, dy, dv), rows * kv_heads, head_dim, [=] __device__(auto layout, uint32_t g) {
    const auto value = load_head(layout, v + int64_t{g} * layout.dh);
    const float length = sqrtf(dot(layout, value, value)), inverse = 1.0f / fmaxf(length, kXsaEps);
    auto du = value;
    du.each([](float& e, int, int) { e = 0; });
    for (int h = 0; h < group; ++h) {
      const int64_t at = (int64_t{g} * group + h) * layout.dh;
      const auto x = load_head(layout, y + at);
      auto t = load_head(layout, dout + at);
      const float along_d = dot(layout, t, value) * inverse, along_y = dot(layout, x, value) * inverse;
      du.each([&](float& e, int p, int i) { e -= along_d * x.v[p].v[i] + along_y * t.v[p].v[i]; });
      t.each([&](float& e, int p, int i) { e -= along_d * inverse * value.v[p].v[i]; });
      put_head(layout, t, dy + at, add_dy);
    }
    // Below the bound |v| is a constant there, so nothing is taken off along v.
    const float total = dot(layout, du, value), along = length > kXsaEps ? total * inverse * inverse : 0.0f;
    du.each([&](float& e, int p, int i) { e = inverse * (e - along * value.v[p].v[i]); });
    put_head(layout, du, dv + int64_t{g} * layout.dh, add_dv);
  });
}

template <class T>
void head_gate(Launch& l, const T* y, const T* z, const float* bias, T* out, int64_t rows, int64_t heads, int64_t head_dim) {
  const Divider count(heads);
  heads_of<T>(l, aligned16(y, out), rows * heads, head_dim, [=] __device__(auto layout, uint32_t head) {
    const float open = sigmoid(to_float(z[head]) + bias[count.remainder(head)]);
    auto x = load_head(layout, y + int64_t{head} * layout.dh);
    x.each([&](float& e, int, int) { e *= open; });
    put_head(layout, x, out + int64_t{head} * layout.dh, false);
  });
}

template <class T>
void head_gate_grad(Launch& l, const T* y, const T* z, const float* bias, const T* dout, T* dy, bool add_dy, T* dz, bool add_dz,
                    float* dbias, int64_t rows, int64_t heads, int64_t head_dim) {
  const Divider count(heads);
  float* dz_rows = l.scratch<float>(rows * heads);
  heads_of<T>(l, aligned16(y, dout, dy), rows * heads, head_dim, [=] __device__(auto layout, uint32_t head) {
    const int64_t at = int64_t{head} * layout.dh;
    const float open = sigmoid(to_float(z[head]) + bias[count.remainder(head)]);
    auto d = load_head(layout, dout + at);
    const float along = dot(layout, load_head(layout, y + at), d) * (open * (1.0f - open));
    if (layout.active && layout.lane == 0) {
      dz_rows[head] = along;
      put(along, dz + head, add_dz);
    }
    d.each([&](float& e, int, int) { e *= open; });
    put_head(layout, d, dy + at, add_dy);
  });
  add_row_grad<float>(l, dz_rows, dbias, rows, heads);
}

template <class T>
void head_dots(Launch& l, const T* a, const T* b, float* dots, int64_t windows, int64_t seq, int64_t heads, int64_t head_dim) {
  const Divider by_head(heads), by_row(seq);
  heads_of<T>(l, aligned16(a, b), windows * seq * heads, head_dim, [=] __device__(auto layout, uint32_t head) {
    const int64_t at = int64_t{head} * layout.dh;
    const float along = dot(layout, load_head(layout, a + at), load_head(layout, b + at));
    const uint32_t row = by_head.quotient(head), window = by_row.quotient(row);
    const int64_t line = int64_t{window} * heads + by_head.remainder(head);
    if (layout.active && layout.lane == 0) dots[line * seq + by_row.remainder(row)] = along;
  });
}

#define SIXTEEN_INSTANTIATE(T)                                                                                              \
  template void head_dots(Launch&, const T*, const T*, float*, int64_t, int64_t, int64_t, int64_t);                        \
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
