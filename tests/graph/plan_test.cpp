// The memory plan: values that are alive at the same time never share a byte, and the arena is smaller than their sum.
#include "graph/plan.h"

#include <gtest/gtest.h>

#include <random>

#include "graph/builder.h"

namespace sixteen {
namespace {

// First and last node that touches each value, computed the slow way.
std::pair<int, int> lifetime(const Graph& graph, ValueId id) {
  int first = -1, last = -1;
  for (int n = 0; n < static_cast<int>(graph.nodes().size()); ++n) {
    const Node& node = graph.nodes()[n];
    bool touched = false;
    for (ValueId v : node.in) touched |= graph.base_of(v) == id;
    for (ValueId v : node.out) touched |= graph.base_of(v) == id;
    if (touched && first < 0) first = n;
    if (touched) last = n;
  }
  return {first, graph.value(id).output ? static_cast<int>(graph.nodes().size()) : last};
}

void expect_disjoint(const Graph& graph, const Plan& plan) {
  const int count = static_cast<int>(graph.values().size());
  const auto bytes = [&](ValueId id) {
    return graph.value(id).shape.numel() * static_cast<int64_t>(dtype_bytes(graph.value(id).dtype));
  };
  for (ValueId a = 0; a < count; ++a) {
    if (plan.offset[a] < 0) continue;
    EXPECT_LE(plan.offset[a] + bytes(a), plan.arena_bytes);
    const auto [a_first, a_last] = lifetime(graph, a);
    for (ValueId b = a + 1; b < count; ++b) {
      if (plan.offset[b] < 0) continue;
      const auto [b_first, b_last] = lifetime(graph, b);
      if (a_last < b_first || b_last < a_first) continue;
      EXPECT_TRUE(plan.offset[a] + bytes(a) <= plan.offset[b] || plan.offset[b] + bytes(b) <= plan.offset[a])
          << "values " << a << " and " << b << " overlap";
    }
  }
}

// A random residual network, with its gradients.
Graph random_network(uint32_t seed) {
  std::mt19937 random(seed);
  Builder b;
  const int64_t rows = 3 + static_cast<int64_t>(random() % 40);
  std::vector<ValueId> stream = {b.input("x", {rows, 16})};
  for (int i = 0; i < 12; ++i) {
    const int64_t width = 16 * (1 + static_cast<int64_t>(random() % 4));
    const std::string n = std::to_string(i);
    const ValueId up = b.weight("up" + n, {width, 16}, b.state("grad.up" + n, {width, 16}));
    const ValueId down = b.weight("down" + n, {16, width}, b.state("grad.down" + n, {16, width}));
    const ValueId x = stream[random() % stream.size()];
    const ValueId h = b.leaky_relu_sq(b.linear(b.rms_norm(x, 1e-6), up), 0.5);
    stream.push_back(b.axpby(x, b.linear(h, down), 1, 0.5));
  }
  b.mark_output(stream[3]);
  const ValueId dy = b.input("dy", {rows, 16});
  b.backward({{stream.back(), dy}});
  return b.finish();
}

TEST(Plan, LiveValuesNeverOverlap) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    const Graph graph = random_network(seed);
    const Plan plan = plan_memory(graph);
    expect_disjoint(graph, plan);
    EXPECT_LT(plan.arena_bytes, plan.sum_bytes);
  }
}

TEST(Plan, OnlyTemporariesLiveInTheArena) {
  const Graph graph = random_network(3);
  const Plan plan = plan_memory(graph);
  for (size_t i = 0; i < graph.values().size(); ++i) {
    if (graph.values()[i].kind != ValueKind::kTemp) { EXPECT_EQ(plan.offset[i], -1); }
  }
}

}  // namespace
}  // namespace sixteen
