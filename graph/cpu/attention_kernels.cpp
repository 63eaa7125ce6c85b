// Flash attention on one tile of queries: scores, softmax and weighted sums against the key tiles in order, keeping a
// running maximum and sum a row (Dao et al. 2022; Milakov and Gimelshein 2018), and the gradients from the stored
// log-sum-exp.
//
// Every number is a chain of fma over keys or over the head's dims in rising order, in whatever block of rows it is
// computed; a query's row stops exactly at its own position. So a row's bits depend on its query and on the keys before
// it alone. Scores are kept in base 2.
// Bites: see isa.h for what a source that is compiled thrice must not use.
#include "graph/cpu/attention_kernels.h"

#include "graph/cpu/gemm_transpose.h"
#include "graph/cpu/vecmath.h"
#include "graph/cpu/weight_exp2.h"

namespace sixteen::cpu::SIXTEEN_ISA {
namespace {

constexpr int64_t kTile = kAttentionTile;
constexpr int kBlockRows = 6;
#if defined(__AVX512F__)
constexpr int kBlockVectors = 4;  // 24 of 32 registers accumulate
#else
constexpr int kBlockVectors = 1;  // 12 of 16
#endif

int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// c[i, :] (+)= sum over k of a(i, k) b[k, :], k from begin to end or, if triangle, to end + i for row i.
template <class T>
struct Product {
  const T* a;  // a(i, k) at a[i * a_row + k], or if transposed at a[k * a_row + i]
  int64_t a_row;
  const T* b;
  int64_t b_row;
  T* c;
  int64_t c_row;
  int64_t begin, end;
  bool accumulate, triangle;
};

template <class T, int kRows, int kVectors, bool kTransposed>
void block_product(const Product<T>& p, int64_t column) {
  using V = Lanes<T>;
  V acc[kRows][kVectors];
  T* c = p.c + column;
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) acc[i][j] = p.accumulate ? V::load(c + i * p.c_row + j * kLanes) : V::zero();
  }
  const T* a = p.a + (kTransposed ? p.begin * p.a_row : p.begin);
  const T* b = p.b + p.begin * p.b_row + column;
  const int64_t a_row = p.a_row, b_row = p.b_row;
  for (int64_t k = p.begin; k < p.end; ++k) {
    V bv[kVectors];
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) bv[j] = V::load(b + j * kLanes);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const V av = V::all(kTransposed ? a[i] : a[i * a_row]);
#pragma GCC unroll 8
      for (int j = 0; j < kVectors; ++j) acc[i][j] = fma(av, bv[j], acc[i][j]);
    }
    a += kTransposed ? a_row : 1;
    b += b_row;
  }
  if (p.triangle) {
#pragma GCC unroll 8
    for (int k = 0; k < kRows - 1; ++k) {
#pragma GCC unroll 8
      for (int i = k + 1; i < kRows; ++i) {
        const V av = V::all(a[i * a_row + k]);
#pragma GCC unroll 8
        for (int j = 0; j < kVectors; ++j) acc[i][j] = fma(av, V::load(b + k * b_row + j * kLanes), acc[i][j]);
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < kVectors; ++j) acc[i][j].store(c + i * p.c_row + j * kLanes);
  }
}

template <class T, int kVectors, bool kTransposed>
void block_rows(const Product<T>& p, int64_t rows, int64_t column) {
  switch (rows) {
    case 1:
      return block_product<T, 1, kVectors, kTransposed>(p, column);
    case 2:
      return block_product<T, 2, kVectors, kTransposed>(p, column);
    case 3:
      return block_product<T, 3, kVectors, kTransposed>(p, column);
    case 4:
      return block_product<T, 4, kVectors, kTransposed>(p, column);
    case 5:
      return block_product<T, 5, kVectors, kTransposed>(p, column);
    default:
      return block_product<T, 6, kVectors, kTransposed>(p, column);
  }
}

// At most kBlockRows rows and any whole number of vectors of columns.
template <class T, bool kTransposed = false>
void product(const Product<T>& p, int64_t rows, int64_t columns) {
  int64_t column = 0;
  if constexpr (kBlockVectors > 1) {
    for (; column + 4 * kLanes <= columns; column += 4 * kLanes) block_rows<T, 4, kTransposed>(p, rows, column);
    if (column + 2 * kLanes <= columns) {
      block_rows<T, 2, kTransposed>(p, rows, column);
      column += 2 * kLanes;
    }
  }
  for (; column < columns; column += kLanes) block_rows<T, 1, kTransposed>(p, rows, column);
}

template <class T>
void pack_transposed(const T* x, int64_t row, int64_t rows, int64_t head_dim, T* out) {
  for (int64_t r = 0; r < kTile; r += kLanes) {
    for (int64_t column = 0; column < head_dim; column += kLanes) {
      if (r + kLanes <= rows && column + kLanes <= head_dim) {
        transpose16(x + r * row + column, row, out + column * kTile + r, kTile);
        continue;
      }
      for (int64_t c = column; c < smaller(column + kLanes, head_dim); ++c) {
        for (int64_t i = r; i < r + kLanes; ++i) out[c * kTile + i] = i < rows ? x[i * row + c] : T(0);
      }
    }
  }
}

