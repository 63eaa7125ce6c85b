// Tokens and row ops (kernels.h): the split over threads and the sums over rows; the loops are row_kernels.cpp's.
//
// Bites: every op here is bound by memory, so each reads its inputs once and writes its outputs once.
#include <algorithm>
#include <cstring>

#include "graph/cpu/kernels.h"
#include "graph/cpu/row_blocks.h"
#include "graph/cpu/row_kernels.h"

namespace sixteen::cpu {

namespace {

constexpr int64_t kColumnGrain = 64;  // columns of dtable that one thread owns: a few cache lines

}  // namespace

// ---- Tokens

template <class T>
void embedding(ThreadPool& pool, const int32_t* ids, const T* table, T* y, int64_t rows, int64_t dim) {
  pool.parallel_for(rows, row_grain(dim), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      std::memcpy(y + row * dim, table + int64_t{ids[row]} * dim, static_cast<size_t>(dim) * sizeof(T));
    }
  });
}

// Threads own columns, not rows: so each table entry is summed by one thread, in row order.
template <class T>
void embedding_grad(ThreadPool& pool, const int32_t* ids, const T* dy, T* dtable, int64_t rows, int64_t dim) {
  const RowKernels<T>& kernels = row_kernels<T>();
  pool.parallel_for(dim, kColumnGrain, [&](int64_t begin, int64_t end) {
    for (int64_t row = 0; row < rows; ++row) {
      kernels.scale(dy + row * dim + begin, T(1), dtable + int64_t{ids[row]} * dim + begin, true, end - begin);
    }
  });
}

void bigram_hash(const int32_t* ids, int32_t* index, int64_t rows, int64_t seq, int64_t buckets, int64_t multiplier,
                 bool own_previous) {
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t id = ids[row];
    const int64_t previous = row % seq != 0 ? ids[row - 1] : own_previous ? id : 0;
    index[row] = static_cast<int32_t>((previous * multiplier + id) % buckets);
  }
}

// As the originals: products and XOR in 32 bits, which wrap above ids of 59,138; the remainder is never negative.
void pair_hash(const int32_t* ids, int32_t* index, int64_t rows, int64_t seq, int64_t buckets) {
  const int64_t modulus = buckets - 1;
  for (int64_t row = 0; row < rows; ++row) {
    if (row % seq == 0) {
      index[row] = static_cast<int32_t>(modulus);
      continue;
    }
    const uint32_t mixed = 36313u * static_cast<uint32_t>(ids[row]) ^ 27191u * static_cast<uint32_t>(ids[row - 1]);
    const int64_t remainder = int64_t{static_cast<int32_t>(mixed)} % modulus;
    index[row] = static_cast<int32_t>(remainder < 0 ? remainder + modulus : remainder);
  }
}

template <class T>
void tail_rows(ThreadPool& pool, const T* x, T* y, int64_t windows, int64_t seq, int64_t tail, int64_t dim) {
  pool.parallel_for(windows, row_grain(tail * dim), [&](int64_t begin, int64_t end) {
    for (int64_t window = begin; window < end; ++window) {
      std::memcpy(y + window * tail * dim, x + ((window + 1) * seq - tail) * dim,
                  static_cast<size_t>(tail * dim) * sizeof(T));
    }
  });
}

// ---- Elements

template <class T>
void fill(ThreadPool& pool, T* y, T value, int64_t count) {
  pool.parallel_for(count, kElementGrain, [&](int64_t begin, int64_t end) { std::fill(y + begin, y + end, value); });
}

template <class T>
void scale(ThreadPool& pool, const T* x, const T* s, T alpha, T* y, bool add_y, int64_t count) {
  const RowKernels<T>& kernels = row_kernels<T>();
  const T factor = s != nullptr ? alpha * *s : alpha;
  pool.parallel_for(count, kElementGrain, [&](int64_t begin, int64_t end) {
    kernels.scale(x + begin, factor, y + begin, add_y, end - begin);
  });
}

