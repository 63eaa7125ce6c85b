// Scoring's products on a CUDA card: at the model's shapes, a row's bits do not depend on how many rows there are.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "formats/dtype.h"
#include "formats/error.h"
#include "graph/builder.h"
#include "graph/executor.h"

namespace sixteen {
namespace {

std::unique_ptr<Device> card_or_null() {
  try {
    return make_device("cuda");
  } catch (const Error&) {
    return nullptr;
  }
}

// Uniform in [-1, 1), as bf16.
std::vector<uint16_t> random_bf16(size_t count, uint32_t seed) {
  std::vector<uint16_t> values(count);
  uint32_t state = seed;
  for (uint16_t& value : values) {
    state = state * 1664525u + 1013904223u;
    value = float_to_bf16(static_cast<float>(state >> 8) * 0x1p-23f - 1);
  }
  return values;
}

struct Product {
  Device& device;
  int64_t n, k;
  bool activated;  // LeakyReLU^2 of the product
  Buffer w;

  // The first `rows` rows of x times w^T.
  std::vector<uint16_t> run(const std::vector<uint16_t>& x, int64_t rows) {
    Builder b(DType::kBF16);
    const ValueId input = b.input("x", {rows, k}, DType::kBF16), matrix = b.weight("w", {n, k}, kNoValue, DType::kBF16);
    const ValueId y = activated ? b.linear_leaky_relu_sq(input, matrix, 0.5, false) : b.linear(input, matrix);
    b.mark_output(y);
    const Graph graph = b.finish();
    const Plan plan = plan_memory(graph);
    const auto executor = device.compile(graph, plan, device.allocate(static_cast<size_t>(plan.arena_bytes)));
    Buffer rows_of_x = device.allocate(static_cast<size_t>(rows * k * 2));
    device.upload(rows_of_x.data(), x.data(), rows_of_x.bytes());
    executor->bind(graph.find("x"), rows_of_x.data());
    executor->bind(graph.find("w"), w.data());
    executor->run();
    std::vector<uint16_t> result(static_cast<size_t>(rows * n));
    device.download(result.data(), executor->data(y), result.size() * 2);
    return result;
  }
};

void expect_row_invariance(int64_t n, int64_t k, bool activated, int64_t most) {
  const std::unique_ptr<Device> device = card_or_null();
  if (device == nullptr) GTEST_SKIP() << "no CUDA card";
  const std::vector<uint16_t> weights = random_bf16(static_cast<size_t>(n * k), 3), x = random_bf16(static_cast<size_t>(most * k), 7);
  Product product{*device, n, k, activated, device->allocate(weights.size() * 2)};
  device->upload(product.w.data(), weights.data(), weights.size() * 2);
  const std::vector<uint16_t> all = product.run(x, most);
  for (const int64_t rows : {1, 2, 7, 64, 100, 257, 1000, 4096}) {
    const std::vector<uint16_t> part = product.run(x, rows);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), all.begin())) << rows << " rows, n " << n << ", k " << k;
  }
  double sum = 0;  // one entry against its definition
  for (int64_t i = 0; i < k; ++i) {
    sum += double{bf16_to_float(x[static_cast<size_t>(5 * k + i)])} * bf16_to_float(weights[static_cast<size_t>(9 * k + i)]);
  }
  if (activated) sum = sum > 0 ? sum * sum : 0.25 * sum * sum;
  EXPECT_NEAR(bf16_to_float(all[static_cast<size_t>(5 * n + 9)]), sum, (activated ? 3 : 1) * 0x1p-8 * std::abs(sum) + 1e-4);
}

TEST(CudaGemm, ScoringRowsDoNotDependOnTheirNumber) {
  for (const auto& [n, k] : {std::pair<int64_t, int64_t>{512, 512}, {256, 512}, {1024, 512}, {2048, 512}, {512, 2048}, {8192, 512}}) {
    expect_row_invariance(n, k, false, 8192);
  }
}

// So many rows that a block's tiles follow each other through all stages many times.
TEST(CudaGemm, ScoringRowsOfTheMlpDoNotDependOnTheirNumber) { expect_row_invariance(2048, 512, true, 60000); }

