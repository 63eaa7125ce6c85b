// The upper Cholesky factor of a Hessian's inverse, without inverting: with J the reversal of rows and columns,
// J H J = L L^T gives H^-1 = U^T U for U = J L^-1 J, more exactly and with less work than by way of H^-1.
//
// Bites: fp64 throughout and gemm.h's fixed order, so the bits are the same on every machine and for any number of
// threads; LAPACK's are not.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "formats/check.h"
#include "formats/error.h"
#include "graph/cpu/gemm.h"
#include "packer/gptq.h"

namespace sixteen {
namespace {

constexpr int64_t kTile = 64;
constexpr int64_t kStrip = 256;

// A row-major square matrix or a part of one.
struct Part {
  double* at;
  int64_t stride;
  double& operator()(int64_t r, int64_t c) const { return at[r * stride + c]; }
  Part from(int64_t r, int64_t c) const { return {&(*this)(r, c), stride}; }
};

// In-place lower Cholesky factor of the leading n x n; false when a pivot is not positive (or NaN).
bool factor_tile(Part a, int64_t n) {
  for (int64_t j = 0; j < n; ++j) {
    double pivot = a(j, j);
    for (int64_t p = 0; p < j; ++p) pivot -= a(j, p) * a(j, p);
    if (!(pivot > 0) || !std::isfinite(pivot)) return false;
    a(j, j) = std::sqrt(pivot);
    for (int64_t i = j + 1; i < n; ++i) {
      double sum = a(i, j);
      for (int64_t p = 0; p < j; ++p) sum -= a(i, p) * a(j, p);
      a(i, j) = sum / a(j, j);
    }
  }
  return true;
}

// x = inverse of the lower triangular n x n l; x's upper part is left alone (zero).
void invert_tile(Part l, int64_t n, Part x) {
  for (int64_t j = 0; j < n; ++j) {
    x(j, j) = 1 / l(j, j);
    for (int64_t i = j + 1; i < n; ++i) {
      double sum = 0;
      for (int64_t p = j; p < i; ++p) sum -= l(i, p) * x(p, j);
      x(i, j) = sum / l(i, i);
    }
  }
}

// x = inverse of the lower Cholesky factor l of a (n x n, overwritten by l); x comes zeroed. False when a is not
// positive definite. A tile at a time: earlier columns' share off, the tile's factor, l below it, x's rows left of it.
bool inverse_cholesky(cpu::ThreadPool& pool, int64_t n, Part a, Part x) {
  std::vector<double> copy(n * kTile);
  for (int64_t k = 0; k < n; k += kTile) {
    const int64_t width = std::min(kTile, n - k), below = n - k - width;
    const Part diagonal = a.from(k, k), inverse = x.from(k, k);
    if (k > 0) {  // a[k.., tile] -= l[k.., ..k] l[tile, ..k]^T
      for (int64_t r = 0; r < width; ++r) {
        for (int64_t c = 0; c < k; ++c) copy[r * k + c] = -a(k + r, c);
      }
      cpu::gemm(pool, false, true, n - k, width, k, &a(k, 0), n, copy.data(), k, diagonal.at, n, true);
    }
    if (!factor_tile(diagonal, width)) return false;
    invert_tile(diagonal, width, inverse);
    if (below > 0) {  // l[below, tile] = a[below, tile] l[tile, tile]^-T
      for (int64_t r = 0; r < below; ++r) std::copy_n(&a(k + width + r, k), width, &copy[r * width]);
      cpu::gemm(pool, false, true, below, width, width, copy.data(), width, inverse.at, n, &a(k + width, k), n, false);
    }
    if (k > 0) {                                 // x[tile, ..k] = -x[tile, tile] (l[tile, ..k] x[..k, ..k])
      for (int64_t c = 0; c < k; c += kStrip) {  // x's columns from c on begin with c zeros
        cpu::gemm(pool, false, false, width, std::min(kStrip, k - c), k - c, &a(k, c), n, &x(c, c), n, &copy[c], k,
                  false);
      }
      for (int64_t i = 0; i < width * k; ++i) copy[i] = -copy[i];
      cpu::gemm(pool, false, false, width, k, width, inverse.at, n, copy.data(), k, &x(k, 0), n, false);
    }
  }
  return true;
}

// The diagonal with dead columns at 1 and damping added, in fp32 as the records have it, because the order hangs on it.
std::vector<float> damped_diagonal(std::span<const float> hessian, int64_t cols, double damping,
                                   std::vector<bool>* dead) {
  std::vector<float> diagonal(cols);
  double sum = 0;
  for (int64_t j = 0; j < cols; ++j) {
    diagonal[j] = hessian[j * cols + j];
    if (diagonal[j] == 0) {
      (*dead)[j] = true;
      diagonal[j] = 1;
    }
    sum += diagonal[j];
  }
  const float added = static_cast<float>(damping * sum / static_cast<double>(cols));
  for (float& value : diagonal) value += added;
  return diagonal;
}

}  // namespace

GptqFactor factorise_hessian(cpu::ThreadPool& pool, const std::string& name, std::span<const float> hessian,
                             int64_t cols, double damping) {
  CHECK(cols > 0 && static_cast<int64_t>(hessian.size()) == cols * cols);
  for (const float value : hessian) {
    if (!std::isfinite(value))
      fail("Hessian of ", name, ": ", value, " among its values; calibrate with a finite model");
  }
  GptqFactor factor;
  factor.dead.assign(cols, false);
  const std::vector<float> diagonal = damped_diagonal(hessian, cols, damping, &factor.dead);
  factor.order.resize(cols);
  std::iota(factor.order.begin(), factor.order.end(), 0);
  std::stable_sort(factor.order.begin(), factor.order.end(),
                   [&](int32_t a, int32_t b) { return diagonal[a] > diagonal[b]; });

  std::vector<double> reversed(cols * cols), inverse(cols * cols);
  for (int64_t r = 0; r < cols; ++r) {
    const int64_t row = factor.order[cols - 1 - r];
    for (int64_t c = 0; c < cols; ++c) reversed[r * cols + c] = hessian[row * cols + factor.order[cols - 1 - c]];
    reversed[r * cols + r] = diagonal[row];
  }
  if (!inverse_cholesky(pool, cols, {reversed.data(), cols}, {inverse.data(), cols})) {
    fail("Hessian of ", name, " is not positive definite with damping ", damping,
         "; raise the damping or calibrate on more tokens");
  }
  factor.upper.resize(cols * cols);
  std::reverse_copy(inverse.begin(), inverse.end(), factor.upper.begin());  // J X J is X read backwards
  return factor;
}

}  // namespace sixteen
