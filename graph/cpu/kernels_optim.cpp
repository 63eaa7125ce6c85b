// The optimiser ops (kernels.h): threads, fixed-order sums and Newton-Schulz; the loops are optim_kernels.cpp's.
//
// Bites: sums of squares over millions of entries are added a block at a time in double, in block order: with fp32 the
// gradient norm, and so the clip, would drift with the model's size.
#include <algorithm>
#include <cmath>

#include "formats/check.h"
#include "formats/dtype.h"
#include "graph/cpu/gemm.h"
#include "graph/cpu/kernels.h"
#include "graph/cpu/optim_kernels.h"
#include "graph/cpu/row_blocks.h"

namespace sixteen::cpu {

namespace {

constexpr int64_t kSumBlock = 4096;    // elements of one partial sum of squares
constexpr int64_t kStrip = 128;        // rows of a symmetric product at a time
constexpr int kNewtonSchulzSlot = 42;  // three matrices in this and the next two slots of ThreadPool::scratch

// p(s) = a s + b s^3 + c s^5 on every singular value s: PR 1584 (spec 5.3), after K. Jordan's Muon.
constexpr double kA = 3.4445, kB = -4.775, kC = 2.0315;

template <class T>
T* matrix_scratch(ThreadPool& pool, int64_t count, int which) {
  return static_cast<T*>(pool.scratch(static_cast<size_t>(count) * sizeof(T), kNewtonSchulzSlot + which));
}

// What a bf16 tensor would hold.
template <class T>
T rounded(T x, bool round) {
  if (round) optim_kernels<T>().round(&x, 1);
  return x;
}

// One matrix. The symmetric product is taken over the longer side, which is what transposing a tall matrix does, and symmetric
// matrices are symmetric to the bit here, so tall matrices need no transpose: X (b A + c A^2) instead of (b A + c A^2) X.
template <class T>
struct NewtonSchulz {
  ThreadPool& pool;
  int64_t rows, cols;
  bool round;

  int64_t small() const { return std::min(rows, cols); }

  void round_matrix(T* x, int64_t count) const {
    if (!round) return;
    pool.parallel_for(count, kElementGrain, [&](int64_t begin, int64_t end) {
      optim_kernels<T>().round(x + begin, end - begin);
    });
  }

  void combine(const T* x, double alpha, const T* y, double beta, T* out, int64_t count) const {
    pool.parallel_for(count, kElementGrain, [&](int64_t begin, int64_t end) {
      optim_kernels<T>().combine(x + begin, T(alpha), y + begin, T(beta), out + begin, round, end - begin);
    });
  }

  // x = u / (|u| + 1e-7)
  void normalise(const T* u, T* x) const {
    const int64_t count = rows * cols;
    if (round) {
      std::copy(u, u + count, x);
      round_matrix(x, count);
      u = x;
    }
    T squares;
    sum_squares(pool, u, &squares, count);
    const T divisor = rounded(rounded(std::sqrt(squares), round) + T(1e-7), round);
    pool.parallel_for(count, kElementGrain, [&](int64_t begin, int64_t end) {
      optim_kernels<T>().divide(u + begin, divisor, x + begin, round, end - begin);
    });
  }

  // y = op(x) op(x)^T [n, n], symmetric: strips of rows up to the diagonal, then the mirror image. A strip's bits are those that
  // the whole product would have (gemm.h).
  void symmetric_product(bool transposed, int64_t n, int64_t k, const T* x, int64_t stride, T* y) const {
    for (int64_t first = 0; first < n; first += kStrip) {
      const int64_t end = std::min(n, first + kStrip);
      gemm(pool, transposed, !transposed, end - first, end, k, x + first * (transposed ? 1 : stride), stride, x, stride,
           y + first * n, n, false);
    }
    pool.parallel_for(n, row_grain(n), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        for (int64_t j = (i / kStrip + 1) * kStrip; j < n; ++j) y[i * n + j] = y[j * n + i];
      }
    });
    round_matrix(y, n * n);
  }

  // x -> a x + (b A + c A A) x with A = x x^T; gram, square [small, small] and product [rows, cols] are scratch.
  void step(T* x, T* gram, T* square, T* product) const {
    const int64_t n = small(), count = rows * cols;
    const bool tall = rows > cols;
    symmetric_product(tall, n, std::max(rows, cols), x, cols, gram);
    symmetric_product(false, n, n, gram, n, square);
    combine(gram, kB, square, kC, gram, n * n);
    if (tall) {
      gemm(pool, false, false, rows, cols, n, x, cols, gram, n, product, cols, false);
    } else {
      gemm(pool, false, false, rows, cols, n, gram, n, x, cols, product, cols, false);
    }
    round_matrix(product, count);
    combine(x, kA, product, 1, x, count);
  }
};

}  // namespace

