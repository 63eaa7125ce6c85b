// The GEMM's driver (gemm.h, gemm_tile.h): cuts C into column blocks, deals their tiles of rows to the threads.
//
// A thread packs the part of B that its rows need into its own cache, again for every run of rows that it is dealt.
// That costs a few percent at worst; sharing one packed B costs more (a barrier, and lines that travel between cores).
// Bites: no task splits k, and blocks of k follow each other through C: that is the chain. Nothing else here affects
// bits.
#include "graph/cpu/gemm.h"

#include <algorithm>
#include <cmath>

#include "formats/check.h"
#include "graph/cpu/gemm_kernels.h"
#include "graph/cpu/gemm_tile.h"

namespace sixteen::cpu {

namespace {

constexpr int64_t kPackedBytes = int64_t{512} << 10;    // of packed B at a time: half of a second-level cache
constexpr int64_t kInlineWork = int64_t{1} << 16;       // multiply-adds below which threads do not pay
constexpr int64_t kMinColumns = 64, kMaxColumns = 512;  // of a column block
constexpr int kSlotA = 60, kSlotPacked = 61, kSlotTile = 62;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

template <class T>
const GemmKernels<T>& kernels();
template <>
const GemmKernels<float>& kernels<float>() {
  return gemm_kernels_f32();
}
template <>
const GemmKernels<double>& kernels<double>() {
  return gemm_kernels_f64();
}

// k in blocks of equal length (a multiple of 16) up to kGemmBlockK.
struct StepBlocks {
  explicit StepBlocks(int64_t total)
      : k(total), length(round_up(ceil_div(k, ceil_div(k, kGemmBlockK)), 16)), count(ceil_div(k, length)) {}
  int64_t begin(int64_t block) const { return block * length; }
  int64_t steps(int64_t block) const { return std::min(length, k - block * length); }

  int64_t k, length, count;
};

// A stored matrix with its transposition; at(row, column) is where op(X)'s element lies.
template <class T>
struct Operand {
  const T* data;
  int64_t stride;
  bool transposed;
  const T* at(int64_t row, int64_t column) const {
    return transposed ? data + column * stride + row : data + row * stride + column;
  }
};

template <class T>
struct Product {
  int64_t m, n, k;
  Operand<T> a, b;
  T* c;
  int64_t ldc;
  bool accumulate;
};

template <class T>
T* scratch(int64_t numbers, int slot) {
  return static_cast<T*>(ThreadPool::scratch(static_cast<size_t>(numbers) * sizeof(T), slot));
}

// One block: rows x columns of C, `steps` steps of k from `step`; the packed panels begin at the block's first column.
template <class T>
void multiply(const Product<T>& p, int64_t row, int64_t rows, int64_t column, int64_t columns, int64_t step,
              int64_t steps, const T* packed) {
  const GemmKernels<T>& kernel = kernels<T>();
  kernel.multiply(p.a.transposed, rows, columns, steps, p.a.at(row, step), p.a.stride, packed,
                  p.c + row * p.ldc + column, p.ldc, p.accumulate || step > 0,
                  ThreadPool::scratch(static_cast<size_t>(kernel.scratch_bytes), kSlotA));
}

// True when nothing is left to compute.
template <class T>
bool is_empty(const Product<T>& p) {
  CHECK(p.m >= 0 && p.n >= 0 && p.k >= 0);
  if (p.m == 0 || p.n == 0) return true;
  if (p.k > 0) return false;
  for (int64_t row = 0; row < p.m && !p.accumulate; ++row) std::fill_n(p.c + row * p.ldc, p.n, T(0));
  return true;
}

// Rows [row, row_end) of columns [column, column_end) on one thread. As many blocks of k as fit are packed at a time; a
// block of rows runs through them while its part of C is in cache.
template <class T>
void multiply_run(const Product<T>& p, int64_t row, int64_t row_end, int64_t column, int64_t column_end) {
  const GemmKernels<T>& kernel = kernels<T>();
  const StepBlocks blocks(p.k);
  const int64_t columns = column_end - column, packed_block = round_up(columns, kernel.nr) * blocks.length;
  const int64_t most =
      std::clamp<int64_t>(kPackedBytes / (packed_block * static_cast<int64_t>(sizeof(T))), 1, blocks.count);
  T* packed = scratch<T>(most * packed_block, kSlotPacked);
  for (int64_t first = 0; first < blocks.count; first += most) {
    const int64_t last = std::min(first + most, blocks.count);
    for (int64_t block = first; block < last; ++block) {
      kernel.pack_b(p.b.transposed, blocks.steps(block), columns, p.b.at(blocks.begin(block), column), p.b.stride,
                    packed + (block - first) * packed_block);
    }
    for (int64_t top = row; top < row_end; top += kGemmBlockPanels * kernel.mr) {
      const int64_t rows = std::min(row_end - top, kGemmBlockPanels * kernel.mr);
      for (int64_t block = first; block < last; ++block) {
        multiply(p, top, rows, column, columns, blocks.begin(block), blocks.steps(block),
                 packed + (block - first) * packed_block);
      }
    }
  }
}

// A thread's piece of C is about twice as wide as it is high: A, mostly fresh from memory, costs more to copy than B to
// pack.
template <class T>
int64_t column_block_panels(const Product<T>& p, int threads) {
  const double piece = static_cast<double>(p.m) * static_cast<double>(p.n) / (4.0 * threads);
  const auto columns = static_cast<int64_t>(std::sqrt(piece * 2));
  return std::clamp(columns, kMinColumns, kMaxColumns) / kernels<T>().nr;
}

template <class T>
void run(ThreadPool& pool, const Product<T>& p) {
  if (is_empty(p)) return;
  const GemmKernels<T>& kernel = kernels<T>();
  const int64_t tiles = ceil_div(p.m, kernel.mr), panels = ceil_div(p.n, kernel.nr);
  const int64_t column_blocks = ceil_div(panels, column_block_panels(p, pool.threads()));
  const int64_t count = tiles * column_blocks;  // tiles of the first column block, then of the second, ...
  const double work = static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
  pool.parallel_for(count, work < kInlineWork ? count : 1, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t j = begin / tiles, stop = std::min(end, (j + 1) * tiles);
      multiply_run(p, (begin - j * tiles) * kernel.mr, std::min(p.m, (stop - j * tiles) * kernel.mr),
                   panels * j / column_blocks * kernel.nr, std::min(p.n, panels * (j + 1) / column_blocks * kernel.nr));
      begin = stop;
    }
  });
}

}  // namespace

