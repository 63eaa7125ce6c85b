// See peak.h.
#include "model/peak.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "graph/builder.h"

namespace sixteen {

double measure_peak_flops(Device& device) {
  constexpr int64_t kSize = 1024;
  Builder b;
  const ValueId y = b.linear(b.input("x", {kSize, kSize}), b.input("w", {kSize, kSize}));
  b.mark_output(y);
  const Graph graph = b.finish();
  const Plan plan = plan_memory(graph);
  const Buffer arena = device.allocate(static_cast<size_t>(plan.arena_bytes));
  const Buffer operands = device.allocate(2 * kSize * kSize * sizeof(float));
  std::vector<float> values(2 * kSize * kSize);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>((i * 2654435761u) % 2001) / 1000.0f - 1.0f;
  device.upload(operands.data(), values.data(), values.size() * sizeof(float));
  const std::unique_ptr<Executor> executor = device.compile(graph, plan, arena);
  executor->bind(graph.find("x"), operands.data());
  executor->bind(graph.find("w"), operands.data() + kSize * kSize * sizeof(float));

  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  double best = 1e30;
  while (std::chrono::duration<double>(Clock::now() - begin).count() < 0.3) {
    const auto start = Clock::now();
    executor->run();
    float probe = 0;
    device.download(&probe, executor->data(y), sizeof(probe));
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return graph_cost(graph).flops / best;
}

}  // namespace sixteen
