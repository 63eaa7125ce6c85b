// Straight-through fake quantisation against the original's (oracle/quant/ste): the weight that is multiplied, bit for bit, and
// the gradient, which passes through unchanged.
#include <gtest/gtest.h>

#include "formats/safetensors.h"
#include "graph/builder.h"
#include "graph/executor.h"
#include "graph/plan.h"
#include "tests/support/shared_data.h"

namespace sixteen {
namespace {

using testing::shared_path;

std::vector<float> floats(const SafetensorsFile& file, const std::string& name) {
  std::vector<float> values(static_cast<size_t>(file.at(name).numel()));
  copy_as_float(file.at(name), values);
  return values;
}

TEST(FakeQuant, GoldenForwardAndGradient) {
  REQUIRE_SHARED("oracle/quant/ste.safetensors");
  const SafetensorsFile file(shared_path("oracle/quant/ste.safetensors"));
  std::vector<float> w = floats(file, "W");
  for (const int64_t low : {-32, -31}) {
    const std::string prefix = "lo" + std::to_string(-low) + ".fp32.";
    std::vector<float> upstream = floats(file, prefix + "grad_in"), gradient(w.size(), 0.0f);
    Builder b;
    const Shape shape{10, 24};
    const ValueId grad = b.state("grad.w", shape), weight = b.weight("w", shape, grad), dy = b.input("dy", shape);
    const ValueId y = b.fake_quant(weight, low);
    b.mark_output(y);
    b.backward({{y, dy}});
    const Graph graph = b.finish();
    const Plan plan = plan_memory(graph);
    const auto device = make_device("cpu", 1);
    const auto executor = device->compile(graph, plan, device->allocate(plan.arena_bytes));
    executor->bind(weight, w.data());
    executor->bind(dy, upstream.data());
    executor->bind(grad, gradient.data());
    executor->run();
    const float* found = static_cast<const float*>(executor->data(y));
    EXPECT_EQ(std::vector<float>(found, found + w.size()), floats(file, prefix + "w_forward")) << prefix;
    EXPECT_EQ(gradient, upstream) << prefix;
  }
}

}  // namespace
}  // namespace sixteen
