// The parts of PR #1584's step on a CUDA card: microseconds of each node beside its floor.
//
//   bench_cuda [windows]              windows of 2048 tokens, default 48 (98,304 tokens)
//
// The floor is the larger of flops at 766 TFLOP/s and bytes at 4.2 TB/s, an H200's measured rates (docs/BENCHMARKS.md).
// A model's whole step: `sixteen-train bench --profile`.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "formats/dtype.h"
#include "formats/error.h"
#include "graph/builder.h"
#include "graph/executor.h"

namespace sixteen {
namespace {

constexpr double kFlopsPerUs = 766e6, kBytesPerUs = 4.2e6;
constexpr int64_t kSeq = 2048, kDim = 512, kHeads = 8, kKvHeads = 4, kHeadDim = 64, kMlp = 2048, kVocab = 8192;

// One layer with everything that any layer has, between embedding and loss, with gradients.
struct Layer {
  Builder b{DType::kBF16};
  int64_t windows;

  ValueId matrix(const std::string& name, int64_t rows, int64_t cols) {
    return b.weight(name, {rows, cols}, b.state("grad." + name, {rows, cols}), DType::kBF16);
  }
  ValueId channels(const std::string& name, Shape shape) { return b.weight(name, shape, b.state("grad." + name, shape)); }

  // Of [rows, cols], bound in fp32, with its channels' scales: what a product that ends a sublayer reads.
  ValueId scaled(const std::string& name, int64_t rows, int64_t cols) {
    return b.scale_rows(channels(name, {rows, cols}), channels(name + "_scale", {rows}));
  }

  ValueId attention(ValueId u) {
    const ValueId cos = b.input("cos", {kSeq, 8}), sin = b.input("sin", {kSeq, 8});
    const ValueId q = b.linear(u, matrix("q", kDim, kDim)), k = b.linear(u, matrix("k", kKvHeads * kHeadDim, kDim));
    const ValueId v = b.linear(u, matrix("v", kKvHeads * kHeadDim, kDim));
    const ValueId qn = b.head_norm(q, cos, sin, channels("gain", {kHeads}), kHeads, kSeq, 1e-6);
    const ValueId kn = b.head_norm(k, cos, sin, kNoValue, kKvHeads, kSeq, 1e-6);
    const ValueId y = b.attention(qn, kn, v, {kHeads, kKvHeads, kSeq, kSeq}, 0.125);
    return b.xsa(y, v, kHeads, kKvHeads);
  }