template <class T>
void sum_squares(ThreadPool& pool, const T* x, T* out, int64_t count) {
  const int64_t blocks = (count + kSumBlock - 1) / kSumBlock;
  T* sums = static_cast<T*>(pool.scratch(static_cast<size_t>(blocks) * sizeof(T), kBlockSumsSlot));
  pool.parallel_for(blocks, kElementGrain / kSumBlock, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t at = block * kSumBlock;
      sums[block] = optim_kernels<T>().sum_squares(x + at, std::min(kSumBlock, count - at));
    }
  });
  double total = 0;
  for (int64_t block = 0; block < blocks; ++block) total += sums[block];
  *out = static_cast<T>(total);
}

template <class T>
void clip_scale(const T* sum, T max_norm, T* coefficient, T* norm) {
  *norm = std::sqrt(*sum);
  const T wanted = max_norm / (*norm + T(1e-6));
  *coefficient = wanted >= T(1) ? T(1) : wanted;  // in this order NaN stays NaN
}

template <class T>
void muon_direction(ThreadPool& pool, const T* g, const T* coefficient, const T* momentum, T* u, T* buffer, int64_t n,
                    int64_t rows, int64_t cols, bool row_norm, bool round_bf16) {
  pool.parallel_for(n * rows, row_grain(cols), [&](int64_t begin, int64_t end) {
    const int64_t at = begin * cols;
    optim_kernels<T>().muon_direction(g + at, *coefficient, *momentum, u + at, buffer + at, end - begin, cols, row_norm,
                                      round_bf16);
  });
}

template <class T>
void newton_schulz(ThreadPool& pool, const T* u, T* out, int64_t n, int64_t rows, int64_t cols, int64_t steps,
                   bool round_bf16) {
  CHECK(u != out);
  const NewtonSchulz<T> matrix{pool, rows, cols, round_bf16};
  T* gram = matrix_scratch<T>(pool, matrix.small() * matrix.small(), 0);
  T* square = matrix_scratch<T>(pool, matrix.small() * matrix.small(), 1);
  T* product = matrix_scratch<T>(pool, rows * cols, 2);
  for (int64_t i = 0; i < n; ++i) {
    T* x = out + i * rows * cols;
    matrix.normalise(u + i * rows * cols, x);
    for (int64_t step = 0; step < steps; ++step) matrix.step(x, gram, square, product);
  }
}

template <class T>
void muon_apply(ThreadPool& pool, T* w, const T* u, const T* lr, T weight_decay, T factor, bool round_bf16,
                int64_t count) {
  const T keep = T(1) - *lr * weight_decay, step = *lr * factor;
  pool.parallel_for(count, kElementGrain, [&](int64_t begin, int64_t end) {
    optim_kernels<T>().muon_apply(w + begin, u + begin, keep, step, round_bf16, end - begin);
  });
}

template <class T>
void adamw(ThreadPool& pool, T* p, const T* g, T* m, T* v, const AdamWStep<T>& step, int64_t count) {
  pool.parallel_for(count, kElementGrain, [&](int64_t begin, int64_t end) {
    optim_kernels<T>().adamw(p + begin, g + begin, m + begin, v + begin, step, end - begin);
  });
}

template <class T>
void sgd(ThreadPool& pool, T* p, const T* g, T* buffer, const T* coefficient, const T* lr, T momentum, int64_t count) {
  pool.parallel_for(count, kElementGrain, [&](int64_t begin, int64_t end) {
    optim_kernels<T>().sgd(p + begin, g + begin, buffer + begin, *coefficient, *lr, momentum, end - begin);
  });
}

template <class T>
void ema(ThreadPool& pool, T* e, const T* w, T decay, int64_t count) {
  pool.parallel_for(count, kElementGrain, [&](int64_t begin, int64_t end) {
    optim_kernels<T>().ema(e + begin, w + begin, decay, end - begin);
  });
}

template <class T>
void cast_bf16(ThreadPool& pool, const T* x, uint16_t* y, int64_t count) {
  pool.parallel_for(count, kElementGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) y[i] = float_to_bf16(static_cast<float>(x[i]));
  });
}

#define SIXTEEN_INSTANTIATE(T)                                                                                           \
  template void sum_squares(ThreadPool&, const T*, T*, int64_t);                                                         \
  template void clip_scale(const T*, T, T*, T*);                                                                         \
  template void muon_direction(ThreadPool&, const T*, const T*, const T*, T*, T*, int64_t, int64_t, int64_t, bool, bool); \
  template void newton_schulz(ThreadPool&, const T*, T*, int64_t, int64_t, int64_t, int64_t, bool);                      \
  template void muon_apply(ThreadPool&, T*, const T*, const T*, T, T, bool, int64_t);                                          \
  template void adamw(ThreadPool&, T*, const T*, T*, T*, const AdamWStep<T>&, int64_t);                                  \
  template void sgd(ThreadPool&, T*, const T*, T*, const T*, const T*, T, int64_t);                                      \
  template void ema(ThreadPool&, T*, const T*, T, int64_t);                                                              \
  template void cast_bf16(ThreadPool&, const T*, uint16_t*, int64_t);
SIXTEEN_INSTANTIATE(float)
SIXTEEN_INSTANTIATE(double)

}  // namespace sixteen::cpu
