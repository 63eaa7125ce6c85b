// See peak.h.
#include "model/peak.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "formats/dtype.h"
#include "graph/builder.h"
#include "model/process_clock.h"

namespace sixteen {
namespace {

// Fills `count` elements with values in [-1, 1); a product of zeros would run faster than one of numbers. Made once a
// stretch and repeated: the host would need a second for all of 8192 squared.
void fill(Device& device, std::byte* to, int64_t count, DType dtype) {
  constexpr int64_t kStretch = (int64_t{1} << 20) + 8;  // so that rows of a power of two differ
  const size_t width = dtype_bytes(dtype);
  std::vector<std::byte> values(static_cast<size_t>(std::min(count, kStretch)) * width);
  for (size_t i = 0; i < values.size() / width; ++i) {
    const float value = static_cast<float>((i * 2654435761u) % 2001) / 1000.0f - 1.0f;
    const uint16_t narrow = float_to_bf16(value);
    std::memcpy(&values[i * width], dtype == DType::kBF16 ? static_cast<const void*>(&narrow) : &value, width);
  }
  for (int64_t done = 0; done < count; done += kStretch) {
    device.upload(to + static_cast<size_t>(done) * width, values.data(), static_cast<size_t>(std::min(kStretch, count - done)) * width);
  }
}

// Seconds of the fastest run of `graph`, whose inputs all are of `dtype`, within a third of a second.
double best_seconds(Device& device, const Graph& graph, ValueId result, DType dtype) {
  const Plan plan = plan_memory(graph);
  const std::unique_ptr<Executor> executor = device.compile(graph, plan, device.allocate(static_cast<size_t>(plan.arena_bytes)));
  std::vector<Buffer> inputs;
  for (size_t i = 0; i < graph.values().size(); ++i) {
    const Value& value = graph.values()[i];
    if (value.kind != ValueKind::kInput) continue;
    inputs.push_back(device.allocate(static_cast<size_t>(value.shape.numel()) * dtype_bytes(dtype)));
    fill(device, inputs.back().data(), value.shape.numel(), dtype);
    executor->bind(static_cast<ValueId>(i), inputs.back().data());
  }
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  double best = 1e30;
  while (seconds_since(begin) < 0.3) {
    const auto start = Clock::now();
    executor->run();
    uint16_t probe = 0;
    device.download(&probe, executor->data(result), sizeof(probe));
    best = std::min(best, seconds_since(start));
  }
  return best;
}

// Several sums a run, so that its launch and end do not count.
double measure_stream_bytes(Device& device) {
  const int64_t count = (device.activations() == DType::kBF16 ? 256 : 64) * (int64_t{1} << 18);
  Builder b;
  const ValueId y = b.input("y", {count});
  ValueId x = b.input("x", {count});
  for (int sum = 0; sum < 12; ++sum) x = b.axpby(x, y, 0.5, 0.5);
  b.mark_output(x);
  const Graph graph = b.finish();
  return graph_cost(graph).bytes / best_seconds(device, graph, x, DType::kF32);
}

}  // namespace

double measure_peak_flops(Device& device) {
  const DType dtype = device.activations();
  const int64_t size = dtype == DType::kBF16 ? 8192 : 1024;
  Builder b(dtype);
  const ValueId y = b.linear(b.input("x", {size, size}, dtype), b.input("w", {size, size}, dtype));
  b.mark_output(y);
  const Graph graph = b.finish();
  return graph_cost(graph).flops / best_seconds(device, graph, y, dtype);
}

MachineRates measure_rates(Device& device) { return {measure_peak_flops(device), measure_stream_bytes(device)}; }

}  // namespace sixteen
