// See low_rank.h.
#include "packer/low_rank.h"

#include <algorithm>
#include <cmath>

#include "graph/cpu/gemm.h"
#include "model/corrections.h"
#include "packer/quantised_matrix.h"

namespace sixteen {
namespace {

constexpr int kIterations = 40;

struct Candidate {
  double square;  // of E
  size_t tensor;  // of the artifact
};

std::vector<double> error_of(const Model& model, const Artifact& artifact, const PackedTensor& tensor) {
  const std::span<const float> weights = model.store.tensor(tensor.name);
  const std::vector<float> values = corrected_values(artifact, tensor);
  std::vector<double> error(values.size());
  for (size_t i = 0; i < error.size(); ++i) error[i] = double{weights[i]} - values[i];
  return error;
}

double dot(const double* a, const double* b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

// vectors [rank, n] made orthonormal one after the other; what is nothing but rounding beside the others becomes 0. Twice is
// enough (Kahan, in Parlett 1980): once leaves errors as large as what is left.
void orthonormalise(std::vector<double>* vectors, int64_t rank, int64_t n) {
  for (int64_t k = 0; k < rank; ++k) {
    double* v = vectors->data() + k * n;
    const double before = dot(v, v, n);
    for (int64_t other = 0; other < 2 * k; ++other) {
      const double* u = vectors->data() + other % k * n;
      const double along = dot(u, v, n);
      for (int64_t i = 0; i < n; ++i) v[i] -= along * u[i];
    }
    const double square = dot(v, v, n), scale = square > 1e-20 * before ? 1 / std::sqrt(square) : 0;
    for (int64_t i = 0; i < n; ++i) v[i] *= scale;
  }
}

// The first eigenvectors [rank, n] of gram [n, n].
std::vector<double> eigenvectors(cpu::ThreadPool& pool, const std::vector<double>& gram, int64_t rank, int64_t n) {
  std::vector<double> vectors(static_cast<size_t>(rank * n)), next(vectors.size());
  uint64_t state = 88172645463325252u;  // any start that no eigenvector is at right angles to
  for (double& x : vectors) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    x = static_cast<double>(state >> 11) * 0x1p-52 - 1;
  }
  for (int i = 0; i < kIterations; ++i) {
    orthonormalise(&vectors, rank, n);
    cpu::gemm(pool, false, false, rank, n, n, vectors.data(), n, gram.data(), n, next.data(), n, false);
    std::swap(vectors, next);
  }
  orthonormalise(&vectors, rank, n);
  return vectors;
}

PackedTensor coded(const std::string& name, std::span<const double> vectors, int64_t rank, int bits) {
  const int64_t n = static_cast<int64_t>(vectors.size()) / rank;
  PackedTensor tensor;
  tensor.name = name;
  tensor.shape = {rank, n};
  tensor.bits = bits;
  for (int64_t k = 0; k < rank; ++k) {
    const std::span<const double> v = vectors.subspan(k * n, n);
    double largest = 0;
    for (const double x : v) largest = std::max(largest, std::abs(x));
    tensor.scales.push_back(f16_scale(static_cast<float>(largest / code_limit(bits))));
    const float scale = f16_to_float(tensor.scales.back());
    for (const double x : v)
      tensor.codes.push_back(static_cast<int8_t>(nearest_code(static_cast<float>(x), scale, code_limit(bits))));
  }
  return tensor;
}

// The smaller side's vectors come from its Gram matrix, the other side's are E times them: B has length 1, A the singular values.
void correct(cpu::ThreadPool& pool, const Model& model, const LowRankConfig& config, size_t which, Artifact* artifact) {
  const PackedTensor tensor = artifact->tensors[which];
  const std::vector<double> error = error_of(model, *artifact, tensor);
  const int64_t rows = tensor.rows(), cols = tensor.numel() / rows, n = std::min(rows, cols),
                other = std::max(rows, cols);
  const int64_t rank = std::min(config.rank, n);
  const bool by_columns = cols <= rows;
  std::vector<double> gram(static_cast<size_t>(n * n)), far(static_cast<size_t>(rank * other));
  cpu::gemm(pool, by_columns, !by_columns, n, n, other, error.data(), cols, error.data(), cols, gram.data(), n, false);
  const std::vector<double> near = eigenvectors(pool, gram, rank, n);
  cpu::gemm(pool, false, by_columns, rank, other, n, near.data(), n, error.data(), cols, far.data(), other, false);
  artifact->tensors.push_back(coded(tensor.name + kRowFactorsSuffix, by_columns ? far : near, rank, config.bits));
  artifact->tensors.push_back(coded(tensor.name + kColumnFactorsSuffix, by_columns ? near : far, rank, config.bits));
}

}  // namespace

void add_low_rank(cpu::ThreadPool& pool, const Model& model, const LowRankConfig& config, Artifact* artifact) {
  std::vector<Candidate> candidates;
  for (size_t i = 0; config.top > 0 && i < artifact->tensors.size(); ++i) {
    const PackedTensor& tensor = artifact->tensors[i];
    if (tensor.bits == 0 || is_correction(tensor.name)) continue;
    double square = 0;
    for (const double e : error_of(model, *artifact, tensor)) square += e * e;
    candidates.push_back({square, i});
  }
  std::ranges::stable_sort(candidates, std::greater<>(), &Candidate::square);
  candidates.resize(std::min<size_t>(candidates.size(), static_cast<size_t>(config.top)));
  for (const Candidate& c : candidates) correct(pool, model, config, c.tensor, artifact);
}

}  // namespace sixteen