  Graph build(bool train) {
    const int64_t rows = windows * kSeq;
    const ValueId ids = b.input_ids("ids", {rows}), targets = b.input_ids("targets", {rows}), table = matrix("table", kVocab, kDim);
    const ValueId x0 = b.rms_norm(b.embedding(ids, table), 1e-6);
    const auto [u, mixed] = b.mix_norm(x0, b.scale(x0, 0.9), channels("mix", {2, kDim}), 1e-6, 1, true);
    const ValueId heads = attention(u);
    const ValueId x1 = b.linear_add(mixed, heads, scaled("proj", kDim, kDim));
    const ValueId h = b.linear_leaky_relu_sq(b.rms_norm(x1, 1e-6), matrix("up", kMlp, kDim), 0.5, train);
    const ValueId x2 = b.linear_add(x1, h, scaled("down", kDim, kMlp));
    const ValueId gated = b.skip_gate(x2, x0, channels("skip", {kDim}), channels("gate", {kDim}));
    const ValueId lane = b.lane_mix(gated, mixed, x1, channels("sa", {kDim}), channels("sf", {kDim}), channels("r", {1}), channels("pa", {1}),
                                    channels("pf", {1}));
    const ValueId hidden = b.rms_norm(lane, 1e-6);
    if (!train) {
      b.mark_output(b.head_nll(hidden, table, targets, 30));
      return b.finish();
    }
    const HeadLoss loss = b.head_loss(hidden, table, targets, b.input("row_weight", {rows}), 30);
    b.mark_output(loss.nll);
    b.backward({{hidden, loss.dx}});
    return b.finish();
  }
};

// A layer's MLP with its gradients: through the fused ops, or through what they are made of.
Graph mlp(int64_t windows, bool fused) {
  Layer layer{.windows = windows};
  Builder& b = layer.b;
  const Shape rows{windows * kSeq, kDim};
  const ValueId x = b.input("x", rows, DType::kBF16), up = layer.matrix("up", kMlp, kDim), down = layer.matrix("down", kDim, kMlp);
  const ValueId h = fused ? b.linear_leaky_relu_sq(x, up, 0.5, true) : b.leaky_relu_sq(b.linear(x, up), 0.5);
  const ValueId y = b.linear(h, down);
  b.mark_output(b.backward({{y, b.input("dy", rows, DType::kBF16)}}, {x})[0]);
  return b.finish();
}

// Muon over the banks of 11 layers, AdamW over the embedding, EMA and bf16 copies over everything.
Graph optimiser() {
  Builder b;
  const ValueId one = b.input("one", {1});
  const std::vector<Shape> banks = {{22, kDim, kDim}, {22, kDim / 2, kDim}, {11, kMlp, kDim}, {11, kDim, kMlp}};
  for (size_t i = 0; i < banks.size(); ++i) {
    const std::string n = std::to_string(i);
    const ValueId g = b.state("g" + n, banks[i]), w = b.state("w" + n, banks[i]);
    const ValueId coefficient = b.clip_scale(b.sum_squares(g), 0.3).first;
    const ValueId u = b.muon_direction(g, b.state("b" + n, banks[i]), coefficient, one, true, true);
    b.muon_apply(w, b.newton_schulz(u, 5, true), one, 0.01, 1);
    b.ema(b.state("e" + n, banks[i]), w, 0.997);
    b.cast(b.state("c" + n, banks[i], DType::kBF16), w);
  }
  const Shape table{kVocab, kDim};
  b.adamw(b.state("p", table), b.state("g", table), b.state("m", table), b.state("v", table), one, one, one, one,
          {0.9, 0.95, 1e-8, 0.01, false});
  return b.finish();
}

Graph square_product() {
  Builder b(DType::kBF16);
  const Shape shape{8192, 8192};
  b.mark_output(b.linear(b.input("x", shape, DType::kBF16), b.weight("w", shape, kNoValue, DType::kBF16)));
  return b.finish();
}

// The products of one chunk of rows of the head, as head_loss does them.
Graph head_chunk() {
  Builder b(DType::kBF16);
  const int64_t rows = 8192;
  const ValueId x = b.input("x", {rows, kDim}, DType::kBF16), grad = b.state("grad", {kVocab, kDim});
  const ValueId table = b.weight("table", {kVocab, kDim}, grad, DType::kBF16);
  const ValueId logits = b.linear(x, table);
  b.mark_output(b.backward({{logits, b.input("d", {rows, kVocab}, DType::kBF16)}}, {x})[0]);
  return b.finish();
}

// Random contents: never time on zeros.
Buffer filled(Device& device, const Value& value, uint32_t seed) {
  const size_t count = static_cast<size_t>(value.shape.numel());
  std::vector<std::byte> bytes(count * dtype_bytes(value.dtype));
  uint32_t state = seed;
  for (size_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    const float x = (static_cast<float>(state >> 8) * 0x1p-23f - 1) * 0.05f;
    if (value.dtype == DType::kI32) reinterpret_cast<int32_t*>(bytes.data())[i] = static_cast<int32_t>((state >> 8) % kVocab);
    else if (value.dtype == DType::kBF16) reinterpret_cast<uint16_t*>(bytes.data())[i] = float_to_bf16(x);
    else reinterpret_cast<float*>(bytes.data())[i] = x;
  }
  Buffer buffer = device.allocate(bytes.size());
  device.upload(buffer.data(), bytes.data(), bytes.size());
  return buffer;
}

std::string label(const Graph& graph, const Node& node) {
  std::string text = op_name(node.op);
  for (ValueId id : node.in) {
    if (graph.value(id).shape.rank() >= 2 && text.size() < 40) text += " " + graph.value(id).shape.string();
  }
  return text + (node.attrs.ta ? " ta" : "") + (node.attrs.tb ? " tb" : "");
}

void measure(Device& device, const char* title, const Graph& graph) {
  const Plan plan = plan_memory(graph);
  const auto executor = device.compile(graph, plan, device.allocate(static_cast<size_t>(plan.arena_bytes)));
  std::vector<Buffer> buffers;
  for (size_t i = 0; i < graph.values().size(); ++i) {
    const Value& value = graph.values()[i];
    if (value.kind == ValueKind::kTemp || value.kind == ValueKind::kView) continue;
    buffers.push_back(filled(device, value, static_cast<uint32_t>(i)));
    executor->bind(static_cast<ValueId>(i), buffers.back().data());
  }
  char byte = 0;
  for (int i = 0; i < 3; ++i) executor->run();
  device.download(&byte, buffers[0].data(), 1);
  constexpr int kRuns = 10;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < kRuns; ++i) executor->run();
  device.download(&byte, buffers[0].data(), 1);
  const double run_us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count() / kRuns;
  std::printf("%s, arena %.2f GiB\n%10s %10s %6s  node\n", title, static_cast<double>(plan.arena_bytes) / (1 << 30), "us", "floor",
              "share");
  const std::vector<double> times = executor->node_times_us(10);
  double all_us = 0, all_floor_us = 0;
  for (size_t i = 0; i < times.size(); ++i) {
    const Cost cost = node_cost(graph, graph.nodes()[i]);
    const double floor_us = std::max(cost.flops / kFlopsPerUs, cost.bytes / kBytesPerUs);
    std::printf("%10.1f %10.1f %5.0f%%  %s\n", times[i], floor_us, 100 * floor_us / times[i], label(graph, graph.nodes()[i]).c_str());
    all_us += times[i];
    all_floor_us += floor_us;
  }
  std::printf("%10.1f %10.1f %5.0f%%  sum of nodes; %.1f us a replayed run\n\n", all_us, all_floor_us, 100 * all_floor_us / all_us, run_us);
}

}  // namespace
}  // namespace sixteen

int main(int argc, char** argv) {
  using namespace sixteen;
  try {
    const std::unique_ptr<Device> device = make_device("cuda");
    const int64_t windows = argc > 1 ? std::stoll(argv[1]) : 48;
    std::printf("%s, %lld tokens\n", device->name().c_str(), static_cast<long long>(windows * kSeq));
    measure(*device, "product 8192^3", square_product());
    measure(*device, "one chunk of the head", head_chunk());
    measure(*device, "MLP in parts", mlp(windows, false));
    measure(*device, "MLP through fused ops", mlp(windows, true));
    measure(*device, "training", Layer{.windows = windows}.build(true));
    measure(*device, "scoring", Layer{.windows = windows}.build(false));
    measure(*device, "optimiser", optimiser());
  } catch (const Error& error) {
    std::fprintf(stderr, "bench_cuda: %s\n", error.what());
    return 1;
  }
}
