// Trellis-coded quantisation: the search against all paths, the gain against theory, and GPTQ around it.
#include "packer/tcq.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "formats/artifact.h"
#include "formats/trellis.h"
#include "graph/cpu/gemm.h"
#include "packer/code_estimate.h"

namespace sixteen {
namespace {

std::vector<float> gaussian(size_t count, uint64_t seed, double sigma = 0.1) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<double> normal(0, sigma);
  std::vector<float> result(count);
  for (float& x : result) x = static_cast<float>(normal(engine));
  return result;
}

std::vector<float> dequantise(const QuantisedMatrix& q) {
  PackedTensor tensor;
  tensor.shape = {std::ssize(q.scales), std::ssize(q.codes) / std::ssize(q.scales)};
  tensor.bits = 8;
  tensor.codes = q.codes;
  tensor.scales = q.scales;
  tensor.trellis = true;
  return tensor.dequantise();
}

double squared_error(std::span<const float> w, std::span<const float> back) {
  double sum = 0;
  for (size_t i = 0; i < w.size(); ++i) sum += (double(w[i]) - back[i]) * (double(w[i]) - back[i]);
  return sum;
}

// The least error of all codes below `row` that parities can choose, by trying them all; cols = 1.
double least_error(std::span<const float> w, std::span<const uint16_t> scales, int limit, size_t row, uint16_t state) {
  if (row == w.size()) return 0;
  double least = std::numeric_limits<double>::infinity();
  for (int parity = 0; parity < 2; ++parity) {
    double error = std::numeric_limits<double>::infinity();
    for (int code = -limit; code <= limit; ++code) {
      if ((code & 1) != parity) continue;
      const double gap = w[row] - double{trellis_value(code, state)} * f16_to_float(scales[row]);
      error = std::min(error, gap * gap);
    }
    least = std::min(least, error + least_error(w, scales, limit, row + 1, next_trellis_state(state, parity)));
  }
  return least;
}

// Walking every register backwards and forwards, and no two codes of one parity to the same register from one half.
TEST(Trellis, EveryStateHasTwoWaysInOfOneHalf) {
  std::vector<std::vector<int>> halves(kTrellisStates);
  for (int s = 0; s < kTrellisStates; ++s) {
    for (const int code : {-3, -2, 0, 1, 4, 7}) {
      const uint16_t next = next_trellis_state(static_cast<uint16_t>(s), code);
      ASSERT_LT(next, kTrellisStates);
      EXPECT_EQ(next, next_trellis_state(static_cast<uint16_t>(s), code & 1));
    }
    for (const int parity : {0, 1}) {
      halves[next_trellis_state(static_cast<uint16_t>(s), parity)].push_back(trellis_half(static_cast<uint16_t>(s)));
    }
  }
  for (const std::vector<int>& ways : halves) {
    ASSERT_EQ(ways.size(), 2u);
    EXPECT_EQ(ways[0], ways[1]);
  }
}

TEST(Tcq, FindsTheBestPath) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const int bits = 2 + static_cast<int>(seed % 4);
    const std::vector<float> w = gaussian(12, seed);
    cpu::ThreadPool pool(1);
    const QuantOptions options{.bits = bits, .clip_sigmas = 2.5};
    // Rows of one column have no deviation of their own, so they get scales that differ by hand-made rows of two columns.
    std::vector<float> wide;
    for (size_t r = 0; r < w.size(); ++r) wide.insert(wide.end(), {w[r], w[r] + 0.05f * static_cast<float>(1 + r % 3)});
    const QuantisedMatrix q = quantise_tcq(pool, wide, 12, 2, options);
    for (size_t column = 0; column < 2; ++column) {
      std::vector<float> targets, back;
      const std::vector<float> all = dequantise(q);
      for (size_t r = 0; r < w.size(); ++r) {
        targets.push_back(wide[2 * r + column]);
        back.push_back(all[2 * r + column]);
      }
      double squares = 0;
      for (size_t r = 0; r < w.size(); ++r) squares += std::pow(targets[r] / f16_to_float(q.scales[r]), 2);
      for (float& t : targets) t *= static_cast<float>(squares / (squares + 0.061 * 12));  // Wiener's factor
      const double best = least_error(targets, q.scales, (1 << (bits - 1)) - 1, 0, 0);
      EXPECT_NEAR(squared_error(targets, back), best, 1e-5 * best) << seed;  // sums in fp32
    }
  }
}

// Of the 1.53 dB between a uniform quantiser with an entropy coder, which errs by pi e / 6 2^-2H times the variance at H bits, and what
// can be, 512 states win 1.36 (Marcellin and Fischer 1990, table II: 1.33 for 256 states, at high rates), and Wiener's factor about
// as many times 4.3 dB as the error's share of the variance is (0.01 and 0.0015). 0.05 dB are six deviations over 400,000 codes.
TEST(Tcq, GainsWhatTheoryPromises) {
  const int64_t rows = 4000, cols = 100;
  const std::vector<float> w = gaussian(static_cast<size_t>(rows * cols), 5);
  cpu::ThreadPool pool(2);
  for (const int bits : {6, 8}) {
    const QuantOptions options{.bits = bits, .clip_sigmas = bits == 6 ? 12.85 : 20};
    const QuantisedMatrix q = quantise_tcq(pool, w, rows, cols, options);
    const std::vector<float> back = dequantise(q);
    double uniform = 0, sum = 0;
    for (int64_t r = 0; r < rows; ++r)
      uniform += std::pow(f16_to_float(q.scales[r]), 2) / 12 * static_cast<double>(cols);
    for (const double row : q.row_errors) sum += row;
    const double error = squared_error(w, back);
    EXPECT_NEAR(10 * std::log10(uniform / error), 1.36, 0.05) << bits;
    EXPECT_NEAR(sum, error, 1e-6 * error);
    for (const int8_t code : q.codes) ASSERT_LE(std::abs(int{code}), (1 << (bits - 1)) - 1);
  }
}