template <class T>
void pack_rows(const T* x, int64_t row, int64_t rows, int64_t head_dim, T factor, T* out) {
  using V = Lanes<T>;
  const int64_t width = padded_dim(head_dim);
  for (int64_t i = 0; i < kTile; ++i) {
    for (int64_t c = 0; c < width; c += kLanes) {
      const V value = i < rows ? V::load(x + i * row + c, head_dim - c) * V::all(factor) : V::zero();
      value.store(out + i * width + c);
    }
  }
}

// The softmax of a tile's rows so far: weights are 2^(score - max), `sum` adds them up, `sums` [tile, width] the
// values.
template <class T>
struct Softmax {
  T max[kTile], sum[kTile];
  T* sums;
  int64_t width;
};

// Column `column` of scores, -inf from column `keys` on.
template <class T>
Lanes<T> scores_at(const T* scores, int64_t column, int64_t keys) {
  using V = Lanes<T>;
  const V x = V::load(scores + column);
  return keys - column >= kLanes ? x : select(first<T>(keys - column), x, V::all(-__builtin_inff()));
}

// The next tile's scores [rows, tile] of `rows` rows from `row` on, the first of which sees `keys` keys of the tile,
// the others one more each if `triangle`: turned into weights against the new maximum, to which what was summed before
// is brought. In three passes, because the row-wise reductions wait for their operands longer than they compute.
template <class T>
void softmax_step(T* scores, int64_t row, int64_t rows, int64_t keys, bool triangle, bool first_tile,
                  Softmax<T>* state) {
  using V = Lanes<T>;
  V total[kBlockRows];
  T before[kBlockRows];
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t n = triangle ? keys + i : kTile;
    V highest = scores_at(scores + i * kTile, 0, n);
    for (int64_t c = kLanes; c < n; c += kLanes) highest = max(scores_at(scores + i * kTile, c, n), highest);
    const T tile_max = max_lane(highest);
    before[i] = first_tile ? tile_max : state->max[row + i];
    state->max[row + i] = tile_max > before[i] ? tile_max : before[i];
  }
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t n = triangle ? keys + i : kTile;
    const V highest = V::all(state->max[row + i]);
    total[i] = V::zero();
    for (int64_t c = 0; c < n; c += kLanes) {
      const V weight = weight_exp2(scores_at(scores + i * kTile, c, n) - highest);
      weight.store(scores + i * kTile + c);
      total[i] = total[i] + weight;
    }
  }
  for (int64_t i = 0; i < rows; ++i) {
    T earlier = first_tile ? T(0) : state->sum[row + i];
    if (state->max[row + i] > before[i]) {
      const V factor = weight_exp2(V::all(before[i]) - V::all(state->max[row + i]));
      earlier *= max_lane(factor);
      T* sums = state->sums + (row + i) * state->width;
      for (int64_t c = 0; c < state->width; c += kLanes) (V::load(sums + c) * factor).store(sums + c);
    }
    state->sum[row + i] = earlier + sum(total[i]);
  }
}

template <class T>
void forward(const AttentionForwardTile<T>& t) {
  using V = Lanes<T>;
  const int64_t dh = t.head_dim, width = padded_dim(dh);
  T* q = t.scratch;             // [tile, dh], scaled
  T* weights = q + kTile * dh;  // [tile, tile]
  Softmax<T> state;
  state.sums = weights + kTile * kTile;
  state.width = width;
  for (int64_t i = 0; i < t.rows; ++i) {
    for (int64_t c = 0; c < dh; ++c) q[i * dh + c] = t.q[i * t.row + c] * T(t.scale * T(kLog2E));
  }
  for (int64_t kt = 0; kt <= t.tile; ++kt) {
    const bool diagonal = kt == t.tile;
    const T* keys_t = t.keys_t + kt * kTile * dh;
    const T* values = t.values + kt * kTile * width;
    for (int64_t r = 0; r < t.rows; r += kBlockRows) {
      const int64_t n = smaller(kBlockRows, t.rows - r);
      const int64_t first_keys = diagonal ? t.first + r + 1 : kTile;  // keys of the block's first row
      const int64_t last_keys = diagonal ? first_keys + n - 1 : kTile;
      product<T>({q + r * dh, dh, keys_t, kTile, weights + r * kTile, kTile, 0, dh, false, false}, n,
                 padded_dim(last_keys));
      softmax_step(weights + r * kTile, r, n, first_keys, diagonal, kt == 0, &state);
      product<T>(
          {weights + r * kTile, kTile, values, width, state.sums + r * width, width, 0, first_keys, kt > 0, diagonal},
          n, width);
    }
  }
  for (int64_t i = 0; i < t.rows; ++i) {
    const V total = V::all(state.sum[i]);
    for (int64_t c = 0; c < dh; c += kLanes)
      (V::load(state.sums + i * width + c) / total).store(t.y + i * t.row + c, dh - c);
    t.lse[i] = state.max[i] * T(kLn2) + max_lane(log(total));
  }
}

