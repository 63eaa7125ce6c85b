// Attention as the executor calls it: the choice among the ways of computing it, and what all of them share: each query's delta for
// the backward, and XSA, which takes a value's own direction out of the output y that its query has.
//
// With u = v / |v| and along = y . u: z = y - along u. z and along are kept instead of y, and y = z + along u. The Hopper kernel makes
// z as it writes, the others leave y, which a pass turns into z in place. Backward, from dz: along_d = dz . u, dy = dz - along_d u;
// du = -sum over the heads that share v of along dz + along_d y; dv = (du - (du . u) u) / |v|; delta = y . dy of the dy as stored.
// Floor: a read and a write of each operand.
// Bites: z and along of the kernel and of the pass have the same bits (both from y as stored), which the tests rely on.
#include "graph/cuda/attention.h"
#include "graph/cuda/attention_tiles.cuh"
#include "graph/cuda/heads.cuh"

namespace sixteen::cuda {
namespace {

__device__ inline void put_delta(const DeltaRows& to, int64_t line, int64_t position, float delta) {
  if (to.pairs == nullptr) {
    to.delta[line * to.seq + position] = delta;
    return;
  }
  float2* pairs = to.pairs + line * to.padded;
  pairs[position] = make_float2(to.lse[line * to.seq + position] * kLog2E, delta);
  if (position + 1 < to.seq) return;
#pragma unroll 1
  for (int64_t past = to.seq; past < to.padded; ++past) pairs[past] = make_float2(INFINITY, 0.0f);
}

// Windows and positions of rows of queries.
struct QueryPlaces {
  Divider rows, group;
  int64_t seq, query_rows, heads, kv_heads;
  explicit QueryPlaces(const AttentionDims& d)
      : rows(d.query_rows), group(d.heads / d.kv_heads), seq(d.seq), query_rows(d.query_rows), heads(d.heads), kv_heads(d.kv_heads) {}
  // The row of k and v where the query of a row stands.
  __device__ int64_t key_row(uint32_t row) const {
    const uint32_t window = rows.quotient(row);
    return int64_t{window} * seq + seq - query_rows + (row - window * query_rows);
  }
};

template <class T>
void head_dots(Launch& l, const T* y, const T* dy, const DeltaRows& to, const AttentionDims& d) {
  const Divider by_head(d.heads), by_row(d.seq);
  const int64_t heads = d.heads;
  heads_of<T>(l, aligned16(y, dy), d.windows * d.seq * heads, d.head_dim, [=] __device__(auto layout, uint32_t head) {
    const int64_t at = int64_t{head} * layout.dh;
    const float along = dot(layout, load_head(layout, y + at), load_head(layout, dy + at));
    const uint32_t row = by_head.quotient(head), window = by_row.quotient(row);
    if (layout.active && layout.lane == 0) put_delta(to, int64_t{window} * heads + by_head.remainder(head), by_row.remainder(row), along);
  });
}

template <class T>
struct XsaGrad {
  const T *y, *v, *dz;
  const float* along;  // null: y is y, and no deltas are wanted; else y is z
  T *dy, *dv;
  bool add_dy, add_dv;
  DeltaRows to;
};

// A group of lanes has a value and the heads that share it, kHeads at a time: all loads of these come first, as stores would hold them
// back. The block's deltas go out together, so that neighbours in memory are written by neighbours. kKept: a.along is there.
template <class L, int kHeads, bool kKept, class T>
__global__ void __launch_bounds__(kHeadThreads, 3) xsa_back_heads(XsaGrad<T> a, Divider by_head, Divider by_row, int heads, int group, int dh,
                                                                  uint32_t count) {
  extern __shared__ float deltas[];
  constexpr int kGroups = kHeadThreads / L::kLanes;
  const uint32_t own = threadIdx.x / L::kLanes, which = blockIdx.x * kGroups + own, g = min(which, count - 1);
  const L l{dh, static_cast<int>(threadIdx.x % L::kLanes), which < count};
  const RawHead<L, T> raw_value(l, a.v + int64_t{g} * dh);
  Head<L> du = {}, value;
  float squares = 0, inverse = 0;
  for (int h0 = 0; h0 < group; h0 += kHeads) {
    const int64_t head = int64_t{g} * group + h0, at = head * dh;
    RawHead<L, T> raw_y[kHeads], raw_t[kHeads];
    float along[kHeads];
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
      raw_y[h] = {l, a.y + at + h * dh}, raw_t[h] = {l, a.dz + at + h * dh};
      if (kKept) along[h] = a.along[head + h];
    }
    value = raw_value.floats(), squares = dot(l, value, value), inverse = inverse_length(squares);
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
      Head<L> y = raw_y[h].floats(), t = raw_t[h].floats();
      const float along_d = dot(l, t, value) * inverse, along_y = kKept ? along[h] : dot(l, y, value) * inverse;
      if (kKept) y.each([&](float& e, int p, int i) { e += along_y * inverse * value.v[p].v[i]; });
      du.each([&](float& e, int p, int i) { e -= along_d * y.v[p].v[i] + along_y * t.v[p].v[i]; });
      t.each([&](float& e, int p, int i) { e -= along_d * inverse * value.v[p].v[i]; });
      put_head(l, t, a.dy + at + h * dh, a.add_dy);
      const float delta = kKept ? dot(l, y, RawHead<L, T>(t).floats()) : 0.0f;
      if (kKept && l.lane == 0) deltas[own * group + h0 + h] = delta;
    }
  }
  // Below the bound |v| is a constant there, so nothing is taken off along v.
  const float total = dot(l, du, value), back = squares > kXsaEps * kXsaEps ? total * inverse * inverse : 0.0f;
  du.each([&](float& e, int p, int i) { e = inverse * (e - back * value.v[p].v[i]); });
  put_head(l, du, a.dv + int64_t{g} * dh, a.add_dv);
  if (!kKept) return;
  __syncthreads();
  const int all = kGroups * group, rows = all / heads;
  for (int i = threadIdx.x; i < all; i += kHeadThreads) {
    const int from = all % heads == 0 ? i % rows * heads + i / rows : i;
    const uint32_t place = blockIdx.x * static_cast<uint32_t>(all) + from;
    if (place >= count * group) continue;
    const uint32_t row = by_head.quotient(place), window = by_row.quotient(row);
    put_delta(a.to, int64_t{window} * heads + (place - row * heads), by_row.remainder(row), deltas[from]);
  }
}

