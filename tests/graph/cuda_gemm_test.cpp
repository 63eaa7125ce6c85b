// Scoring's products on a CUDA card: at the model's shapes, a row's bits do not depend on how many rows there are.
#include <gtest/gtest.h>

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
  Buffer w;

  // The first `rows` rows of x times w^T.
  std::vector<uint16_t> run(const std::vector<uint16_t>& x, int64_t rows) {
    Builder b(DType::kBF16);
    const ValueId y = b.linear(b.input("x", {rows, k}, DType::kBF16), b.weight("w", {n, k}, kNoValue, DType::kBF16));
    b.mark_output(y);
    const Graph graph = b.finish();
    const Plan plan = plan_memory(graph);
    const auto executor = device.compile(graph, plan, device.allocate(static_cast<size_t>(plan.arena_bytes)));
    Buffer input = device.allocate(static_cast<size_t>(rows * k * 2));
    device.upload(input.data(), x.data(), input.bytes());
    executor->bind(graph.find("x"), input.data());
    executor->bind(graph.find("w"), w.data());
    executor->run();
    std::vector<uint16_t> result(static_cast<size_t>(rows * n));
    device.download(result.data(), executor->data(y), result.size() * 2);
    return result;
  }
};

TEST(CudaGemm, ScoringRowsDoNotDependOnTheirNumber) {
  const std::unique_ptr<Device> device = card_or_null();
  if (device == nullptr) GTEST_SKIP() << "no CUDA card";
  const int64_t most = 8192;
  for (const auto& [n, k] : {std::pair<int64_t, int64_t>{512, 512}, {256, 512}, {1024, 512}, {2048, 512}, {512, 2048}, {8192, 512}}) {
    const std::vector<uint16_t> weights = random_bf16(static_cast<size_t>(n * k), 3), x = random_bf16(static_cast<size_t>(most * k), 7);
    Product product{*device, n, k, device->allocate(weights.size() * 2)};
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
    EXPECT_NEAR(bf16_to_float(all[static_cast<size_t>(5 * n + 9)]), sum, 0x1p-8 * std::abs(sum) + 1e-4);
  }
}

}  // namespace
}  // namespace sixteen
