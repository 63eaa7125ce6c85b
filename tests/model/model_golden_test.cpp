// Every case of oracle/model, all systems: logits, loss, all stored gradients, activations and rotary tables, by the fp32 graph
// within the JSON's tolerances and by the fp64 graph within the golden data's own noise.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string_view>

#include "formats/error.h"
#include "graph/executor.h"
#include "graph/plan.h"
#include "tests/model/golden_case.h"

#ifndef SIXTEEN_GOLDEN_DEVICE
#define SIXTEEN_GOLDEN_DEVICE "cpu"  // test_cuda compiles this file with "cuda": the fp32 cases run there too
#endif

namespace sixteen {
namespace {

using testing::GoldenCase;

constexpr bool kOnCpu = std::string_view(SIXTEEN_GOLDEN_DEVICE) == "cpu";

// A graph of the case on the device, everything bound; T is float or double.
template <class T>
class Run {
 public:
  Run(const GoldenCase& golden, Mode mode, bool keep_activations)
      : device_(make_device(SIXTEEN_GOLDEN_DEVICE, 2)),
        model_(build_model(golden.config, *golden.table,
                           {.mode = mode,
                            .windows = golden.windows,
                            .seq = golden.seq,
                            .looping = golden.looping,
                            .hash = golden.hash,
                            .dtype = sizeof(T) == 8 ? DType::kF64 : DType::kF32,
                            .fake_quant = golden.fake_quant},
                           keep_activations)),
        plan_(plan_memory(model_.graph)),
        executor_(device_->compile(model_.graph, plan_, device_->allocate(plan_.arena_bytes))) {
    for (const Value& value : model_.graph.values()) {
      if (value.kind == ValueKind::kTemp || value.kind == ValueKind::kView) continue;
      buffers_[value.name] = device_->allocate(value.shape.numel() * dtype_bytes(value.dtype));
      executor_->bind(model_.graph.find(value.name), buffers_[value.name].data());
    }
    set("ids", golden.ids("x"));
    if (mode == Mode::kTrain) set("targets", golden.ids("y"));
    set("weights", convert(golden.weights().flat));
    std::vector<float> cos, sin;
    rope_tables(golden.config.rope, golden.seq, &cos, &sin);
    set("rope.cos", convert(cos));
    set("rope.sin", convert(sin));
    if (golden.hash.buckets > 0) set("hash_emb.weight", convert(golden.result("hash_emb.weight")));
    const int64_t rows = golden.windows * golden.seq;
    if (mode == Mode::kTrain) set("row_weight", std::vector<T>(rows, T(1) / static_cast<T>(rows)));
    executor_->run();
  }

  std::vector<T> output(ValueId id) const {
    return read(static_cast<const T*>(executor_->data(id)), model_.graph.value(id).shape);
  }
  std::vector<T> bound(const std::string& name) const {
    return read(reinterpret_cast<const T*>(buffers_.at(name).data()),
                model_.graph.value(model_.graph.find(name)).shape);
  }
  const ModelGraph& model() const { return model_; }

 private:
  static std::vector<T> convert(const std::vector<float>& values) { return {values.begin(), values.end()}; }
  std::vector<T> read(const T* data, const Shape& shape) const {
    std::vector<T> values(static_cast<size_t>(shape.numel()));
    device_->download(values.data(), data, values.size() * sizeof(T));
    return values;
  }
  template <class U>
  void set(const std::string& name, const std::vector<U>& values) {
    const Buffer& buffer = buffers_.at(name);
    ASSERT_EQ(buffer.bytes(), values.size() * sizeof(U)) << name;
    device_->upload(buffer.data(), values.data(), buffer.bytes());
  }

  std::unique_ptr<Device> device_;
  ModelGraph model_;
  Plan plan_;
  std::unique_ptr<Executor> executor_;
  std::map<std::string, Buffer> buffers_;
};

template <class A, class B>
double max_difference(const A& a, const B& b) {
  EXPECT_EQ(a.size(), b.size());
  double worst = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(difference <= worst)) worst = difference;  // NaN counts
  }
  return worst;
}

double largest(const std::vector<float>& values) {
  double most = 0;
  for (const float v : values) most = std::max(most, std::abs(static_cast<double>(v)));
  return most;
}

// The golden values are fp32 results whose distance from fp64 was measured as `noise`; our fp64 graph may be that far
// away, plus what one rounding of the rotary tables and of the stored value does.
struct Tolerance {
  double logits, loss, gradient;
};
template <class T>
Tolerance tolerance_of(const GoldenCase& golden) {
  const nlohmann::json &stated = golden.json.at("tolerance"), &noise = golden.json.at("noise_fp32_vs_fp64");
  const bool has_gradients = !stated.at("grad_rel_to_tensor_max").is_null();
  if (sizeof(T) == 4)
    return {stated.at("logits_abs"), stated.at("loss_abs"),
            has_gradients ? stated.at("grad_rel_to_tensor_max").get<double>() : 0};
  const double gradient = has_gradients ? 1.5 * noise.at("grad_worst_rel_to_tensor_max").get<double>() + 1e-6 : 0;
  return {1.5 * noise.at("logits_maxabs").get<double>() + 1e-6, 1.5 * noise.at("loss_abs").get<double>() + 1e-6,
          gradient};  // two fp32 steps at 6.6
}

