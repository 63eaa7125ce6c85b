// The GEMM's driver (gemm.h, gemm_tile.h): cuts the product into blocks of k, columns and rows and hands them to the threads.
//
// Big products: B is packed once by all threads, a superblock (kPackedBytes) at a time; then tasks, each some tiles of rows
// by some panels of columns, run through the superblock's blocks of k. Products of few rows: the threads share the columns,
// and each packs the panels it is about to use into its own cache.
// Bites: no task splits k, and blocks of k follow each other through C: that is the chain. Nothing else here affects bits.
#include "graph/cpu/gemm.h"

#include <algorithm>

#include "formats/check.h"
#include "graph/cpu/gemm_kernels.h"
#include "graph/cpu/gemm_tile.h"

namespace sixteen::cpu {

namespace {

constexpr int64_t kPackedBytes = int64_t{8} << 20;  // of packed B at a time: stays in the last-level cache
constexpr int64_t kInlineWork = int64_t{1} << 16;   // multiply-adds below which threads do not pay
constexpr int64_t kFewRows = 56;                    // at most so many: no shared packing
constexpr int64_t kGroupPanels = 8;                 // panels of B packed by one task
constexpr int64_t kTaskColumns = 1024;              // of one task: its part of C stays in the second-level cache
constexpr int64_t kPackedSteps = 1024;              // of packed B before its columns are cut: C is read back less often
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

template <class T>
void few_rows(ThreadPool& pool, const Product<T>& p) {
  const GemmKernels<T>& kernel = kernels<T>();
  const StepBlocks blocks(p.k);
  const int64_t panels = ceil_div(p.n, kernel.nr);
  const int64_t most = std::clamp<int64_t>(panels / (2 * pool.threads()), 1, 4);  // panels packed at a time
  const int64_t grain = p.m * p.n * p.k < kInlineWork ? panels : most;
  pool.parallel_for(panels, grain, [&](int64_t begin, int64_t end) {
    T* packed = scratch<T>(most * kernel.nr * blocks.length, kSlotTile);
    for (int64_t panel = begin; panel < end; panel += most) {
      const int64_t column = panel * kernel.nr;
      const int64_t columns = std::min(std::min(most, end - panel) * kernel.nr, p.n - column);
      for (int64_t block = 0; block < blocks.count; ++block) {
        const int64_t step = blocks.begin(block), steps = blocks.steps(block);
        kernel.pack_b(p.b.transposed, steps, columns, p.b.at(step, column), p.b.stride, packed);
        multiply(p, 0, p.m, column, columns, step, steps, packed);
      }
    }
  });
}

// A superblock: blocks [first, last) of k by `columns` columns from `column`, packed as [block][panel].
template <class T>
struct Superblock {
  const StepBlocks& blocks;
  int64_t first, last, column, columns;
  T* packed;

  T* panel(int64_t block, int64_t index, int64_t nr) const {
    return packed + (blocks.begin(block) - blocks.begin(first)) * round_up(columns, nr) +
           index * nr * blocks.steps(block);
  }
};

template <class T>
void pack_superblock(ThreadPool& pool, const Product<T>& p, const Superblock<T>& s) {
  const GemmKernels<T>& kernel = kernels<T>();
  const int64_t group = kGroupPanels * kernel.nr;
  const int64_t groups = ceil_div(s.columns, group);
  pool.parallel_for((s.last - s.first) * groups, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t block = s.first + task / groups, column = task % groups * group;
      kernel.pack_b(p.b.transposed, s.blocks.steps(block), std::min(group, s.columns - column),
                    p.b.at(s.blocks.begin(block), s.column + column), p.b.stride,
                    s.panel(block, column / kernel.nr, kernel.nr));
    }
  });
}

template <class T>
void multiply_superblock(ThreadPool& pool, const Product<T>& p, const Superblock<T>& s) {
  const GemmKernels<T>& kernel = kernels<T>();
  const int64_t tiles = ceil_div(p.m, kernel.mr), panels = ceil_div(s.columns, kernel.nr);
  const int64_t row_blocks = ceil_div(tiles, kGemmBlockPanels);
  // Enough tasks to keep the threads level; each at least 4 panels wide, or copying A would show.
  const int64_t column_blocks = std::max(ceil_div(s.columns, kTaskColumns),
                                         std::min(ceil_div(16 * pool.threads(), row_blocks), ceil_div(panels, 4)));
  pool.parallel_for(row_blocks * column_blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t i = task / column_blocks, j = task % column_blocks;
      const int64_t row = tiles * i / row_blocks * kernel.mr;
      const int64_t row_end = std::min(p.m, tiles * (i + 1) / row_blocks * kernel.mr);
      const int64_t panel = panels * j / column_blocks;
      const int64_t column_end = std::min(s.columns, panels * (j + 1) / column_blocks * kernel.nr);
      for (int64_t block = s.first; block < s.last; ++block) {
        multiply(p, row, row_end - row, s.column + panel * kernel.nr, column_end - panel * kernel.nr,
                 s.blocks.begin(block), s.blocks.steps(block), s.panel(block, panel, kernel.nr));
      }
    }
  });
}

template <class T>
void many_rows(ThreadPool& pool, const Product<T>& p) {
  const GemmKernels<T>& kernel = kernels<T>();
  const StepBlocks blocks(p.k);
  const int64_t budget = kPackedBytes / static_cast<int64_t>(sizeof(T));
  const int64_t most_columns = round_up(std::min(p.n, budget / std::min(p.k, kPackedSteps)), kernel.nr);
  const int64_t most_blocks = std::clamp<int64_t>(budget / (most_columns * blocks.length), 1, blocks.count);
  T* packed = scratch<T>(most_columns * most_blocks * blocks.length, kSlotPacked);
  for (int64_t column = 0; column < p.n; column += most_columns) {
    for (int64_t block = 0; block < blocks.count; block += most_blocks) {
      const Superblock<T> s{
          blocks, block, std::min(blocks.count, block + most_blocks), column, std::min(most_columns, p.n - column),
          packed};
      pack_superblock(pool, p, s);
      multiply_superblock(pool, p, s);
    }
  }
}

template <class T>
void run(ThreadPool& pool, const Product<T>& p) {
  if (is_empty(p)) return;
  p.m <= kFewRows || p.m* p.n* p.k < kInlineWork ? few_rows(pool, p) : many_rows(pool, p);
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
