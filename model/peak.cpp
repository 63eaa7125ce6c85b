// See peak.h.
#include "model/peak.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "formats/dtype.h"
#include "graph/builder.h"

namespace sixteen {

double measure_peak_flops(Device& device) {
  const DType dtype = device.activations();
  const int64_t size = dtype == DType::kBF16 ? 8192 : 1024;
  Builder b(dtype);
  const ValueId y = b.linear(b.input("x", {size, size}, dtype), b.input("w", {size, size}, dtype));
  b.mark_output(y);
  const Graph graph = b.finish();
  const Plan plan = plan_memory(graph);
  const Buffer arena = device.allocate(static_cast<size_t>(plan.arena_bytes));
  const size_t bytes = static_cast<size_t>(size * size) * dtype_bytes(dtype);
  const Buffer operands = device.allocate(2 * bytes);
  std::vector<std::byte> values(2 * bytes);
  for (size_t i = 0; i < static_cast<size_t>(2 * size * size); ++i) {
    const float value = static_cast<float>((i * 2654435761u) % 2001) / 1000.0f - 1.0f;
    const uint16_t narrow = float_to_bf16(value);
    if (dtype == DType::kBF16) std::memcpy(&values[2 * i], &narrow, sizeof narrow);
    else std::memcpy(&values[4 * i], &value, sizeof value);
  }
  device.upload(operands.data(), values.data(), values.size());
  const std::unique_ptr<Executor> executor = device.compile(graph, plan, arena);
  executor->bind(graph.find("x"), operands.data());
  executor->bind(graph.find("w"), operands.data() + bytes);

  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  double best = 1e30;
  while (std::chrono::duration<double>(Clock::now() - begin).count() < 0.3) {
    const auto start = Clock::now();
    executor->run();
    uint16_t probe = 0;
    device.download(&probe, executor->data(y), sizeof(probe));
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return graph_cost(graph).flops / best;
}

}  // namespace sixteen
