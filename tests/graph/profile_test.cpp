// The profile's sums: ops put together, floors taken node by node, products told apart by shape.
#include "graph/profile.h"

#include <gtest/gtest.h>

#include "graph/builder.h"

namespace sixteen {
namespace {

constexpr MachineRates kRates{1e12, 1e10};

// Two products of one shape, one of another, and two element ops.
Graph graph() {
  Builder b;
  const ValueId x = b.input("x", {32, 64});
  const ValueId first = b.linear(x, b.input("w", {64, 64})), second = b.linear(first, b.input("v", {64, 64}));
  const ValueId scaled = b.scale(b.scale(second, 2), 3);
  b.mark_output(b.linear(scaled, b.input("u", {16, 64})));
  return b.finish();
}

TEST(Profile, PutsNodesTogetherByOpAndProductsByShape) {
  const Graph g = graph();
  const std::vector<OpTime> times = op_times(g, {10, 20, 1, 2, 50}, kRates);
  ASSERT_EQ(times.size(), 3u);
  EXPECT_EQ(times[0].op, "matmul 32x16x64 tb");  // the costliest first
  EXPECT_EQ(times[1].op, "matmul 32x64x64 tb");
  EXPECT_EQ(times[1].count, 2);
  EXPECT_DOUBLE_EQ(times[1].seconds, 30e-6);
  EXPECT_DOUBLE_EQ(times[1].flops, 2 * 2.0 * 32 * 64 * 64);
  EXPECT_DOUBLE_EQ(times[1].bytes, 2 * 4.0 * (32 * 64 + 64 * 64 + 32 * 64));
  EXPECT_EQ(times[2].op, "scale");
  EXPECT_DOUBLE_EQ(times[2].seconds, 3e-6);
  EXPECT_DOUBLE_EQ(times[2].floor_seconds, 2 * 2 * 4.0 * 32 * 64 / kRates.bytes);  // bound by bytes
  const OpTime sum = sum_of(times);
  EXPECT_EQ(sum.count, 5);
  EXPECT_DOUBLE_EQ(sum.seconds, 83e-6);
  EXPECT_DOUBLE_EQ(sum.flops, graph_cost(g).flops);
  EXPECT_DOUBLE_EQ(sum.bytes, graph_cost(g).bytes);
}

TEST(Profile, TakesTheLargerOfBothFloors) {
  const std::vector<double> us(5, 1.0);
  const double by_bytes = sum_of(op_times(graph(), us, {1e30, 1e10})).floor_seconds;
  const double by_flops = sum_of(op_times(graph(), us, {1e12, 1e30})).floor_seconds;
  EXPECT_DOUBLE_EQ(by_bytes, graph_cost(graph()).bytes / 1e10);
  EXPECT_DOUBLE_EQ(by_flops, graph_cost(graph()).flops / 1e12);
}

TEST(Profile, AddsPartsThatRunSeveralTimes) {
  const std::vector<OpTime> part = op_times(graph(), {10, 20, 1, 2, 50}, kRates);
  std::vector<OpTime> whole;
  add_op_times(&whole, {{"scale", 1, 1e-3, 1, 1, 1e-4}});
  add_op_times(&whole, part, 3);
  ASSERT_EQ(whole.size(), 3u);
  EXPECT_EQ(whole[0].op, "scale");
  EXPECT_EQ(whole[0].count, 1 + 3 * 2);
  EXPECT_DOUBLE_EQ(whole[0].seconds, 1e-3 + 3 * 3e-6);
  EXPECT_DOUBLE_EQ(sum_of(whole).seconds, 1e-3 + 3 * 83e-6);
}

TEST(Profile, TimesEveryNodeOfWholeRuns) {
  const std::shared_ptr<Device> device = make_device("cpu", 1);
  Builder b;
  const ValueId sum = b.state("sum", {1000});
  b.ema(sum, b.input("x", {1000}), 0.5);
  b.mark_output(b.sum_squares(sum));
  const Graph g = b.finish();
  const Plan plan = plan_memory(g);
  const auto executor = device->compile(g, plan, device->allocate(static_cast<size_t>(plan.arena_bytes)));
  const std::vector<float> ones(1000, 1.0f);
  Buffer x = device->allocate(4000), state = device->allocate(4000);
  device->upload(x.data(), ones.data(), 4000);
  executor->bind(g.find("x"), x.data());
  executor->bind(sum, state.data());
  const std::vector<OpTime> times = measure_op_times(g, executor.get(), kRates, 3);
  ASSERT_EQ(times.size(), 2u);
  EXPECT_GT(times[0].seconds, 0);
  float moved = 0;
  device->download(&moved, state.data(), sizeof moved);
  EXPECT_FLOAT_EQ(moved, 0.875f);  // three runs in order, no more
}

}  // namespace
}  // namespace sixteen
