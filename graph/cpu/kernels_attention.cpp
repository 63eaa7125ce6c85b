// Causal attention with grouped keys and values: how the work is cut into tiles and threads; attention_kernels.cpp
// computes one.
//
// Forward: keys and values of a few windows are packed once, for all heads of their group and all tiles of queries;
// then every (window, kv head, query tile) is a task. Backward: a (window, kv head) is a task, which goes through its
// heads and query tiles in order and so adds up dk and dv in a fixed order; one pass costs five products, split in two
// passes it would cost seven.
// Bites: the packed copies live in the calling thread's scratch and are read by the pool's other threads.
#include <algorithm>

#include "formats/check.h"
#include "graph/cpu/attention_kernels.h"
#include "graph/cpu/kernels.h"

namespace sixteen::cpu {

namespace {

constexpr int64_t kTile = kAttentionTile;
// Of keys and values packed at a time: they should stay in the L3 cache.
constexpr int64_t kPackBytes = int64_t{4} << 20;
constexpr int kPackSlot = 8, kTileSlot = 9;  // of ThreadPool::scratch

const AttentionFunctions<float>& functions(const float*) { return attention_kernels().f32; }
const AttentionFunctions<double>& functions(const double*) { return attention_kernels().f64; }

template <class T>
T* scratch(ThreadPool& pool, int64_t elements, int slot) {
  return static_cast<T*>(pool.scratch(sizeof(T) * static_cast<size_t>(elements), slot));
}

void check_dims(const AttentionDims& d) {
  CHECK(d.kv_heads > 0 && d.heads % d.kv_heads == 0 && d.query_rows >= 1 && d.query_rows <= d.seq);
}

}  // namespace

template <class T>
void attention(ThreadPool& pool, const T* q, const T* k, const T* v, T* y, T* lse, const AttentionDims& d, T scale) {
  check_dims(d);
  const AttentionFunctions<T>& f = functions(q);
  const int64_t dh = d.head_dim, width = padded_dim(dh), group = d.heads / d.kv_heads;
  const int64_t q_row = d.heads * dh, kv_row = d.kv_heads * dh;
  const int64_t tiles = (d.seq + kTile - 1) / kTile, start = d.seq - d.query_rows, query_tiles = tiles - start / kTile;
  const int64_t head_size = tiles * kTile * (dh + width);  // one kv head, packed: all keys, then all values
  const int64_t window_bytes = d.kv_heads * head_size * static_cast<int64_t>(sizeof(T));
  const int64_t step = std::clamp(kPackBytes / window_bytes, int64_t{1}, d.windows);
  T* packed = scratch<T>(pool, step * d.kv_heads * head_size, kPackSlot);
  for (int64_t w0 = 0; w0 < d.windows; w0 += step) {
    const int64_t kv_count = std::min(step, d.windows - w0) * d.kv_heads;  // (window, kv head) pairs
    pool.parallel_for(kv_count * tiles, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t pair = i / tiles, tile = i % tiles, rows = std::min(kTile, d.seq - tile * kTile);
        const int64_t from = ((w0 + pair / d.kv_heads) * d.seq + tile * kTile) * kv_row + pair % d.kv_heads * dh;
        T* out = packed + pair * head_size;
        f.pack_transposed(k + from, kv_row, rows, dh, out + tile * kTile * dh);
        f.pack_rows(v + from, kv_row, rows, dh, T(1), out + tiles * kTile * dh + tile * kTile * width);
      }
    });
    pool.parallel_for(kv_count * query_tiles, 1, [&](int64_t begin, int64_t end) {
      T* tile_scratch = scratch<T>(pool, attention_forward_scratch(dh), kTileSlot);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t pair = i / query_tiles, tile = tiles - query_tiles + i % query_tiles, w = w0 + pair / d.kv_heads;
        const int64_t first = std::max(start, tile * kTile), rows = std::min(d.seq, (tile + 1) * kTile) - first;
        const int64_t query = w * d.query_rows + first - start;  // row of q
        const T* keys = packed + pair * head_size;
        for (int64_t h = pair % d.kv_heads * group; h < (pair % d.kv_heads + 1) * group; ++h) {
          f.forward({q + query * q_row + h * dh, y + query * q_row + h * dh,
                     lse + (w * d.heads + h) * d.query_rows + first - start, q_row, rows, dh, tile,
                     first - tile * kTile, keys, keys + tiles * kTile * dh, scale, tile_scratch});
        }
      }
    });
  }
}

