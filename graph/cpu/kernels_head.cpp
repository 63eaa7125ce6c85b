// The output head: softcapped logits, their negative log-likelihoods and gradients, in chunks of rows.
//
// Bites: dtable is added to chunk by chunk in row order, so kChunkRows is part of the result's bits.
#include <algorithm>
#include <bit>
#include <cmath>

#include "graph/cpu/gemm.h"
#include "graph/cpu/kernels.h"

namespace sixteen::cpu {

namespace {

constexpr int64_t kChunkRows = 256;
constexpr int64_t kGrainElements = 4096;

template <class T>
T capped(T z, T cap) {
  return cap > 0 ? cap * std::tanh(z / cap) : z;
}

template <class T>
T capped_slope(T z, T cap) {
  if (!(cap > 0)) return 1;
  const T t = std::tanh(z / cap);
  return 1 - t * t;
}

float bf16_rounded(float x) {  // to nearest, ties to even; NaN stays NaN, as its payload's top bits are set
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  return std::bit_cast<float>((bits + 0x7fffu + (bits >> 16 & 1)) & 0xffff0000u);
}

template <class T>
T row_nll(T* z, int64_t vocab, int32_t target, T cap, bool round_bf16) {
  T max = -INFINITY, sum = 0;
  for (int64_t j = 0; j < vocab; ++j) {
    z[j] = capped(z[j], cap);
    if (round_bf16) z[j] = T(bf16_rounded(static_cast<float>(z[j])));
    max = std::max(max, z[j]);
  }
  for (int64_t j = 0; j < vocab; ++j) sum += std::exp(z[j] - max);
  return max + std::log(sum) - z[target];
}

// z [vocab] -> its gradient, weight (softmax - onehot) slope; returns the nll.
template <class T>
T row_loss(T* z, int64_t vocab, int32_t target, T cap, T weight) {
  T max = -INFINITY, sum = 0;
  for (int64_t j = 0; j < vocab; ++j) max = std::max(max, capped(z[j], cap));
  for (int64_t j = 0; j < vocab; ++j) sum += std::exp(capped(z[j], cap) - max);
  const T lse = max + std::log(sum), nll = lse - capped(z[target], cap);
  for (int64_t j = 0; j < vocab; ++j) {
    const T p = std::exp(capped(z[j], cap) - lse);
    z[j] = weight * (j == target ? p - 1 : p) * capped_slope(z[j], cap);
  }
  return nll;
}

}  // namespace

template <class T>
void softcap(ThreadPool& pool, const T* z, T* y, T cap, int64_t count) {
  pool.parallel_for(count, kGrainElements, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) y[i] = capped(z[i], cap);
  });
}

template <class T>
void softcap_grad(ThreadPool& pool, const T* z, const T* dy, T* dz, bool add_dz, T cap, int64_t count) {
  pool.parallel_for(count, kGrainElements, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T d = dy[i] * capped_slope(z[i], cap);
      dz[i] = add_dz ? dz[i] + d : d;
    }
  });
}

template <class T>
void head_nll(ThreadPool& pool, const T* x, const T* table, const int32_t* targets, T* nll, int64_t rows, int64_t dim, int64_t vocab,
              T cap, bool round_bf16) {
  T* logits = static_cast<T*>(pool.scratch(sizeof(T) * static_cast<size_t>(std::min(rows, kChunkRows) * vocab), 0));
  for (int64_t first = 0; first < rows; first += kChunkRows) {
    const int64_t n = std::min(kChunkRows, rows - first);
    gemm(pool, false, true, n, vocab, dim, x + first * dim, dim, table, dim, logits, vocab, false);
    pool.parallel_for(n, 1, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        nll[first + r] = row_nll(logits + r * vocab, vocab, targets[first + r], cap, round_bf16);
      }
    });
  }
}

template <class T>
void head_loss(ThreadPool& pool, const T* x, const T* table, const int32_t* targets, const T* row_weight, T* nll, T* dx, T* dtable,
               int64_t rows, int64_t dim, int64_t vocab, T cap) {
  T* logits = static_cast<T*>(pool.scratch(sizeof(T) * static_cast<size_t>(std::min(rows, kChunkRows) * vocab), 0));
  for (int64_t first = 0; first < rows; first += kChunkRows) {
    const int64_t n = std::min(kChunkRows, rows - first);
    const T* chunk = x + first * dim;
    gemm(pool, false, true, n, vocab, dim, chunk, dim, table, dim, logits, vocab, false);
    pool.parallel_for(n, 1, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        nll[first + r] = row_loss(logits + r * vocab, vocab, targets[first + r], cap, row_weight[first + r]);
      }
    });
    gemm(pool, false, false, n, dim, vocab, logits, vocab, table, dim, dx + first * dim, dim, false);
    if (dtable != nullptr) gemm(pool, true, false, vocab, dim, n, logits, vocab, chunk, dim, dtable, dim, true);
  }
}

#define SIXTEEN_INSTANTIATE(T)                                                                                                \
  template void softcap(ThreadPool&, const T*, T*, T, int64_t);                                                               \
  template void softcap_grad(ThreadPool&, const T*, const T*, T*, bool, T, int64_t);                                          \
  template void head_nll(ThreadPool&, const T*, const T*, const int32_t*, T*, int64_t, int64_t, int64_t, T, bool);            \
  template void head_loss(ThreadPool&, const T*, const T*, const int32_t*, const T*, T*, T*, T*, int64_t, int64_t, int64_t, T);
SIXTEEN_INSTANTIATE(float)
SIXTEEN_INSTANTIATE(double)
#undef SIXTEEN_INSTANTIATE

}  // namespace sixteen::cpu
