// Initial values of all parameters (spec 4).
//
// Random numbers are counter-based: Philox 4x32-10 (Salmon et al. 2011) with the seed as key and (tensor name's hash,
// pair index) as counter, so any value can be computed alone and in any order. Normals: Box-Muller in fp64.
// Bites: each QR runs in fp64 on one thread, tensors beside each other, so that the number of threads does not reach the
// weights; rounding to fp32 hides almost, not quite, all of the difference between LAPACK builds.
#include <lapacke.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <numbers>
#include <thread>

#include "formats/check.h"
#include "formats/dtype.h"
#include "model/params.h"

extern "C" int openblas_get_num_threads();
extern "C" void openblas_set_num_threads(int threads);

namespace sixteen {

namespace {

using Counter = std::array<uint32_t, 4>;

Counter philox(Counter x, uint64_t key) {
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * x[0], b = uint64_t{0xCD9E8D57} * x[2];
    x = {static_cast<uint32_t>(b >> 32) ^ x[1] ^ k0, static_cast<uint32_t>(b),
         static_cast<uint32_t>(a >> 32) ^ x[3] ^ k1, static_cast<uint32_t>(a)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return x;
}

uint64_t name_hash(const std::string& name) {  // FNV-1a
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash;
}

// Standard normals of one tensor; values 2i and 2i + 1 come from counter i.
std::vector<double> normals(uint64_t seed, const std::string& tensor, int64_t count) {
  const uint64_t hash = name_hash(tensor);
  std::vector<double> values(static_cast<size_t>(count + count % 2));
  for (uint64_t pair = 0; pair < values.size() / 2; ++pair) {
    const Counter bits = philox({static_cast<uint32_t>(pair), static_cast<uint32_t>(pair >> 32),
                                 static_cast<uint32_t>(hash), static_cast<uint32_t>(hash >> 32)},
                                seed);
    const auto unit = [](uint32_t high, uint32_t low) {  // in (0, 1): 53 bits and a half
      return (static_cast<double>((uint64_t{high} << 32 | low) >> 11) + 0.5) * 0x1p-53;
    };
    const double radius = std::sqrt(-2 * std::log(unit(bits[0], bits[1])));
    const double angle = 2 * std::numbers::pi * unit(bits[2], bits[3]);
    values[2 * pair] = radius * std::cos(angle);
    values[2 * pair + 1] = radius * std::sin(angle);
  }
  values.resize(static_cast<size_t>(count));
  return values;
}

// A [rows, cols] matrix with orthonormal columns (rows >= cols) or rows, uniformly distributed over all of them: Q of a
// Gaussian's QR, each column's sign such that R has a positive diagonal (Mezzadri 2007).
void orthogonal(std::vector<double> gaussian, int64_t rows, int64_t cols, std::span<float> out) {
  const int64_t tall = std::max(rows, cols), narrow = std::min(rows, cols);
  const lapack_int m = static_cast<lapack_int>(tall), n = static_cast<lapack_int>(narrow);
  std::vector<double>& a = gaussian;  // column-major [tall, narrow]
  std::vector<double> tau(static_cast<size_t>(narrow)), sign(static_cast<size_t>(narrow));
  CHECK(LAPACKE_dgeqrf(LAPACK_COL_MAJOR, m, n, a.data(), m, tau.data()) == 0);
  for (int64_t j = 0; j < narrow; ++j) sign[j] = a[j * tall + j] < 0 ? -1 : 1;
  CHECK(LAPACKE_dorgqr(LAPACK_COL_MAJOR, m, n, n, a.data(), m, tau.data()) == 0);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      const int64_t i = rows >= cols ? r : c, j = rows >= cols ? c : r;
      out[r * cols + c] = static_cast<float>(sign[j] * a[j * tall + i]);
    }
  }
}

void initialise_tensor(const ParamSpec& spec, uint64_t seed, std::span<float> out) {
  switch (spec.init) {
    case Init::kZero:
      std::fill(out.begin(), out.end(), 0.0f);
      return;
    case Init::kOne:
      std::fill(out.begin(), out.end(), 1.0f);
      return;
    case Init::kConstant:
      std::fill(out.begin(), out.end(), static_cast<float>(spec.init_value));
      return;
    case Init::kResidMix:  // [2, dim]: the stream as it is, nothing of x0
      std::fill(out.begin(), out.begin() + spec.shape[1], 1.0f);
      std::fill(out.begin() + spec.shape[1], out.end(), 0.0f);
      return;
    case Init::kNormal: {
      const std::vector<double> values = normals(seed, spec.name, spec.shape.numel());
      for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(spec.init_value * values[i]);
      return;
    }
    case Init::kOrthogonal:
      orthogonal(normals(seed, spec.name, spec.shape.numel()), spec.shape[0], spec.shape[1], out);
      return;
  }
}

}  // namespace

void initialise(const ModelConfig& config, uint64_t seed, ParamStore* store) {
  const int blas_threads = openblas_get_num_threads();
  openblas_set_num_threads(1);
  const std::vector<ParamSpec>& specs = store->table->specs();
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < specs.size(); i = next++) initialise_tensor(specs[i], seed, store->tensor(specs[i].name));
  };
  const size_t count = std::min<size_t>(specs.size(), std::max(1u, std::thread::hardware_concurrency()));
  std::vector<std::thread> threads;
  for (size_t i = 1; i < count; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  openblas_set_num_threads(blas_threads);
  if (!config.init_round_bf16) return;
  for (float& value : store->flat) value = round_to_bf16(value);
}

}  // namespace sixteen
