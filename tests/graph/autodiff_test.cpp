// How gradients of several paths come together: sums in place, memory passed through, views of one weight, missing gradients.
#include <gtest/gtest.h>

#include <cmath>

#include "graph/builder.h"
#include "graph/executor.h"

namespace sixteen {
namespace {

// Binds named vectors and runs once on the CPU.
class Runner {
 public:
  explicit Runner(const Graph& graph) : graph_(graph), device_(make_device("cpu", 2)) {
    const Plan plan = plan_memory(graph_);
    executor_ = device_->compile(graph_, plan, device_->allocate(static_cast<size_t>(plan.arena_bytes)));
  }
  void bind(const std::string& name, std::vector<double>& values) { executor_->bind(graph_.find(name), values.data()); }
  void run() { executor_->run(); }
  const double* data(ValueId id) { return static_cast<const double*>(executor_->data(id)); }

 private:
  Graph graph_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Executor> executor_;
};

std::vector<double> ramp(size_t n, double start, double step) {
  std::vector<double> v(n);
  for (size_t i = 0; i < n; ++i) v[i] = start + step * static_cast<double>(i);
  return v;
}

TEST(Autodiff, ManyUsesOfOneValueAddUp) {
  Builder b(DType::kF64);
  const ValueId x = b.input("x", {2, 3}), dy = b.input("dy", {2, 3});
  // y = (x + 2 (x + x)) + 3 x = 8 x, with gradients that pass through and that are scaled.
  const ValueId twice = b.axpby(x, x, 1, 1);
  const ValueId y = b.axpby(b.axpby(x, twice, 1, 2), x, 1, 3);
  const ValueId dx = b.backward({{y, dy}}, {x})[0];
  b.mark_output(y);
  Runner runner(b.finish());
  std::vector<double> xs = ramp(6, 1, 0.5), dys = ramp(6, -2, 0.75);
  runner.bind("x", xs);
  runner.bind("dy", dys);
  runner.run();
  for (int i = 0; i < 6; ++i) {
    EXPECT_DOUBLE_EQ(runner.data(y)[i], 8 * xs[i]);
    EXPECT_DOUBLE_EQ(runner.data(dx)[i], 8 * dys[i]);
  }
  EXPECT_EQ(dys, ramp(6, -2, 0.75)) << "a bound gradient was written to";
}

TEST(Autodiff, ViewsOfOneWeightAddToViewsOfItsGradient) {
  Builder b(DType::kF64);
  const ValueId flat = b.weight("flat", {7}, b.state("grad", {7}));
  const ValueId x = b.input("x", {3, 2}), a = b.input("a", {3, 2}), dy = b.input("dy", {3, 2});
  const ValueId s = b.view(flat, 1, {2});  // used twice; elements 0 and 3..6 are untouched
  const ValueId y = b.add_scaled(b.add_scaled(x, a, s), a, s);
  b.backward({{y, dy}});
  Runner runner(b.finish());
  std::vector<double> weights = ramp(7, 1, 1), grad(7, 10.0), xs = ramp(6, 1, 1), as = ramp(6, 0.5, 0.25), dys = ramp(6, 1, -0.5);
  runner.bind("flat", weights);
  runner.bind("grad", grad);
  runner.bind("x", xs);
  runner.bind("a", as);
  runner.bind("dy", dys);
  runner.run();
  for (int d = 0; d < 2; ++d) {
    double expected = 10;
    for (int r = 0; r < 3; ++r) expected += 2 * as[2 * r + d] * dys[2 * r + d];
    EXPECT_NEAR(grad[1 + d], expected, 1e-12);  // sums of six terms of order one
  }
  for (int i : {0, 3, 4, 5, 6}) EXPECT_EQ(grad[i], 10.0);
}

TEST(Autodiff, WeightsWithoutGradientCostNothing) {
  Builder b(DType::kF64);
  const ValueId x = b.input("x", {3, 2}), dy = b.input("dy", {3, 4});
  const ValueId y = b.linear(x, b.weight("w", {4, 2}));
  b.backward({{y, dy}});
  EXPECT_EQ(b.graph().nodes().size(), 1u);
}

}  // namespace
}  // namespace sixteen