template <class T>
void xsa_back(Launch& l, const XsaGrad<T>& a, const AttentionDims& d) {
  const int64_t count = d.windows * d.seq * d.kv_heads, group = d.heads / d.kv_heads;
  CHECK(count * group < (int64_t{1} << 26) && group <= 64);
  with_layout<T>(aligned16(a.y, a.v, a.dz, a.dy, a.dv), d.head_dim, [&](auto layout) {
    using L = decltype(layout);
    constexpr int kGroups = kHeadThreads / L::kLanes, kTwo = L::kParts == 1 ? 2 : 1;
    const auto kernel = a.along == nullptr ? xsa_back_heads<L, 1, false, T>
                        : group == kTwo    ? xsa_back_heads<L, kTwo, true, T>
                                           : xsa_back_heads<L, 1, true, T>;
    launch(l, kernel, static_cast<unsigned>(ceil_div(count, kGroups)), kHeadThreads, static_cast<size_t>(kGroups * group) * sizeof(float),
           a, Divider(d.heads), Divider(d.seq), static_cast<int>(d.heads), static_cast<int>(group), static_cast<int>(d.head_dim),
           static_cast<uint32_t>(count));
  });
}

void check_dims(const AttentionDims& d) { CHECK(d.heads % d.kv_heads == 0 && d.query_rows >= 1 && d.query_rows <= d.seq); }

template <class T, class... Pointers>
bool on_tensor_cores(const AttentionDims& d, Pointers... pointers) {
  return std::is_same_v<T, bf16> && d.head_dim == 64 && aligned16(pointers...);
}

bool hopper_takes(float scale) { return on_hopper() && scale > 0; }

}  // namespace

template <class T>
void xsa(Launch& l, const T* y, const T* v, T* out, float* along, const AttentionDims& d) {
  const QueryPlaces places(d);
  const Divider by_kv_head(d.kv_heads);
  const int group = static_cast<int>(d.heads / d.kv_heads);
  heads_of<T>(l, aligned16(y, v, out), d.windows * d.query_rows * d.kv_heads, d.head_dim, [=] __device__(auto layout, uint32_t g) {
    const int64_t at_value = places.key_row(by_kv_head.quotient(g)) * places.kv_heads + by_kv_head.remainder(g);
    const auto value = load_head(layout, v + at_value * layout.dh);
    const float inverse = inverse_length(dot(layout, value, value));
    for (int h = 0; h < group; ++h) {
      const int64_t head = int64_t{g} * group + h;
      auto x = load_head(layout, y + head * layout.dh);
      const float own = dot(layout, x, value) * inverse, factor = own * inverse;
      x.each([&](float& e, int p, int i) { e -= factor * value.v[p].v[i]; });
      put_head(layout, x, out + head * layout.dh, false);
      if (along != nullptr && layout.active && layout.lane == 0) along[head] = own;
    }
  });
}