// One key tile's share: weights and gradients of scores into p and ds [tile, tile], zero above the diagonal.
template <class T>
void score_grads(const AttentionBackwardTile<T>& t, int64_t kt, const T* q, const T* dy, const T* along, T* p, T* ds) {
  using V = Lanes<T>;
  const int64_t dh = t.head_dim, width = padded_dim(dh);
  for (int64_t r = 0; r < t.rows; r += kBlockRows) {
    const int64_t n = smaller(kBlockRows, t.rows - r);
    const int64_t columns = kt == t.tile ? padded_dim(r + n) : kTile;
    product<T>({q + r * width, width, t.keys_t + kt * kTile * dh, kTile, p + r * kTile, kTile, 0, dh, false, false}, n,
               columns);
    product<T>({dy + r * width, width, t.values_t + kt * kTile * dh, kTile, ds + r * kTile, kTile, 0, dh, false, false},
               n, columns);
    for (int64_t i = r; i < r + n; ++i) {
      const int64_t keys = kt == t.tile ? i + 1 : kTile;
      const V lse = V::all(t.lse[i] * T(kLog2E)), shift = V::all(along[i]);
      for (int64_t c = 0; c < columns; c += kLanes) {
        V weight = weight_exp2(V::load(p + i * kTile + c) - lse);
        if (keys - c < kLanes) weight = select(first<T>(keys - c), weight, V::zero());
        weight.store(p + i * kTile + c);
        (weight * (V::load(ds + i * kTile + c) - shift)).store(ds + i * kTile + c);
      }
    }
  }
}

template <class T>
void backward(const AttentionBackwardTile<T>& t) {
  using V = Lanes<T>;
  const int64_t dh = t.head_dim, width = padded_dim(dh);
  T* q = t.scratch;            // [tile, width], scaled
  T* dy = q + kTile * width;   // [tile, width]
  T* dq = dy + kTile * width;  // [tile, width]
  T* p = dq + kTile * width;   // [tile, tile]
  T* ds = p + kTile * kTile;   // [tile, tile]
  T along[kTile];              // dy . y, which is what the softmax takes off every score's gradient
  pack_rows(t.q, t.row, t.rows, dh, T(t.scale * T(kLog2E)), q);
  pack_rows(t.dy, t.row, t.rows, dh, T(1), dy);
  for (int64_t i = 0; i < t.rows; ++i) {
    V total = V::zero();
    for (int64_t c = 0; c < dh; c += kLanes)
      total = fma(V::load(dy + i * width + c), V::load(t.y + i * t.row + c, dh - c), total);
    along[i] = sum(total);
  }
  for (int64_t kt = 0; kt <= t.tile; ++kt) {
    const bool diagonal = kt == t.tile;
    score_grads(t, kt, q, dy, along, p, ds);
    for (int64_t r = 0; r < t.rows; r += kBlockRows) {
      const int64_t n = smaller(kBlockRows, t.rows - r), first_keys = diagonal ? r + 1 : kTile;
      product<T>({ds + r * kTile, kTile, t.keys + kt * kTile * width, width, dq + r * width, width, 0, first_keys,
                  kt > 0, diagonal},
                 n, width);
    }
    const int64_t keys = diagonal ? t.rows : kTile;
    for (int64_t j = 0; j < keys; j += kBlockRows) {
      const int64_t n = smaller(kBlockRows, keys - j), begin = diagonal ? j : 0, key = kt * kTile + j;
      product<T, true>({p + j, kTile, dy, width, t.dvalues + key * width, width, begin, t.rows, true, false}, n, width);
      product<T, true>({ds + j, kTile, q, width, t.dkeys + key * width, width, begin, t.rows, true, false}, n, width);
    }
  }
  for (int64_t i = 0; i < t.rows; ++i) {
    for (int64_t c = 0; c < dh; c += kLanes) {
      V value = V::load(dq + i * width + c);
      if (t.add_dq) value = V::load(t.dq + i * t.row + c, dh - c) + value;
      value.store(t.dq + i * t.row + c, dh - c);
    }
  }
}

template <class T>
constexpr AttentionFunctions<T> functions() {
  return {pack_transposed<T>, pack_rows<T>, forward<T>, backward<T>};
}

}  // namespace

const AttentionKernels& attention_kernels() {
  static constexpr AttentionKernels table = {functions<float>(), functions<double>()};
  return table;
}

}  // namespace sixteen::cpu::SIXTEEN_ISA