// The gradients of an MLP [rows, 512] with 2048 hidden units, by name.
std::map<std::string, std::vector<float>> mlp_gradients(Device& device, int64_t rows, bool fused) {
  Builder b(DType::kBF16);
  const int64_t dim = 512, hidden = 2048;
  const auto matrix = [&](const std::string& name, Shape shape) {
    return b.weight(name, shape, b.state("grad." + name, shape), DType::kBF16);
  };
  const ValueId x = b.input("x", {rows, dim}, DType::kBF16), dy = b.input("dy", {rows, dim}, DType::kBF16);
  const ValueId up = matrix("up", {hidden, dim}), down = matrix("down", {dim, hidden});
  const ValueId h = fused ? b.linear_leaky_relu_sq(x, up, 0.5, true) : b.leaky_relu_sq(b.linear(x, up), 0.5);
  b.backward({{b.linear(h, down), dy}});
  const Graph graph = b.finish();
  const Plan plan = plan_memory(graph);
  const auto executor = device.compile(graph, plan, device.allocate(static_cast<size_t>(plan.arena_bytes)));
  std::map<std::string, Buffer> buffers;
  for (const Value& value : graph.values()) {
    if (value.kind == ValueKind::kTemp) continue;
    const size_t count = static_cast<size_t>(value.shape.numel()), bytes = count * dtype_bytes(value.dtype);
    buffers[value.name] = device.allocate(bytes);
    const std::vector<uint16_t> random = random_bf16(count, static_cast<uint32_t>(value.name.size() * 7 + count));
    const std::vector<float> zeros(value.dtype == DType::kF32 ? count : 0);
    device.upload(buffers[value.name].data(), zeros.empty() ? static_cast<const void*>(random.data()) : zeros.data(), bytes);
    executor->bind(graph.find(value.name), buffers[value.name].data());
  }
  executor->run();
  std::map<std::string, std::vector<float>> gradients;
  for (const char* name : {"grad.up", "grad.down"}) {
    gradients[name].resize(static_cast<size_t>(dim * hidden));
    device.download(gradients[name].data(), buffers[name].data(), buffers[name].bytes());
  }
  return gradients;
}

TEST(CudaGemm, FusedMlpEqualsItsParts) {
  const std::unique_ptr<Device> device = card_or_null();
  if (device == nullptr) GTEST_SKIP() << "no CUDA card";
  const auto fused = mlp_gradients(*device, 60000, true), parts = mlp_gradients(*device, 60000, false);
  for (const auto& [name, expected] : parts) {
    double difference = 0, norm = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      difference += std::pow(fused.at(name)[i] - expected[i], 2);
      norm += std::pow(expected[i], 2);
    }
    EXPECT_GT(norm, 0) << name;
    EXPECT_LT(std::sqrt(difference / norm), 0x1p-8) << name;  // the parts round the activation's gradient to bf16 in between
  }
}

TEST(CudaGemm, MeasuringFindsInvariantRowsAndLeavesScoresAlone) {
  const std::unique_ptr<Device> device = card_or_null();
  if (device == nullptr) GTEST_SKIP() << "no CUDA card";
  const int64_t n = 512, k = 256, rows = 4096;
  const std::vector<uint16_t> weights = random_bf16(static_cast<size_t>(n * k), 5), x = random_bf16(static_cast<size_t>(rows * k), 11);
  Product product{*device, n, k, false, device->allocate(weights.size() * 2)};
  device->upload(product.w.data(), weights.data(), weights.size() * 2);
  const std::vector<uint16_t> before = product.run(x, rows);
  const GemmMeasurement measured = device->measure_gemm();
  EXPECT_TRUE(measured.training.empty());  // only a scoring graph has been compiled
  ASSERT_EQ(measured.rows.size(), 1u);
  EXPECT_EQ(measured.rows[0].n, n);
  EXPECT_EQ(measured.rows[0].k, k);
  EXPECT_EQ(measured.rows[0].algorithm.workspace, 0);
  device->use_gemm_choices({{GemmKey{.tb = true, .m = rows, .n = n, .k = k, .lda = k, .ldb = k, .ldc = n}, measured.rows[0].algorithm}});
  EXPECT_EQ(product.run(x, rows), before);  // choices are for training
}

}  // namespace
}  // namespace sixteen
