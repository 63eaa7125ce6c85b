// The output head: softcapped logits, their negative log-likelihoods and gradients, in chunks of rows; the loops over a
// row of logits are loss_kernels.cpp's.
//
// dtable's chains of fma go on from chunk to chunk in row order (gemm.h), so no result depends on kChunkRows.
// Bites: logits lie in the calling thread's scratch (kChunkRows rows of them) and are read by the pool's other threads.
#include <algorithm>

#include "formats/check.h"
#include "graph/cpu/gemm.h"
#include "graph/cpu/kernels.h"
#include "graph/cpu/loss_kernels.h"

namespace sixteen::cpu {

namespace {

// 16 MiB of logits at vocabulary 8192; half as many rows cost 4 % (the table is packed more often).
constexpr int64_t kChunkRows = 512;
constexpr int64_t kGrainElements = 4096;
constexpr int kLogitsSlot = 8;  // of ThreadPool::scratch

const LossFunctions<float>& functions(const float*) { return loss_kernels().f32; }
const LossFunctions<double>& functions(const double*) { return loss_kernels().f64; }

template <class T>
T* logits_scratch(int64_t rows, int64_t vocab) {
  return static_cast<T*>(
      ThreadPool::scratch(sizeof(T) * static_cast<size_t>(std::min(rows, kChunkRows) * vocab), kLogitsSlot));
}

void check_targets(const int32_t* targets, int64_t rows, int64_t vocab) {
  for (int64_t r = 0; r < rows; ++r) CHECK(targets[r] >= 0 && targets[r] < vocab);
}

// Logits of every chunk of rows, then row(r, logits of row r) for each of its rows on the pool, then done(first, n, logits).
template <class T, class Row, class Done>
void for_each_logits(ThreadPool& pool, const T* x, const T* table, const int32_t* targets, int64_t rows, int64_t dim, int64_t vocab, Row row,
                     Done done) {
  check_targets(targets, rows, vocab);
  T* logits = logits_scratch<T>(rows, vocab);
  for (int64_t first = 0; first < rows; first += kChunkRows) {
    const int64_t n = std::min(kChunkRows, rows - first);
    gemm(pool, false, true, n, vocab, dim, x + first * dim, dim, table, dim, logits, vocab, false);
    pool.parallel_for(n, 1, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) row(first + r, logits + r * vocab);
    });
    done(first, n, logits);
  }
}

constexpr auto kNothing = [](int64_t, int64_t, auto*) {};

}  // namespace

template <class T>
void softcap(ThreadPool& pool, const T* z, T* y, T cap, int64_t count) {
  pool.parallel_for(count, kGrainElements, [&, &f = functions(z)](int64_t begin, int64_t end) {
    f.softcap(z + begin, y + begin, cap, end - begin);
  });
}

template <class T>
void softcap_grad(ThreadPool& pool, const T* z, const T* dy, T* dz, bool add_dz, T cap, int64_t count) {
  pool.parallel_for(count, kGrainElements, [&, &f = functions(z)](int64_t begin, int64_t end) {
    f.softcap_grad(z + begin, dy + begin, dz + begin, add_dz, cap, end - begin);
  });
}

template <class T>
void head_nll(ThreadPool& pool, const T* x, const T* table, const int32_t* targets, T* nll, int64_t rows, int64_t dim,
              int64_t vocab, T cap, bool round_bf16) {
  const auto row = [&, &f = functions(x)](int64_t r, T* logits) { nll[r] = f.nll_row(logits, vocab, targets[r], cap, round_bf16); };
  for_each_logits(pool, x, table, targets, rows, dim, vocab, row, kNothing);
}

template <class T>
void head_hints(ThreadPool& pool, const T* x, const T* table, const int32_t* targets, const int32_t* hints, T* stats, int64_t rows,
                int64_t dim, int64_t vocab, T cap, bool round_bf16) {
  const auto row = [&, &f = functions(x)](int64_t r, T* logits) {
    CHECK(hints[r] < vocab);
    f.hint_row(logits, vocab, targets[r], hints[r], cap, round_bf16, stats + r * 4);
  };
  for_each_logits(pool, x, table, targets, rows, dim, vocab, row, kNothing);
}

template <class T>
void head_loss(ThreadPool& pool, const T* x, const T* table, const int32_t* targets, const T* row_weight, T* nll, T* dx,
               T* dtable, int64_t rows, int64_t dim, int64_t vocab, T cap) {
  const auto row = [&, &f = functions(x)](int64_t r, T* logits) { nll[r] = f.loss_row(logits, vocab, targets[r], cap, row_weight[r]); };
  const auto gradients = [&](int64_t first, int64_t n, const T* logits) {  // loss_row left the logits' gradients in their place
    gemm(pool, false, false, n, dim, vocab, logits, vocab, table, dim, dx + first * dim, dim, false);
    if (dtable != nullptr) gemm(pool, true, false, vocab, dim, n, logits, vocab, x + first * dim, dim, dtable, dim, true);
  };
  for_each_logits(pool, x, table, targets, rows, dim, vocab, row, gradients);
}

#define SIXTEEN_INSTANTIATE(T)                                                                                     \
  template void softcap(ThreadPool&, const T*, T*, T, int64_t);                                                    \
  template void softcap_grad(ThreadPool&, const T*, const T*, T*, bool, T, int64_t);                               \
  template void head_nll(ThreadPool&, const T*, const T*, const int32_t*, T*, int64_t, int64_t, int64_t, T, bool); \
  template void head_hints(ThreadPool&, const T*, const T*, const int32_t*, const int32_t*, T*, int64_t, int64_t,  \
                           int64_t, T, bool);                                                                      \
  template void head_loss(ThreadPool&, const T*, const T*, const int32_t*, const T*, T*, T*, T*, int64_t, int64_t, \
                          int64_t, T);
SIXTEEN_INSTANTIATE(float)
SIXTEEN_INSTANTIATE(double)
#undef SIXTEEN_INSTANTIATE

}  // namespace sixteen::cpu