template <class T>
void check_gradients(const GoldenCase& golden, const Run<T>& run, double tolerance) {
  const std::vector<T> flat = run.bound("grads");
  double squares = 0;
  for (const T g : flat) squares += static_cast<double>(g) * static_cast<double>(g);
  int compared = 0;
  for (const TensorView& tensor : golden.results.tensors()) {
    if (tensor.name.rfind("grad.", 0) != 0) continue;
    const std::string name = tensor.name.substr(5);
    const std::vector<float> expected = golden.result(tensor.name);
    std::vector<T> found;
    if (name == "hash_emb.weight") {
      found = run.bound("grad.hash_emb.weight");
      for (const T g : found) squares += static_cast<double>(g) * static_cast<double>(g);
    } else {
      const ParamSpec& spec = golden.table->at(name);
      found.assign(flat.begin() + spec.offset, flat.begin() + spec.offset + spec.shape.numel());
    }
    EXPECT_LE(max_difference(found, expected), tolerance * largest(expected)) << tensor.name;
    ++compared;
  }
  if (tolerance == 0) return;  // the case stores none
  EXPECT_GE(compared, 23);
  const double norm = golden.result("grad_total_norm").at(0);
  EXPECT_NEAR(std::sqrt(squares), norm, tolerance * norm);
}

template <class T>
void check_case(const std::string& pr, const std::string& name) {
  const GoldenCase golden(pr, name);
  const Tolerance tolerance = tolerance_of<T>(golden);

  const Run<T> forward(golden, Mode::kLogits, false);
  EXPECT_LE(max_difference(forward.output(forward.model().logits), golden.result("logits")), tolerance.logits);

  const Run<T> train(golden, Mode::kTrain, false);
  const std::vector<T> nll = train.output(train.model().nll);
  double loss = 0;
  for (const T value : nll) loss += static_cast<double>(value) / static_cast<double>(nll.size());
  EXPECT_NEAR(loss, golden.result("loss").at(0), tolerance.loss);
  check_gradients(golden, train, tolerance.gradient);

  // With its activations kept, the graph is made of the parts of some fused ops.
  const Run<T> parts(golden, Mode::kTrain, true);
  check_gradients(golden, parts, tolerance.gradient);
  size_t kept = 0;  // act.NN.*, in call order
  for (const TensorView& tensor : golden.results.tensors()) {
    if (tensor.name.rfind("act.", 0) != 0) continue;
    const size_t index = std::stoul(tensor.name.substr(4, 2));
    ASSERT_LT(index, parts.model().activations.size());
    const std::vector<float> expected = golden.result(tensor.name);
    EXPECT_LE(max_difference(parts.output(parts.model().activations[index]), expected), 3e-6 * (1 + largest(expected)))
        << tensor.name;
    ++kept;
  }
  if (kept > 0) {
    EXPECT_EQ(kept, parts.model().activations.size());
  }
}

struct CaseName {
  const char *pr, *name;
};
class ModelGolden : public ::testing::TestWithParam<CaseName> {
 protected:
  void SetUp() override {
    REQUIRE_SHARED(std::string("oracle/model/") + GetParam().pr);
    try {
      make_device(SIXTEEN_GOLDEN_DEVICE);
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
  }
};

TEST_P(ModelGolden, Fp32) { check_case<float>(GetParam().pr, GetParam().name); }
TEST_P(ModelGolden, Fp64) {
  if (!kOnCpu) GTEST_SKIP() << "fp64 graphs run on the CPU only";
  check_case<double>(GetParam().pr, GetParam().name);
}

TEST_P(ModelGolden, LayerOrderAndRopeTables) {
  const GoldenCase golden(GetParam().pr, GetParam().name);
  const LayerOrder order = layer_order(golden.config, golden.looping);
  EXPECT_EQ(order.encoder, golden.json.at("config").at("encoder_order").get<std::vector<int64_t>>());
  EXPECT_EQ(order.decoder, golden.json.at("config").at("decoder_order").get<std::vector<int64_t>>());
  const int64_t skips = std::min(order.encoder.size(), order.decoder.size());
  EXPECT_EQ(skip_count(golden.config), golden.json.at("config").value("num_skip_weights", skips));
  std::vector<float> cos, sin;
  rope_tables(golden.config.rope, golden.seq, &cos, &sin);
  // PyTorch takes pow and cos in fp32: unrounded frequencies differ in their last bit, times positions up to 63.
  EXPECT_LE(max_difference(cos, golden.result("rope.cos")), 4e-7);
  EXPECT_LE(max_difference(sin, golden.result("rope.sin")), 4e-7);
}

std::vector<CaseName> cases(const char* pr, const std::vector<const char*>& names) {
  std::vector<CaseName> list;
  for (const char* name : names) list.push_back({pr, name});
  return list;
}
std::string print_case(const ::testing::TestParamInfo<CaseName>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Pr1584, ModelGolden,
                         ::testing::ValuesIn(cases("1584", {"loop_off", "loop_on", "lane_mlp", "lane_attn", "no_parallel",
                                                            "no_skip_gates", "skip_both_lanes", "mlp_read_mix", "freeze_lane0",
                                                            "virtual_start", "xsa_last2", "no_ln_scale", "ntk", "hash", "hd64",
                                                            "hd64_rope_exact"})),
                         print_case);
INSTANTIATE_TEST_SUITE_P(Pr1555, ModelGolden,
                         ::testing::ValuesIn(cases("1555", {"loop_off", "loop_on", "no_loop_pass_emb", "lane_mlp", "hash"})),
                         print_case);
INSTANTIATE_TEST_SUITE_P(Pr726, ModelGolden,
                         ::testing::ValuesIn(cases("726", {"base", "qat", "gate_vr", "ntk", "no_bigram_no_ve", "no_ln_scale",
                                                           "hd64"})),
                         print_case);
INSTANTIATE_TEST_SUITE_P(Pr754, ModelGolden, ::testing::ValuesIn(cases("754", {"base", "ntk", "no_smear"})), print_case);
INSTANTIATE_TEST_SUITE_P(Pr754First, ModelGolden, ::testing::ValuesIn(cases("754a", {"base", "qat"})), print_case);

}  // namespace
}  // namespace sixteen
