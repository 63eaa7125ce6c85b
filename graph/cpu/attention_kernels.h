// The tile arithmetic of attention, compiled once per instruction set (isa.h); kernels_attention.cpp splits the work
// into tiles.
//
// A tile is kAttentionTile positions of one window, counted from the window's start. "Packed" tiles are dense, zero
// beyond the rows that exist: keys_t [head_dim, tile] for products with rows, rows [tile, padded_dim] for sums of rows,
// where padded_dim is head_dim rounded up to whole vectors.
#pragma once

#include <cstdint>

#include "graph/cpu/isa.h"
#include "graph/op.h"

namespace sixteen::cpu {

static inline constexpr int64_t padded_dim(int64_t head_dim) { return (head_dim + 15) / 16 * 16; }

template <class T>
struct AttentionForwardTile {  // queries of one head in one tile
  const T* q;                  // the tile's first query; rows are `row` elements apart, as y's
  T *y, *lse;
  int64_t row, rows, head_dim;
  int64_t tile, first;       // the queries stand at positions tile * kAttentionTile + first ...
  const T *keys_t, *values;  // packed, tile after tile
  T scale;
  T* scratch;  // attention_forward_scratch(head_dim) elements
};

template <class T>
struct AttentionBackwardTile {  // queries of one head in one tile, from the tile's first position on
  const T *q, *y, *dy, *lse;
  T* dq;
  bool add_dq;
  int64_t row, rows, head_dim, tile;
  const T *keys_t, *values_t, *keys;  // packed, tile after tile; keys (for sums) times scale
  T *dkeys, *dvalues;  // packed rows, added to; dkeys log2(e) times too large, as scores are kept in base 2
  T scale;
  T* scratch;  // attention_backward_scratch(head_dim) elements
};

// Elements of a tile's scratch. (static: an inline function shared by the three compilations would be one of them, see
// isa.h)
static inline constexpr int64_t attention_forward_scratch(int64_t head_dim) {
  return kAttentionTile * (head_dim + kAttentionTile + padded_dim(head_dim));
}
static inline constexpr int64_t attention_backward_scratch(int64_t head_dim) {
  return kAttentionTile * (3 * padded_dim(head_dim) + 2 * kAttentionTile);
}

template <class T>
struct AttentionFunctions {
  // `rows` rows of head_dim elements, `row` apart, times factor -> packed, transposed or not.
  void (*pack_transposed)(const T* x, int64_t row, int64_t rows, int64_t head_dim, T* out);
  void (*pack_rows)(const T* x, int64_t row, int64_t rows, int64_t head_dim, T factor, T* out);
  void (*forward)(const AttentionForwardTile<T>& tile);
  void (*backward)(const AttentionBackwardTile<T>& tile);
};

struct AttentionKernels {
  AttentionFunctions<float> f32;
  AttentionFunctions<double> f64;
};
SIXTEEN_ISA_TABLE(AttentionKernels, attention_kernels)

}  // namespace sixteen::cpu