namespace {

template <class T>
struct GradArguments {
  const T *q, *k, *v, *y, *lse, *dy;
  T* dq;
  bool add_dq;
  T* dk;
  bool add_dk;
  T* dv;
  bool add_dv;
  T scale;
};

// All of one window's kv head: `memory` holds the packed keys and values, then dk and dv.
template <class T>
void attention_grad_head(const GradArguments<T>& a, const AttentionDims& d, int64_t w, int64_t g, T* memory,
                         T* tile_scratch) {
  const AttentionFunctions<T>& f = functions(a.q);
  const int64_t dh = d.head_dim, width = padded_dim(dh), group = d.heads / d.kv_heads;
  const int64_t q_row = d.heads * dh, kv_row = d.kv_heads * dh, tiles = (d.seq + kTile - 1) / kTile,
                padded = tiles * kTile;
  const int64_t kv = w * d.seq * kv_row + g * dh;  // the head's first element in k and v
  T* keys_t = memory;
  T* values_t = keys_t + padded * dh;
  T* keys = values_t + padded * dh;
  T* dkeys = keys + padded * width;
  T* dvalues = dkeys + padded * width;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t row = tile * kTile, rows = std::min(kTile, d.seq - row);
    f.pack_transposed(a.k + kv + row * kv_row, kv_row, rows, dh, keys_t + row * dh);
    f.pack_transposed(a.v + kv + row * kv_row, kv_row, rows, dh, values_t + row * dh);
    f.pack_rows(a.k + kv + row * kv_row, kv_row, rows, dh, a.scale, keys + row * width);
  }
  std::fill(dkeys, dkeys + 2 * padded * width, T(0));
  for (int64_t h = g * group; h < (g + 1) * group; ++h) {
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const int64_t at = (w * d.seq + tile * kTile) * q_row + h * dh;
      f.backward({a.q + at, a.y + at, a.dy + at, a.lse + (w * d.heads + h) * d.seq + tile * kTile, a.dq + at, a.add_dq,
                  q_row, std::min(kTile, d.seq - tile * kTile), dh, tile, keys_t, values_t, keys, dkeys, dvalues,
                  a.scale, tile_scratch});
    }
  }
  for (int64_t j = 0; j < d.seq; ++j) {
    T* dk = a.dk + kv + j * kv_row;
    T* dv = a.dv + kv + j * kv_row;
    for (int64_t c = 0; c < dh; ++c)
      dk[c] = (a.add_dk ? dk[c] : T(0)) + dkeys[j * width + c] * T(0.693147180559945309417);
    for (int64_t c = 0; c < dh; ++c) dv[c] = (a.add_dv ? dv[c] : T(0)) + dvalues[j * width + c];
  }
}

}  // namespace

template <class T>
void attention_grad(ThreadPool& pool, const T* q, const T* k, const T* v, const T* y, const T* lse, const T* dy, T* dq,
                    bool add_dq, T* dk, bool add_dk, T* dv, bool add_dv, const AttentionDims& d, T scale) {
  check_dims(d);
  CHECK(d.query_rows == d.seq);
  const GradArguments<T> a = {q, k, v, y, lse, dy, dq, add_dq, dk, add_dk, dv, add_dv, scale};
  const int64_t padded = (d.seq + kTile - 1) / kTile * kTile;
  pool.parallel_for(d.windows * d.kv_heads, 1, [&](int64_t begin, int64_t end) {
    T* memory = scratch<T>(pool, padded * (2 * d.head_dim + 3 * padded_dim(d.head_dim)), kPackSlot);
    T* tile_scratch = scratch<T>(pool, attention_backward_scratch(d.head_dim), kTileSlot);
    for (int64_t i = begin; i < end; ++i)
      attention_grad_head(a, d, i / d.kv_heads, i % d.kv_heads, memory, tile_scratch);
  });
}

#define SIXTEEN_INSTANTIATE(T)                                                                                        \
  template void attention(ThreadPool&, const T*, const T*, const T*, T*, T*, const AttentionDims&, T);                \
  template void attention_grad(ThreadPool&, const T*, const T*, const T*, const T*, const T*, const T*, T*, bool, T*, \
                               bool, T*, bool, const AttentionDims&, T);
SIXTEEN_INSTANTIATE(float)
SIXTEEN_INSTANTIATE(double)
#undef SIXTEEN_INSTANTIATE

}  // namespace sixteen::cpu
