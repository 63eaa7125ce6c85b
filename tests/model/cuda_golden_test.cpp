// The golden models in bf16 on a CUDA card, against the oracle's own bf16 columns: the same programs under bf16 autocast.
//
// Two bf16 programs round in different places, so a logit is held to the JSON's tolerance (four times the column's own largest
// distance from fp32), the loss likewise; what a wrong kernel cannot pass is the mean: our distance from fp32 may be half as
// large again as the column's.
#include <gtest/gtest.h>

#include <cmath>

#include "formats/dtype.h"
#include "formats/error.h"
#include "graph/executor.h"
#include "graph/plan.h"
#include "tests/model/golden_case.h"

namespace sixteen {
namespace {

using testing::GoldenCase;

constexpr double kSlack = 1.5;

std::vector<uint16_t> to_bf16(const std::vector<float>& values) {
  std::vector<uint16_t> narrow(values.size());
  for (size_t i = 0; i < values.size(); ++i) narrow[i] = float_to_bf16(values[i]);
  return narrow;
}

// The case's graph in bf16, bound and run; an output's bytes.
class Bf16Run {
 public:
  Bf16Run(Device& device, const GoldenCase& golden, Mode mode)
      : device_(device),
        model_(build_model(golden.config, *golden.table,
                           {.mode = mode, .windows = golden.windows, .seq = golden.seq, .looping = golden.looping, .dtype = DType::kBF16})),
        plan_(plan_memory(model_.graph)),
        executor_(device.compile(model_.graph, plan_, device.allocate(static_cast<size_t>(plan_.arena_bytes)))) {
    const std::vector<float> weights = golden.weights().flat;
    std::vector<float> cos, sin;
    rope_tables(golden.config.rope, golden.seq, &cos, &sin);
    bind("ids", golden.ids("x"));
    bind("weights", weights);
    bind("weights.bf16", to_bf16(weights));
    bind("rope.cos", cos);
    bind("rope.sin", sin);
    if (mode == Mode::kTrain) {
      bind("targets", golden.ids("y"));
      bind("row_weight", std::vector<float>(static_cast<size_t>(golden.windows * golden.seq), 1.0f));
      bind("grads", std::vector<float>(weights.size(), 0.0f));
    }
    executor_->run();
  }

  // Rounded, as the column's are: our graph keeps logits in fp32.
  std::vector<float> logits() const {
    std::vector<float> wide(static_cast<size_t>(model_.graph.value(model_.logits).shape.numel()));
    device_.download(wide.data(), executor_->data(model_.logits), wide.size() * sizeof(float));
    for (float& logit : wide) logit = round_to_bf16(logit);
    return wide;
  }
  double loss() const {
    std::vector<float> nll(static_cast<size_t>(model_.graph.value(model_.nll).shape.numel()));
    device_.download(nll.data(), executor_->data(model_.nll), nll.size() * sizeof(float));
    double sum = 0;
    for (const float value : nll) sum += value;
    return sum / static_cast<double>(nll.size());
  }

 private:
  template <class T>
  void bind(const std::string& name, const std::vector<T>& values) {
    const Buffer& buffer = buffers_.emplace_back(device_.allocate(values.size() * sizeof(T)));
    device_.upload(buffer.data(), values.data(), buffer.bytes());
    executor_->bind(model_.graph.find(name), buffer.data());
  }

  Device& device_;
  ModelGraph model_;
  Plan plan_;
  std::unique_ptr<Executor> executor_;
  std::vector<Buffer> buffers_;
};

double mean_distance(const std::vector<float>& a, const std::vector<float>& b) {
  double squares = 0;
  for (size_t i = 0; i < a.size(); ++i) squares += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
  return std::sqrt(squares / static_cast<double>(a.size()));
}

class CudaGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(CudaGolden, Bf16) {
  const std::string name = GetParam(), pr = name.substr(0, name.find('/')), which = name.substr(pr.size() + 1);
  REQUIRE_SHARED("oracle/model/" + pr);
  std::unique_ptr<Device> card;
  try {
    card = make_device("cuda");
  } catch (const Error& error) {
    GTEST_SKIP() << error.what();
  }
  const GoldenCase golden(pr, which);
  const std::vector<float> fp32 = golden.result("logits"), bf16 = golden.result("bf16.logits");
  const std::vector<float> found = Bf16Run(*card, golden, Mode::kLogits).logits();
  ASSERT_EQ(found.size(), bf16.size());
  double worst = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    const double difference = std::abs(static_cast<double>(found[i]) - bf16[i]);
    if (!(difference <= worst)) worst = difference;  // NaN counts
  }
  EXPECT_LE(worst, golden.tolerance("bf16_logits_abs"));
  EXPECT_LE(mean_distance(found, fp32), kSlack * mean_distance(bf16, fp32));
  const double loss = Bf16Run(*card, golden, Mode::kTrain).loss();
  EXPECT_NEAR(loss, golden.result("bf16.loss").at(0), golden.tolerance("bf16_loss_abs"));
  std::printf("%s: logits within %.3f of the bf16 column; from fp32 %.4f, the column %.4f; loss %+.5f\n", GetParam(), worst,
              mean_distance(found, fp32), mean_distance(bf16, fp32), loss - golden.result("loss").at(0));
}

INSTANTIATE_TEST_SUITE_P(Cases, CudaGolden,
                         ::testing::Values("1584/loop_off", "1584/loop_on", "1584/hd64", "1555/loop_off", "1555/loop_on", "726/base",
                                           "726/hd64", "754/base", "754a/base"),
                         [](const auto& test) {
                           std::string name = test.param;
                           name[name.find('/')] = '_';
                           return name;
                         });

}  // namespace
}  // namespace sixteen
