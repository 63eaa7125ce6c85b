// The clip searches of #726 and #754 against the originals' codes, scales, quantiles and choices (oracle/quant/clip_search),
// and against the worked example of the specification.
#include "packer/clip_search.h"

#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>

#include "formats/file.h"
#include "formats/safetensors.h"
#include "tests/support/shared_data.h"
#include "tests/support/values.h"

namespace sixteen {
namespace {

template <class T>
std::vector<T> values(const SafetensorsFile& file, const std::string& name) {
  const TensorView& tensor = file.at(name);
  std::vector<T> result(static_cast<size_t>(tensor.numel()));
  EXPECT_EQ(result.size() * sizeof(T), tensor.bytes.size()) << name;
  std::memcpy(result.data(), tensor.bytes.data(), tensor.bytes.size());
  return result;
}

std::vector<float> sorted_magnitudes(std::span<const float> row) {
  std::vector<float> result(row.begin(), row.end());
  for (float& value : result) value = std::abs(value);
  std::sort(result.begin(), result.end());
  return result;
}

double squared_error(std::span<const float> w, const QuantisedMatrix& q) {
  const size_t cols = w.size() / q.scales.size();
  double sum = 0;
  for (size_t i = 0; i < w.size(); ++i) {
    const double error = double(w[i]) - q.codes[i] * double(f16_to_float(q.scales[i / cols]));
    sum += error * error;
  }
  return sum;
}

// Spec 6.4.
const std::vector<float> kExample = {0.9f,  -0.2f,  0.05f, 1.7f,   -0.6f, 0.31f, -1.1f, 0.02f,
                                     0.11f, -0.07f, 0.3f,  -0.25f, 0.4f,  0.01f, -0.5f, 0.2f};

TEST(ClipSearch, GoldenCodesScalesAndClips) {
  REQUIRE_SHARED("oracle/quant/clip_search.safetensors");
  const SafetensorsFile file(testing::shared_path("oracle/quant/clip_search.safetensors"));
  const auto json = nlohmann::json::parse(read_text_file(testing::shared_path("oracle/quant/clip_search.json")));
  cpu::ThreadPool pool(2);
  const ClipOptions int6, int8{.bits = 8, .percentiles = {0.9999984}};
  ASSERT_EQ(json.at("percentiles").get<std::vector<double>>(), int6.percentiles);
  for (const auto& [name, record] : json.at("cases").items()) {
    SCOPED_TRACE(name);
    const int64_t rows = record.at("rows"), cols = record.at("cols");
    const std::vector<float> w = values<float>(file, name + ".W"), clips = values<float>(file, name + ".row_754.clip");
    for (int64_t r = 0; r < rows; ++r) {
      const std::vector<float> sorted = sorted_magnitudes(std::span(w).subspan(r * cols, cols));
      for (size_t k = 0; k < int6.percentiles.size(); ++k) {
        EXPECT_EQ(quantile(sorted, int6.percentiles[k]), clips[k * rows + r]) << r << " " << k;
      }
    }
    const QuantisedMatrix matrix = quantise_clip_matrix(pool, w, rows, cols, int6);
    EXPECT_EQ(matrix.codes, values<int8_t>(file, name + ".int6_726.Q"));
    EXPECT_EQ(matrix.scales, values<uint16_t>(file, name + ".int6_726.scale"));
    const auto mse = record.at("matrix_mse_726").get<std::vector<double>>();
    const double least = *std::min_element(mse.begin(), mse.end());
    EXPECT_NEAR(squared_error(w, matrix) / double(w.size()), least, 1e-5 * least);  // the record's sum is fp32
    const QuantisedMatrix bytes = quantise_clip_row(pool, w, rows, cols, int8);
    EXPECT_EQ(bytes.codes, values<int8_t>(file, name + ".int8_726.Q"));
    EXPECT_EQ(bytes.scales, values<uint16_t>(file, name + ".int8_726.scale"));
    const QuantisedMatrix row = quantise_clip_row(pool, w, rows, cols, int6);
    EXPECT_EQ(row.codes, values<int8_t>(file, name + ".row_754.Q"));
    EXPECT_EQ(row.scales, values<uint16_t>(file, name + ".row_754.scale"));
  }
}

TEST(ClipSearch, WorkedExample) {
  const std::vector<float> sorted = sorted_magnitudes(std::span(kExample).first(8));
  const std::vector<float> clips = {1.69580007f, 1.69790006f, 1.69958007f, 1.69995797f, 1.7f};
  for (size_t k = 0; k < clips.size(); ++k) EXPECT_EQ(quantile(sorted, ClipOptions().percentiles[k]), clips[k]) << k;
  cpu::ThreadPool pool(1);
  const QuantisedMatrix matrix = quantise_clip_matrix(pool, kExample, 2, 8, {});
  EXPECT_EQ(matrix.codes, (std::vector<int8_t>{16, -4, 1, 31, -11, 6, -20, 0, 3, -2, 9, -8, 12, 0, -16, 6}));
  EXPECT_EQ(f16_to_float(matrix.scales[0]), 0.0548400879f);               // of the third percentile and those after it
  EXPECT_EQ(f16_to_float(matrix.scales[1]), 0.0322570801f);               // the floor
  EXPECT_NEAR(squared_error(kExample, matrix) / 16, 0.000163899, 5e-10);  // as many digits as the table gives
  const QuantisedMatrix row = quantise_clip_row(pool, kExample, 2, 8, {});
  EXPECT_EQ(row.codes, matrix.codes);  // -0.5 is a tie: -16 with the percentile 1, -15 with the others
  EXPECT_EQ(row.scales[0], float_to_f16(0.0548387095f));
  EXPECT_EQ(row.scales[1], float_to_f16(0.0322580636f));
  const ClipOptions first{.bits = 6, .percentiles = {0.999}};
  EXPECT_EQ(quantise_clip_row(pool, kExample, 2, 8, first).codes[14], -15);
}

// The percentiles must be chosen among: each alone does no better than all together, and one row's outlier decides nothing
// for the others when the choice is the row's.
TEST(ClipSearch, KeepsTheBest) {
  std::vector<float> w = testing::random_values<float>(40 * 900, 5, 3.0);
  for (float& value : w) value *= value * value;  // heavy tails
  w[17] = 400;
  cpu::ThreadPool pool(2);
  const double matrix = squared_error(w, quantise_clip_matrix(pool, w, 40, 900, {}));
  const double row = squared_error(w, quantise_clip_row(pool, w, 40, 900, {}));
  EXPECT_LT(row, matrix);
  for (const double percentile : ClipOptions().percentiles) {
    const ClipOptions alone{.bits = 6, .percentiles = {percentile}};
    EXPECT_LE(matrix, squared_error(w, quantise_clip_matrix(pool, w, 40, 900, alone)));
    EXPECT_LE(row, squared_error(w, quantise_clip_row(pool, w, 40, 900, alone)) * (1 + 1e-3));  // fp16 of the scale
  }
}

// Rows of small weights: the records' floor sets the step, without it the step follows the row.
TEST(ClipSearch, MinClip) {
  const std::vector<float> w = testing::random_values<float>(6 * 64, 9, 0.05);
  cpu::ThreadPool pool(1);
  const ClipOptions free{.bits = 6, .percentiles = {0.9, 1}, .min_clip = 0};
  for (const auto& quantise : {quantise_clip_matrix, quantise_clip_row}) {
    const QuantisedMatrix floored = quantise(pool, w, 6, 64, {}), fitted = quantise(pool, w, 6, 64, free);
    for (const uint16_t scale : floored.scales) EXPECT_EQ(scale, float_to_f16(1.0f / 31));
    EXPECT_LT(squared_error(w, fitted), 0.02 * squared_error(w, floored));
  }
}

TEST(ClipSearch, SameBitsForAnyThreads) {
  const std::vector<float> w = testing::random_values<float>(67 * 130, 3, 2.0);
  cpu::ThreadPool one(1), three(3);
  for (const auto& quantise : {quantise_clip_matrix, quantise_clip_row}) {
    const QuantisedMatrix a = quantise(one, w, 67, 130, {}), b = quantise(three, w, 67, 130, {});
    EXPECT_EQ(a.codes, b.codes);
    EXPECT_EQ(a.scales, b.scales);
  }
}

// Zero rows without a floor, values beyond fp16's scales, single columns: positive finite scales and codes in range.
TEST(ClipSearch, ExtremeRows) {
  cpu::ThreadPool pool(1);
  const std::vector<float> w = {0, 0, 0, 1e30f, -1e30f, 1, 1e-30f, 0, -1e-30f, 5, -3, 2};
  for (const int bits : {2, 6, 8}) {
    for (const int64_t cols : {1, 3, 12}) {
      const ClipOptions options{.bits = bits, .percentiles = {0.5, 1}, .min_clip = 0};
      for (const auto& quantise : {quantise_clip_matrix, quantise_clip_row}) {
        const QuantisedMatrix q = quantise(pool, w, 12 / cols, cols, options);
        for (const uint16_t scale : q.scales) {
          EXPECT_GT(f16_to_float(scale), 0);
          EXPECT_TRUE(std::isfinite(f16_to_float(scale)));
        }
        for (const int8_t code : q.codes) EXPECT_LE(std::abs(code), code_limit(bits));
      }
    }
  }
}

}  // namespace
}  // namespace sixteen
