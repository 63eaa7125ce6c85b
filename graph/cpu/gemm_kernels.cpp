// Packing and the register tile of the GEMM (gemm_kernels.h). Compiled once per instruction set (isa.h).
//
// The tile holds kRows x kVecs accumulators in registers: 14 x 2 of 32 with AVX-512, 6 x 1 Lanes (12 of 16) with AVX2.
// Bites: with a 15th row, or another live value, the compiler spills accumulators and half the speed is gone.
#include "graph/cpu/gemm_kernels.h"

#include "graph/cpu/gemm_transpose.h"
#include "graph/cpu/simd.h"

namespace sixteen::cpu::SIXTEEN_ISA {

namespace {

template <class T>
struct TileShape {
  static constexpr int kRows = 4, kVecs = 1;
};
#if defined(__AVX512F__) && defined(__AVX512DQ__)
template <>
struct TileShape<float> {
  static constexpr int kRows = 14, kVecs = 2;
};
#elif defined(__AVX2__) && defined(__FMA__)
template <>
struct TileShape<float> {
  static constexpr int kRows = 6, kVecs = 1;
};
#endif

template <class T>
constexpr int kMr = TileShape<T>::kRows;
template <class T>
constexpr int kNr = 16 * TileShape<T>::kVecs;  // kLanes = 16

// A tile's rows of A lie in scratch as they lay in memory: a row after the other (the stride is odd in cache lines),
// or, for a transposed A, a step of k after the other.
struct RowsOfA {
  static constexpr int64_t kRowStride = kGemmBlockK + 16, kStepStride = 1;
};
struct StepsOfA {
  static constexpr int64_t kRowStride = 1, kStepStride = 16;
};
constexpr int64_t kPanelNumbers = 16 * kGemmBlockK;  // of one tile's A, either layout: 14 * 272 < 4096

// c[kRows, n] (+)= a b, n <= kVecs * 16; b advances by a whole panel row however few vectors are used.
template <class T, int kRows, int kVecs, class LayoutA>
void tile(int64_t k, const T* __restrict a, const T* __restrict b, T* __restrict c, int64_t ldc, int64_t n,
          bool from_c) {
  Lanes<T> acc[kRows][kVecs];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVecs; ++v) {
      acc[r][v] = Lanes<T>::zero();
      if (from_c) acc[r][v] = Lanes<T>::load(c + r * ldc + v * kLanes, n - v * kLanes);
      __builtin_prefetch(c + (r + kRows) * ldc + v * kLanes, 1);  // the tile below comes next
    }
  }
  for (int64_t step = 0; step < k; ++step) {
    Lanes<T> bv[kVecs];
#pragma GCC unroll 2
    for (int v = 0; v < kVecs; ++v) bv[v] = Lanes<T>::load(b + v * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const Lanes<T> av = Lanes<T>::all(a[r * LayoutA::kRowStride]);
#pragma GCC unroll 2
      for (int v = 0; v < kVecs; ++v) acc[r][v] = fma(av, bv[v], acc[r][v]);
    }
    a += LayoutA::kStepStride;
    b += kNr<T>;
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVecs; ++v) acc[r][v].store(c + r * ldc + v * kLanes, n - v * kLanes);
  }
}

// Any number of rows up to kRows, by tiles of kRows, then half as many, ...: a row's chain is the same in each.
template <class T, int kRows, class LayoutA>
void tiles(int64_t rows, int64_t k, const T* a, const T* b, T* c, int64_t ldc, int64_t n, bool from_c) {
  if (rows >= kRows) {
    if (n > (TileShape<T>::kVecs - 1) * kLanes) {
      tile<T, kRows, TileShape<T>::kVecs, LayoutA>(k, a, b, c, ldc, n, from_c);
    } else {
      tile<T, kRows, 1, LayoutA>(k, a, b, c, ldc, n, from_c);
    }
    rows -= kRows;
    a += kRows * LayoutA::kRowStride;
    c += kRows * ldc;
  }
  constexpr int kSmaller = kRows > 8 ? 8 : kRows > 4 ? 4 : kRows / 2;
  if constexpr (kSmaller > 0) {
    if (rows > 0) tiles<T, kSmaller, LayoutA>(rows, k, a, b, c, ldc, n, from_c);
  }
}