template <class T>
void scale_by_grad(ThreadPool& pool, const T* x, const T* s, const T* dy, T alpha, T* dx, bool add_dx, T* ds, int64_t rows,
                   int64_t dim) {
  const RowKernels<T>& kernels = row_kernels<T>();
  const T* sums = sum_over_rows<T>(pool, rows, dim, [&](int64_t begin, int64_t end, T* own) {
    const int64_t at = begin * dim;
    kernels.scale_by_grad(x + at, alpha * *s, dy + at, dx + at, add_dx, own, end - begin, dim);
  });
  double total = 0;  // double: many terms of both signs
  for (int64_t i = 0; i < dim; ++i) total += sums[i];
  *ds += static_cast<T>(double(alpha) * total);
}

template <class T>
void add_row(ThreadPool& pool, const T* x, const T* row, T* y, int64_t rows, int64_t dim) {
  const RowKernels<T>& kernels = row_kernels<T>();
  pool.parallel_for(rows, row_grain(dim), [&](int64_t begin, int64_t end) {
    kernels.add_row(x + begin * dim, row, y + begin * dim, end - begin, dim);
  });
}

template <class T>
void add_row_grad(ThreadPool& pool, const T* dy, T* drow, int64_t rows, int64_t dim) {
  const RowKernels<T>& kernels = row_kernels<T>();
  const T* sums = sum_over_rows<T>(pool, rows, dim, [&](int64_t begin, int64_t end, T* own) {
    kernels.add_rows(dy + begin * dim, own, end - begin, dim);
  });
  for (int64_t i = 0; i < dim; ++i) drow[i] += sums[i];
}

template <class T>
void fake_quant(ThreadPool& pool, const T* w, T* y, T low, int64_t rows, int64_t dim) {
  const RowKernels<T>& kernels = row_kernels<T>();
  pool.parallel_for(rows, row_grain(dim), [&](int64_t begin, int64_t end) {
    kernels.fake_quant(w + begin * dim, y + begin * dim, low, end - begin, dim);
  });
}

template <class T>
void axpby(ThreadPool& pool, const T* x, const T* y, T alpha, T beta, T* out, int64_t count) {
  const RowKernels<T>& kernels = row_kernels<T>();
  pool.parallel_for(count, kElementGrain, [&](int64_t begin, int64_t end) {
    kernels.axpby(x + begin, y + begin, alpha, beta, out + begin, end - begin);
  });
}

template <class T>
void leaky_relu_sq(ThreadPool& pool, const T* h, T* y, T slope, int64_t count) {
  const RowKernels<T>& kernels = row_kernels<T>();
  pool.parallel_for(count, kElementGrain, [&](int64_t begin, int64_t end) {
    kernels.leaky_relu_sq(h + begin, y + begin, slope, end - begin);
  });
}

template <class T>
void leaky_relu_sq_grad(ThreadPool& pool, const T* h, const T* dy, T* dh, bool add_dh, T slope, int64_t count) {
  const RowKernels<T>& kernels = row_kernels<T>();
  pool.parallel_for(count, kElementGrain, [&](int64_t begin, int64_t end) {
    kernels.leaky_relu_sq_grad(h + begin, dy + begin, dh + begin, add_dh, slope, end - begin);
  });
}

// ---- Rows

template <class T>
void rms_norm(ThreadPool& pool, const T* x, T* y, int64_t rows, int64_t dim, T alpha, T eps) {
  const RowKernels<T>& kernels = row_kernels<T>();
  pool.parallel_for(rows, row_grain(dim), [&](int64_t begin, int64_t end) {
    kernels.rms_norm(x + begin * dim, y + begin * dim, end - begin, dim, alpha, eps);
  });
}

template <class T>
void rms_norm_grad(ThreadPool& pool, const T* x, const T* dy, T* dx, bool add_dx, int64_t rows, int64_t dim, T alpha, T eps) {
  const RowKernels<T>& kernels = row_kernels<T>();
  pool.parallel_for(rows, row_grain(dim), [&](int64_t begin, int64_t end) {
    const int64_t at = begin * dim;
    kernels.rms_norm_grad(x + at, dy + at, dx + at, add_dx, end - begin, dim, alpha, eps);
  });
}

template <class T>
void residual_mix(ThreadPool& pool, const T* x, const T* x0, const T* mix, T* y, int64_t rows, int64_t dim) {
  const RowKernels<T>& kernels = row_kernels<T>();
  pool.parallel_for(rows, row_grain(dim), [&](int64_t begin, int64_t end) {
    const int64_t at = begin * dim;
    kernels.residual_mix(x + at, x0 + at, mix, y + at, end - begin, dim);
  });
}