void gemm(ThreadPool& pool, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const float* a, int64_t lda,
          const float* b, int64_t ldb, float* c, int64_t ldc, bool accumulate) {
  run<float>(pool, {m, n, k, {a, lda, ta}, {b, ldb, tb}, c, ldc, accumulate});
}

void gemm(ThreadPool& pool, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const double* a, int64_t lda,
          const double* b, int64_t ldb, double* c, int64_t ldc, bool accumulate) {
  run<double>(pool, {m, n, k, {a, lda, ta}, {b, ldb, tb}, c, ldc, accumulate});
}

template <class T>
int64_t packed_b_size(int64_t n, int64_t k) {
  return round_up(n, kernels<T>().nr) * k;
}

template <class T>
void pack_b(bool tb, int64_t n, int64_t k, const T* b, int64_t ldb, T* packed) {
  if (k == 0) return;
  const Operand<T> operand{b, ldb, tb};
  const StepBlocks blocks(k);
  for (int64_t block = 0; block < blocks.count; ++block) {
    kernels<T>().pack_b(tb, blocks.steps(block), n, operand.at(blocks.begin(block), 0), ldb, packed);
    packed += packed_b_size<T>(n, blocks.steps(block));
  }
}

template <class T>
void gemm_packed(bool ta, int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* packed, T* c, int64_t ldc,
                 bool accumulate) {
  const Product<T> p{m, n, k, {a, lda, ta}, {}, c, ldc, accumulate};
  if (is_empty(p)) return;
  const StepBlocks blocks(k);
  for (int64_t block = 0; block < blocks.count; ++block) {
    multiply(p, 0, m, 0, n, blocks.begin(block), blocks.steps(block), packed);
    packed += packed_b_size<T>(n, blocks.steps(block));
  }
}

template <class T>
void gemm_tile(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* b, int64_t ldb,
               T* c, int64_t ldc, bool accumulate) {
  T* packed = scratch<T>(packed_b_size<T>(n, k), kSlotTile);
  pack_b(tb, n, k, b, ldb, packed);
  gemm_packed(ta, m, n, k, a, lda, packed, c, ldc, accumulate);
}

#define SIXTEEN_INSTANTIATE(T)                                                                                      \
  template int64_t packed_b_size<T>(int64_t, int64_t);                                                              \
  template void pack_b(bool, int64_t, int64_t, const T*, int64_t, T*);                                              \
  template void gemm_packed(bool, int64_t, int64_t, int64_t, const T*, int64_t, const T*, T*, int64_t, bool);       \
  template void gemm_tile(bool, bool, int64_t, int64_t, int64_t, const T*, int64_t, const T*, int64_t, T*, int64_t, \
                          bool);
SIXTEEN_INSTANTIATE(float)
SIXTEEN_INSTANTIATE(double)
#undef SIXTEEN_INSTANTIATE

}  // namespace sixteen::cpu