struct Problem {
  Problem(int64_t rows_in, int64_t cols_in)
      : rows(rows_in), cols(cols_in), weights(gaussian(rows * cols, 7)), hessian(cols * cols) {
    const int64_t samples = 2 * cols;
    const std::vector<float> noise = gaussian(samples * cols + 1, 8, 1);
    std::vector<float> x(samples * cols);
    for (int64_t i = 0; i < samples * cols; ++i)
      x[i] = static_cast<float>(1 + i % 5) * (noise[i] + 0.8f * noise[i + 1]);
    cpu::gemm(pool, true, false, cols, cols, samples, x.data(), cols, x.data(), cols, hessian.data(), cols, false);
  }
  cpu::ThreadPool pool{2};
  int64_t rows, cols;
  std::vector<float> weights, hessian;
};

// e H e^T of every row, H damped as the factor's.
std::vector<double> weighted_errors(const Problem& p, std::span<const float> back, double damping) {
  double mean = 0;
  for (int64_t j = 0; j < p.cols; ++j) mean += p.hessian[j * p.cols + j] / static_cast<double>(p.cols);
  std::vector<double> result(p.rows);
  for (int64_t r = 0; r < p.rows; ++r) {
    for (int64_t i = 0; i < p.cols; ++i) {
      double product = 0;
      for (int64_t j = 0; j < p.cols; ++j) {
        const double h = p.hessian[i * p.cols + j] + (i == j ? damping * mean : 0);
        product += h * (double(p.weights[r * p.cols + j]) - back[r * p.cols + j]);
      }
      result[r] += product * (double(p.weights[r * p.cols + i]) - back[r * p.cols + i]);
    }
  }
  return result;
}

TEST(Tcq, BeatsGptqAtTheSameScales) {
  Problem p(500, 160);
  const GptqFactor factor = factorise_hessian(p.pool, "p", p.hessian, p.cols);
  for (const int block : {1, 100, 128}) {
    const QuantOptions options{.bits = 6, .clip_sigmas = 12.85, .block = block};
    const QuantisedMatrix gptq = quantise_gptq(p.pool, p.weights, p.rows, factor, options);
    const QuantisedMatrix tcq = quantise_tcq(p.pool, p.weights, p.rows, factor, options);
    EXPECT_EQ(tcq.scales, gptq.scales);
    const std::vector<double> errors = weighted_errors(p, dequantise(tcq), 0.01);
    double found = 0, before = 0;
    for (int64_t r = 0; r < p.rows; ++r) {
      EXPECT_NEAR(tcq.row_errors[r], errors[r], 2e-3 * errors[r]) << r;  // the recursion is fp32
      found += errors[r];
      before += gptq.row_errors[r];
    }
    EXPECT_NEAR(10 * std::log10(before / found), 1.32, 0.12) << block;  // 1.36 less Wiener's; 80,000 codes: 0.1 dB are 5 deviations
  }
}

TEST(Tcq, SameBitsForAnyThreadsAndInstructionSet) {
  Problem p(70, 200);
  const GptqFactor factor = factorise_hessian(p.pool, "p", p.hessian, p.cols);
  const QuantisedMatrix with = quantise_tcq(p.pool, p.weights, p.rows, factor, {});
  const QuantisedMatrix blind = quantise_tcq(p.pool, p.weights, p.rows, p.cols, {});
  const std::string best = cpu::isa_name();
  for (const char* isa : {best.c_str(), "avx2", "plain"}) {
    if (!cpu::set_isa(isa)) continue;
    for (const int threads : {1, 3}) {
      cpu::ThreadPool pool(threads);
      EXPECT_EQ(quantise_tcq(pool, p.weights, p.rows, factor, {}).codes, with.codes) << isa << " " << threads;
      EXPECT_EQ(quantise_tcq(pool, p.weights, p.rows, p.cols, {}).codes, blind.codes) << isa << " " << threads;
    }
  }
  cpu::set_isa(best.c_str());
}

// Columns that no input ever reached, rows of zeros, weights far beyond the clip, and a single row.
TEST(Tcq, Edges) {
  Problem p(40, 24);
  for (int64_t j = 0; j < p.cols; ++j) p.hessian[3 * p.cols + j] = p.hessian[j * p.cols + 3] = 0;
  for (int64_t j = 0; j < p.cols; ++j) p.weights[5 * p.cols + j] = 0;
  p.weights[7] = 1000;
  const GptqFactor factor = factorise_hessian(p.pool, "p", p.hessian, p.cols);
  const QuantisedMatrix q = quantise_tcq(p.pool, p.weights, p.rows, factor, {.bits = 4, .clip_sigmas = 3});
  const std::vector<float> back = dequantise(q);
  for (int64_t r = 0; r < p.rows; ++r) EXPECT_EQ(q.codes[r * p.cols + 3], 0) << r;
  for (int64_t j = 0; j < p.cols; ++j) EXPECT_LT(std::abs(back[5 * p.cols + j]), 1e-4) << j;
  EXPECT_EQ(q.codes[7], 7);
  for (const float x : back) ASSERT_TRUE(std::isfinite(x));
  const QuantisedMatrix one =
      quantise_tcq(p.pool, std::span(p.weights).first(p.cols), 1, factor, {.bits = 2, .clip_sigmas = 1});
  for (const int8_t code : one.codes) ASSERT_LE(std::abs(int{code}), 1);
}

}  // namespace
}  // namespace sixteen