template <class T>
void residual_mix_grad(ThreadPool& pool, const T* x, const T* x0, const T* mix, const T* dy, T* dx, bool add_dx, T* dx0,
                       bool add_dx0, T* dmix, int64_t rows, int64_t dim) {
  const RowKernels<T>& kernels = row_kernels<T>();
  const T* sums = sum_over_rows<T>(pool, rows, 2 * dim, [&](int64_t begin, int64_t end, T* own) {
    const int64_t at = begin * dim;
    kernels.residual_mix_grad(x + at, x0 + at, mix, dy + at, dx + at, add_dx, dx0 + at, add_dx0, own, end - begin, dim);
  });
  for (int64_t i = 0; i < 2 * dim; ++i) dmix[i] += sums[i];
}

template <class T>
void add_scaled(ThreadPool& pool, const T* x, const T* a, const T* s, T* y, int64_t rows, int64_t dim) {
  const RowKernels<T>& kernels = row_kernels<T>();
  pool.parallel_for(rows, row_grain(dim), [&](int64_t begin, int64_t end) {
    const int64_t at = begin * dim;
    kernels.add_scaled(x + at, a + at, s, y + at, end - begin, dim);
  });
}

template <class T>
void add_scaled_grad(ThreadPool& pool, const T* a, const T* s, const T* dy, T* da, bool add_da, T* ds, int64_t rows,
                     int64_t dim) {
  const RowKernels<T>& kernels = row_kernels<T>();
  const T* sums = sum_over_rows<T>(pool, rows, dim, [&](int64_t begin, int64_t end, T* own) {
    const int64_t at = begin * dim;
    kernels.add_scaled_grad(a + at, s, dy + at, da + at, add_da, own, end - begin, dim);
  });
  for (int64_t i = 0; i < dim; ++i) ds[i] += sums[i];
}

#define SIXTEEN_INSTANTIATE(T)                                                                                            \
  template void embedding(ThreadPool&, const int32_t*, const T*, T*, int64_t, int64_t);                                   \
  template void embedding_grad(ThreadPool&, const int32_t*, const T*, T*, int64_t, int64_t);                              \
  template void tail_rows(ThreadPool&, const T*, T*, int64_t, int64_t, int64_t, int64_t);                                 \
  template void fill(ThreadPool&, T*, T, int64_t);                                                                        \
  template void scale(ThreadPool&, const T*, const T*, T, T*, bool, int64_t);                                             \
  template void scale_by_grad(ThreadPool&, const T*, const T*, const T*, T, T*, bool, T*, int64_t, int64_t);              \
  template void add_row(ThreadPool&, const T*, const T*, T*, int64_t, int64_t);                                           \
  template void add_row_grad(ThreadPool&, const T*, T*, int64_t, int64_t);                                                \
  template void fake_quant(ThreadPool&, const T*, T*, T, int64_t, int64_t);                                               \
  template void axpby(ThreadPool&, const T*, const T*, T, T, T*, int64_t);                                                \
  template void leaky_relu_sq(ThreadPool&, const T*, T*, T, int64_t);                                                     \
  template void leaky_relu_sq_grad(ThreadPool&, const T*, const T*, T*, bool, T, int64_t);                                \
  template void rms_norm(ThreadPool&, const T*, T*, int64_t, int64_t, T, T);                                              \
  template void rms_norm_grad(ThreadPool&, const T*, const T*, T*, bool, int64_t, int64_t, T, T);                         \
  template void residual_mix(ThreadPool&, const T*, const T*, const T*, T*, int64_t, int64_t);                            \
  template void residual_mix_grad(ThreadPool&, const T*, const T*, const T*, const T*, T*, bool, T*, bool, T*, int64_t,   \
                                  int64_t);                                                                               \
  template void add_scaled(ThreadPool&, const T*, const T*, const T*, T*, int64_t, int64_t);                              \
  template void add_scaled_grad(ThreadPool&, const T*, const T*, const T*, T*, bool, T*, int64_t, int64_t);
SIXTEEN_INSTANTIATE(float)
SIXTEEN_INSTANTIATE(double)

}  // namespace sixteen::cpu