template <class T>
void xsa_grad(Launch& l, const T* y, const T* v, const T* dout, T* dy, bool add_dy, T* dv, bool add_dv, const AttentionDims& d) {
  xsa_back<T>(l, {y, v, dout, nullptr, dy, dv, add_dy, add_dv, {}}, d);
}

template <class T>
void attention(Launch& l, const T* q, const T* k, const T* v, const int32_t* keys, T* y, float* lse, const AttentionDims& d, float scale) {
  check_dims(d);
  CHECK(keys == nullptr || d.windows == 1);
  if constexpr (std::is_same_v<T, bf16>) {
    if (on_tensor_cores<T>(d, q, k, v, y)) {
      if (hopper_takes(scale)) return attention_hopper(l, q, k, v, keys, y, lse, {}, d, scale);
      return attention_portable(l, q, k, v, keys, y, lse, d, scale);
    }
  }
  attention_plain(l, q, k, v, keys, y, lse, d, scale);
}

template <class T>
void attention_xsa(Launch& l, const T* q, const T* k, const T* v, T* z, float* lse, float* along, const AttentionDims& d, float scale) {
  check_dims(d);
  if constexpr (std::is_same_v<T, bf16>) {
    if (on_tensor_cores<T>(d, q, k, v, z) && hopper_takes(scale)) {
      return attention_hopper(l, q, k, v, nullptr, z, lse, {true, along}, d, scale);
    }
  }
  attention<T>(l, q, k, v, nullptr, z, lse, d, scale);
  xsa<T>(l, z, v, z, along, d);
}

// With a.along, a.y is z and a.dy is dz.
template <class T>
void attention_grad(Launch& l, AttentionGrad<T> a, const AttentionDims& d, float scale) {
  check_dims(d);
  CHECK(d.query_rows == d.seq);
  T* dy = a.along != nullptr ? l.scratch<T>(d.windows * d.seq * d.heads * d.head_dim) : nullptr;
  const bool tiles = on_tensor_cores<T>(d, a.q, a.k, a.v, a.dy, dy, a.dq, a.dk, a.dv);
  const bool hopper = tiles && on_hopper() && hopper_grad_fits(d);
  DeltaRows to = {a.lse, nullptr, nullptr, d.seq, ceil_div(d.seq, kTile) * kTile};
  if (hopper) to.pairs = l.scratch<float2>(d.windows * d.heads * to.padded);
  else to.delta = l.scratch<float>(d.windows * d.heads * d.seq);
  if (a.along != nullptr) {
    xsa_back<T>(l, {a.y, a.v, a.dy, a.along, dy, a.dv, false, a.add_dv, to}, d);
    a.dy = dy, a.add_dv = true;
  } else {
    head_dots<T>(l, a.y, a.dy, to, d);
  }
  if constexpr (std::is_same_v<T, bf16>) {
    if (hopper) return attention_grad_hopper(l, a, to.pairs, d, scale);
    if (tiles) return attention_grad_portable(l, a, to.delta, d, scale);
  }
  attention_grad_plain(l, a, to.delta, d, scale);
}

#define SIXTEEN_INSTANTIATE(T)                                                                                                   \
  template void xsa(Launch&, const T*, const T*, T*, float*, const AttentionDims&);                                              \
  template void xsa_grad(Launch&, const T*, const T*, const T*, T*, bool, T*, bool, const AttentionDims&);                       \
  template void attention(Launch&, const T*, const T*, const T*, const int32_t*, T*, float*, const AttentionDims&, float);       \
  template void attention_xsa(Launch&, const T*, const T*, const T*, T*, float*, float*, const AttentionDims&, float);           \
  template void attention_grad(Launch&, AttentionGrad<T>, const AttentionDims&, float);
SIXTEEN_INSTANTIATE(float)
SIXTEEN_INSTANTIATE(bf16)
#undef SIXTEEN_INSTANTIATE

}  // namespace sixteen::cuda
