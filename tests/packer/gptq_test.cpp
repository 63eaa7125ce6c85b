// GPTQ against the records' codes and scales (oracle/quant/gptq), and what it is for: less output error than rounding.
#include "packer/gptq.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "formats/dtype.h"
#include "formats/error.h"
#include "formats/file.h"
#include "formats/safetensors.h"
#include "graph/cpu/gemm.h"
#include "tests/support/shared_data.h"

namespace sixteen {
namespace {

template <class T>
std::vector<T> values(const SafetensorsFile& file, const std::string& name) {
  const TensorView& tensor = file.at(name);
  std::vector<T> result(tensor.numel());
  EXPECT_EQ(result.size() * sizeof(T), tensor.bytes.size()) << name;
  std::memcpy(result.data(), tensor.bytes.data(), tensor.bytes.size());
  return result;
}

std::vector<float> dequantise(const QuantisedMatrix& q) {
  std::vector<float> result(q.codes.size());
  const size_t cols = q.codes.size() / q.scales.size();
  for (size_t i = 0; i < result.size(); ++i) result[i] = q.codes[i] * f16_to_float(q.scales[i / cols]);
  return result;
}

// Sum over rows of e H e^T, e = w - dequantised: the change of the layer's outputs, squared.
double weighted_error(std::span<const float> w, const QuantisedMatrix& q, std::span<const float> hessian) {
  const std::vector<float> back = dequantise(q);
  const size_t cols = w.size() / q.scales.size();
  double sum = 0;
  for (size_t r = 0; r < q.scales.size(); ++r) {
    for (size_t i = 0; i < cols; ++i) {
      double product = 0;
      for (size_t j = 0; j < cols; ++j)
        product += hessian[i * cols + j] * (double(w[r * cols + j]) - back[r * cols + j]);
      sum += product * (double(w[r * cols + i]) - back[r * cols + i]);
    }
  }
  return sum;
}

// A Hessian of correlated inputs, and weights.
struct Problem {
  Problem(int64_t rows_in, int64_t cols_in) : rows(rows_in), cols(cols_in), weights(rows * cols), hessian(cols * cols) {
    uint64_t state = 88172645463325252u;
    const auto uniform = [&] {
      state ^= state << 13, state ^= state >> 7, state ^= state << 17;
      return static_cast<double>(state >> 11) * 0x1p-52 - 1;
    };
    for (float& w : weights) w = static_cast<float>(0.1 * (uniform() + uniform() + uniform()));
    const int64_t samples = 2 * cols;
    std::vector<float> x(samples * cols);
    for (int64_t s = 0; s < samples; ++s) {
      double walk = 0;
      for (int64_t j = 0; j < cols; ++j) {
        walk = 0.8 * walk + uniform();
        x[s * cols + j] = static_cast<float>(walk * (1 + j % 5));
      }
    }
    cpu::gemm(pool, true, false, cols, cols, samples, x.data(), cols, x.data(), cols, hessian.data(), cols, false);
  }
  cpu::ThreadPool pool{2};
  int64_t rows, cols;
  std::vector<float> weights, hessian;
};

TEST(Gptq, GoldenScalesCodesAndFactor) {
  REQUIRE_SHARED("oracle/quant/gptq.safetensors");
  const SafetensorsFile file(testing::shared_path("oracle/quant/gptq.safetensors"));
  const nlohmann::json json = nlohmann::json::parse(read_text_file(testing::shared_path("oracle/quant/gptq.json")));
  cpu::ThreadPool pool(2);
  for (const auto& [name, record] : json.at("cases").items()) {
    SCOPED_TRACE(name);
    const int64_t rows = record.at("rows"), cols = record.at("cols");
    const QuantOptions options{.bits = record.at("bits"), .clip_sigmas = record.at("clip_sigmas")};
    const std::vector<float> w = values<float>(file, name + ".W"), hessian = values<float>(file, name + ".H");
    const GptqFactor factor = factorise_hessian(pool, name, hessian, cols);
    std::vector<int32_t> dead;
    for (int64_t j = 0; j < cols; ++j) {
      if (factor.dead[j]) dead.push_back(static_cast<int32_t>(j));
    }
    EXPECT_EQ(dead, record.at("dead_columns").get<std::vector<int32_t>>());
    const std::vector<int32_t> order = values<int32_t>(file, name + ".perm");
    const std::vector<float> diagonal = values<float>(file, name + ".U_diag"),
                             row0 = values<float>(file, name + ".U_row0");
    for (int64_t j = 0; j < cols; ++j) {
      const bool both_dead = factor.dead[factor.order[j]] && factor.dead[order[j]];  // equal, in any order
      EXPECT_TRUE(both_dead || factor.order[j] == order[j]) << j;
      EXPECT_NEAR(factor.upper[j * cols + j], diagonal[j], 1e-4 * diagonal[j]) << j;  // the golden factor is fp32
      EXPECT_NEAR(factor.upper[j], row0[j], 1e-4 * row0[0]) << j;
    }
    const QuantisedMatrix q = quantise_gptq(pool, w, rows, factor, options);
    EXPECT_EQ(q.scales, values<uint16_t>(file, name + ".scale"));
    EXPECT_EQ(q.codes, values<int8_t>(file, name + ".Q"));
    const double error = weighted_error(w, q, hessian), golden = record.at("weighted_error");
    EXPECT_NEAR(error, golden, 1e-5 * golden);  // of a sum in fp64 of fp32 products
    const QuantisedMatrix nearest = quantise_nearest(w, rows, cols, options);
    EXPECT_EQ(nearest.scales, q.scales);
    const double rounding = record.at("weighted_error_round_to_nearest");
    EXPECT_NEAR(weighted_error(w, nearest, hessian), rounding, 1e-5 * rounding);
  }
}

TEST(Gptq, BeatsRounding) {
  Problem p(24, 320);  // two and a half blocks
  const GptqFactor factor = factorise_hessian(p.pool, "p", p.hessian, p.cols);
  for (const int bits : {2, 3, 4, 6, 8}) {
    const QuantOptions options{.bits = bits, .clip_sigmas = bits > 4 ? 12.85 : 3.0};
    const QuantisedMatrix q = quantise_gptq(p.pool, p.weights, p.rows, factor, options);
    const int limit = (1 << (bits - 1)) - 1;
    for (const int8_t code : q.codes) ASSERT_LE(std::abs(code), limit);
    const QuantisedMatrix nearest = quantise_nearest(p.weights, p.rows, p.cols, options);
    EXPECT_LT(weighted_error(p.weights, q, p.hessian), 0.7 * weighted_error(p.weights, nearest, p.hessian)) << bits;
  }
}

// The errors that come for nothing are the damped quadratic form; any block gives the same up to rounding.
TEST(Gptq, RowErrorsAreTheWeightedOnes) {
  Problem p(24, 320);
  const double damping = 0.03;
  const GptqFactor factor = factorise_hessian(p.pool, "p", p.hessian, p.cols, damping);
  double mean = 0;
  for (int64_t j = 0; j < p.cols; ++j) mean += p.hessian[j * p.cols + j] / static_cast<double>(p.cols);
  std::vector<float> damped = p.hessian;
  for (int64_t j = 0; j < p.cols; ++j) damped[j * p.cols + j] += static_cast<float>(damping * mean);
  for (const int block : {1, 48, 128, kLargestBlock}) {
    const QuantisedMatrix q = quantise_gptq(p.pool, p.weights, p.rows, factor, {.bits = 4, .clip_sigmas = 3, .block = block});
    ASSERT_EQ(q.row_errors.size(), static_cast<size_t>(p.rows));
    double sum = 0;
    for (int64_t r = 0; r < p.rows; ++r) {
      const std::span<const float> row = std::span(p.weights).subspan(r * p.cols, p.cols);
      const QuantisedMatrix one{.codes = {q.codes.begin() + r * p.cols, q.codes.begin() + (r + 1) * p.cols},
                                .scales = {q.scales[r]},
                                .row_errors = {}};
      const double expected = weighted_error(row, one, damped);
      EXPECT_NEAR(q.row_errors[r], expected, 1e-3 * expected) << block << " " << r;  // the recursion is fp32
      sum += q.row_errors[r];
    }
    const double whole = weighted_error(p.weights, q, damped);
    EXPECT_NEAR(sum, whole, 1e-3 * whole) << block;
  }
  const QuantisedMatrix nearest = quantise_nearest(p.weights, p.rows, p.cols, {});
  const std::vector<float> back = dequantise(nearest);
  double squares = 0;
  for (int64_t j = 0; j < p.cols; ++j) squares += (double(p.weights[j]) - back[j]) * (double(p.weights[j]) - back[j]);
  EXPECT_NEAR(nearest.row_errors[0], squares, 1e-5 * squares);  // differences in fp32
}

TEST(Gptq, FactorInvertsTheDampedHessian) {
  for (const int64_t cols : {1, 5, 63, 64, 65, 200}) {
    Problem p(1, cols);
    const GptqFactor factor = factorise_hessian(p.pool, "p", p.hessian, cols, 0.01);
    double mean = 0;
    for (int64_t j = 0; j < cols; ++j) mean += p.hessian[j * cols + j] / static_cast<double>(cols);
    for (int64_t r = 0; r < cols; ++r) {  // row r of U^T U H' is a row of the identity
      std::vector<double> inverse(cols, 0.0);
      for (int64_t k = 0; k <= r; ++k) {
        for (int64_t c = k; c < cols; ++c)
          inverse[c] += double(factor.upper[k * cols + r]) * factor.upper[k * cols + c];
      }
      for (int64_t c = 0; c < cols; ++c) {
        double sum = 0;
        for (int64_t k = 0; k < cols; ++k) {
          const double h = p.hessian[factor.order[k] * cols + factor.order[c]] + (k == c ? 0.01 * mean : 0.0);
          sum += inverse[k] * h;
        }
        ASSERT_NEAR(sum, r == c ? 1 : 0, 1e-3) << cols << " " << r << " " << c;  // U is stored in fp32
      }
    }
  }
}

TEST(Gptq, SameBitsForAnyThreadsAndInstructionSet) {
  Problem p(70, 200);
  const GptqFactor factor = factorise_hessian(p.pool, "p", p.hessian, p.cols);
  const QuantisedMatrix q = quantise_gptq(p.pool, p.weights, p.rows, factor, {});
  const std::string best = cpu::isa_name();
  for (const char* isa : {best.c_str(), "avx2", "plain"}) {
    if (!cpu::set_isa(isa)) continue;
    for (const int threads : {1, 3}) {
      cpu::ThreadPool pool(threads);
      const GptqFactor other = factorise_hessian(pool, "p", p.hessian, p.cols);
      EXPECT_EQ(other.upper, factor.upper) << isa << " " << threads;
      EXPECT_EQ(quantise_gptq(pool, p.weights, p.rows, other, {}).codes, q.codes) << isa << " " << threads;
    }
  }
  cpu::set_isa(best.c_str());
}

// Rows whose fp16 scale would underflow to zero, or overflow, stay finite and close.
// Scales with few bits of mantissa: their low bits are 0, they are the nearest such, and codes are chosen for them, so the error stays.
TEST(Gptq, CoarseScales) {
  for (int bits = 1; bits <= 10; ++bits) {
    for (uint32_t scale = 1; scale <= kLargestF16; scale += 37) {
      const uint16_t coarse = coarse_scale(static_cast<uint16_t>(scale), bits);
      const int step = 1 << (10 - bits);
      const bool kept = coarse == scale;  // what has no neighbour: next to 0 and to infinity
      EXPECT_TRUE(kept || coarse % step == 0) << scale;
      EXPECT_LE(std::abs(int{coarse} - static_cast<int>(scale)), step / 2) << scale;
      EXPECT_GT(coarse, 0);
      EXPECT_LE(coarse, kLargestF16);
    }
  }
  const Problem p(64, 128);
  cpu::ThreadPool pool(1);
  const GptqFactor factor = factorise_hessian(pool, "m", p.hessian, p.cols);
  const QuantisedMatrix fine = quantise_gptq(pool, p.weights, p.rows, factor, {}), coarse = quantise_gptq(pool, p.weights, p.rows, factor, {.scale_bits = 5});
  for (size_t r = 0; r < coarse.scales.size(); ++r) EXPECT_EQ(coarse.scales[r], coarse_scale(fine.scales[r], 5));
  // a clip within 1.6 % of the one asked for has a squared error within 3.2 % of it
  EXPECT_NEAR(weighted_error(p.weights, coarse, p.hessian) / weighted_error(p.weights, fine, p.hessian), 1, 0.032);
}

TEST(Gptq, ExtremeRows) {
  Problem p(4, 96);
  for (int64_t j = 0; j < p.cols; ++j) {
    p.weights[j] = 0;
    p.weights[p.cols + j] *= 1e-9f;
    p.weights[2 * p.cols + j] *= 1e7f;
  }
  const GptqFactor factor = factorise_hessian(p.pool, "p", p.hessian, p.cols);
  for (const QuantisedMatrix& q :
       {quantise_gptq(p.pool, p.weights, p.rows, factor, {}), quantise_nearest(p.weights, p.rows, p.cols, {})}) {
    const std::vector<float> back = dequantise(q);
    for (int64_t r = 0; r < p.rows; ++r) {
      EXPECT_GT(f16_to_float(q.scales[r]), 0);
      EXPECT_TRUE(std::isfinite(f16_to_float(q.scales[r])));
    }
    for (int64_t j = 0; j < 2 * p.cols; ++j) EXPECT_NEAR(back[j], p.weights[j], 1e-7);
  }
}

TEST(Gptq, BadHessians) {
  Problem p(2, 16);
  const auto message = [&](const std::vector<float>& hessian) -> std::string {
    try {
      factorise_hessian(p.pool, "blocks.0.mlp.fc.weight", hessian, 16);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  std::vector<float> bad = p.hessian;
  bad[17] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NE(message(bad).find("blocks.0.mlp.fc.weight: nan"), std::string::npos) << message(bad);
  bad = p.hessian;
  for (float& value : bad) value = -value;
  EXPECT_NE(message(bad).find("not positive definite"), std::string::npos) << message(bad);
  EXPECT_EQ(message(p.hessian), "no error");
  EXPECT_EQ(message(std::vector<float>(256, 0.0f)), "no error");  // never calibrated: every column is dead
}

}  // namespace
}  // namespace sixteen