// Copies op(A)'s rows [0, rows) x k into scratch, a panel a tile.
template <class T>
void copy_rows_of_a(int64_t rows, int64_t k, const T* a, int64_t lda, T* scratch) {
  for (int64_t row = 0; row < rows; ++row) {
    T* to = scratch + row / kMr<T> * kPanelNumbers + row % kMr<T> * RowsOfA::kRowStride;
    for (int64_t step = 0; step < k; step += kLanes) Lanes<T>::load(a + row * lda + step, k - step).store(to + step);
  }
}

// Each copy takes up to 16 rows, more than the tile has: a whole register is faster, the rest is not used.
template <class T>
void copy_steps_of_a(int64_t rows, int64_t k, const T* a, int64_t lda, T* scratch) {
  for (int64_t step = 0; step < k; ++step) {
    T* to = scratch + step * StepsOfA::kStepStride;
    for (int64_t row = 0; row < rows; row += kMr<T>, to += kPanelNumbers) {
      Lanes<T>::load(a + step * lda + row, rows - row).store(to);
    }
  }
}

template <class T, class LayoutA>
void multiply_block(int64_t rows, int64_t n, int64_t k, const T* a, const T* b, T* c, int64_t ldc, bool from_c) {
  for (int64_t column = 0; column < n; column += kNr<T>, b += k * kNr<T>) {
    const int64_t columns = n - column < kNr<T> ? n - column : kNr<T>;
    for (int64_t row = 0; row < rows; row += kMr<T>) {
      tiles<T, kMr<T>, LayoutA>(rows - row < kMr<T> ? rows - row : kMr<T>, k, a + row / kMr<T> * kPanelNumbers, b,
                                c + row * ldc + column, ldc, columns, from_c);
    }
  }
}

template <class T>
void multiply(bool ta, int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* packed_b, T* c, int64_t ldc,
              bool accumulate, void* scratch) {
  T* block = static_cast<T*>(scratch);
  for (int64_t row = 0; row < m; row += kGemmBlockPanels * kMr<T>) {
    const int64_t rows = m - row < kGemmBlockPanels * kMr<T> ? m - row : kGemmBlockPanels * kMr<T>;
    if (ta) {
      copy_steps_of_a(rows, k, a + row, lda, block);
      multiply_block<T, StepsOfA>(rows, n, k, block, packed_b, c + row * ldc, ldc, accumulate);
    } else {
      copy_rows_of_a(rows, k, a + row * lda, lda, block);
      multiply_block<T, RowsOfA>(rows, n, k, block, packed_b, c + row * ldc, ldc, accumulate);
    }
  }
}

// One panel from B stored [n, k].
template <class T>
void pack_transposed(int64_t k, int64_t columns, const T* b, int64_t ldb, T* to) {
  for (int64_t column = 0; column < kNr<T>; column += kLanes) {
    int64_t step = 0;
    if (column + kLanes <= columns) {
      for (; step + kLanes <= k; step += kLanes) {
        transpose16(b + column * ldb + step, ldb, to + step * kNr<T> + column, kNr<T>);
      }
    }
    for (; step < k; ++step) {
      for (int64_t j = column; j < column + kLanes; ++j) {
        to[step * kNr<T> + j] = j < columns ? b[j * ldb + step] : T(0);
      }
    }
  }
}

template <class T>
void pack_b(bool tb, int64_t k, int64_t n, const T* b, int64_t ldb, T* packed) {
  if (tb) {
    for (int64_t column = 0; column < n; column += kNr<T>, packed += k * kNr<T>) {
      pack_transposed(k, n - column < kNr<T> ? n - column : kNr<T>, b + column * ldb, ldb, packed);
    }
    return;
  }
  for (int64_t step = 0; step < k; ++step) {  // whole rows of B at a time, as they lie in memory
    T* to = packed + step * kNr<T>;
    for (int64_t column = 0; column < n; column += kNr<T>, to += k * kNr<T>) {
      for (int64_t j = 0; j < kNr<T>; j += kLanes)
        Lanes<T>::load(b + step * ldb + column + j, n - column - j).store(to + j);
    }
  }
}

template <class T>
constexpr int64_t kScratchBytes = int64_t{sizeof(T)} * (kGemmBlockPanels * kPanelNumbers);

template <class T>
constexpr GemmKernels<T> kTable = {kMr<T>, kNr<T>, kScratchBytes<T>, pack_b<T>, multiply<T>};

}  // namespace

const GemmKernels<float>& gemm_kernels_f32() { return kTable<float>; }
const GemmKernels<double>& gemm_kernels_f64() { return kTable<double>; }

}  // namespace sixteen::cpu::SIXTEEN_ISA
