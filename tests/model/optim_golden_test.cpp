// Three full steps of each system's optimisers with given gradients (oracle/optim/steps_*), and SGD against plain loops.
#include "model/optim.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "formats/file.h"
#include "formats/safetensors.h"
#include "model/schedule.h"
#include "tests/model/golden_case.h"
#include "tests/support/shared_data.h"

namespace sixteen {
namespace {

constexpr double kMuonTolerance = 1e-5, kAdamTolerance = 2e-6;  // oracle/README.md, absolute

ModelConfig small_config() {
  ModelConfig config;
  config.vocab = 32;
  config.layers = 2;
  config.dim = 16;
  config.heads = 2;
  config.kv_heads = 1;
  config.mlp_hidden = 64;
  config.rope.dims = 4;
  config.rope.train_len = 64;
  config.xsa_last_n = 2;
  config.parallel.kind = "two_lane";
  config.parallel.start_layer = 1;
  return config;
}

std::unique_ptr<Session> make_session(const ModelConfig& config) {
  return std::make_unique<Session>(std::shared_ptr<Device>(make_device("cpu", 2)), config,
                                   std::make_shared<const ParamTable>(config));
}

ParamStore download(Session& session, Buffer buffer) {
  ParamStore store(std::make_shared<const ParamTable>(session.config()));
  session.device().download(store.flat.data(), buffer.data(), store.flat.size() * sizeof(float));
  return store;
}

void upload(Session& session, Buffer buffer, const std::vector<float>& values) {
  session.device().upload(buffer.data(), values.data(), values.size() * sizeof(float));
}

std::vector<float> floats(const SafetensorsFile& file, const std::string& name) {
  const TensorView& tensor = file.at(name);
  std::vector<float> values(tensor.numel());
  copy_as_float(tensor, values);
  return values;
}

double max_difference(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(double(a[i]) - double(b[i]));
    if (!(difference <= worst)) worst = difference;  // NaN counts
  }
  return worst;
}

class OptimGolden : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    REQUIRE_SHARED("oracle/optim/steps_1584.json");
    const std::string path = testing::shared_path(std::string("oracle/optim/steps_") + GetParam());
    json_ = nlohmann::json::parse(read_text_file(path + ".json"));
    file_ = std::make_unique<SafetensorsFile>(path + ".safetensors");
    model_ = testing::golden_config(json_.at("config"));
  }

  // Tensors that have no gradient in the original keep 0.
  ParamStore read(const std::string& prefix) const {
    ParamStore store(std::make_shared<const ParamTable>(model_));
    for (const ParamSpec& spec : store.table->specs()) {
      if (prefix.starts_with("grad") && file_->find(prefix + spec.name) == nullptr) continue;
      const std::vector<float> values = floats(*file_, prefix + spec.name);
      const std::span<float> to = store.tensor(spec.name);
      EXPECT_EQ(values.size(), to.size()) << spec.name;
      if (values.size() == to.size()) std::copy(values.begin(), values.end(), to.begin());
    }
    return store;
  }

  // Runs the three steps; after_step(k) is called behind step k.
  template <class AfterStep>
  void run(bool bf16, AfterStep after_step) {
    const nlohmann::json& h = json_.at("hyperparameters");
    session_ = make_session(model_);
    session_->set_weights(read("init."));
    OptimConfig config;
    config.matrix_lr = h.at("matrix_lr");
    config.token_lr = h.at("tied_embed_lr");
    config.scalar_lr = h.at("scalar_lr");
    config.matrix_wd = h.at("muon_wd");
    config.token_wd = h.value("embed_wd", h.at("adam_wd").get<double>());
    config.row_norm = h.value("muon_row_normalize", false);
    config.muon_shape = std::string(GetParam()) == "1555" ? "bank" : "matrix";
    config.scalar_wd = h.at("adam_wd");
    config.ns_steps = h.at("muon_backend_steps");
    config.clip_norm = h.at("grad_clip_norm");
    config.ema_decay = h.at("ema_decay");
    config.muon_bf16 = config.token_bf16 = bf16;
    config.momentum_bf16 = bf16 && config.muon_shape == "matrix";  // #1555 keeps fp32 momentum
    optimizer_ = std::make_unique<Optimizer>(session_.get(), config);
    const ScheduleConfig schedule{.momentum_start = h.at("muon_momentum_warmup_start"),
                                  .momentum_end = h.at("muon_momentum"),
                                  .momentum_steps = h.at("muon_momentum_warmup_steps")};
    for (int k = 0; k < 3; ++k) {
      const nlohmann::json& step = json_.at("steps").at(bf16 ? "bf16" : "fp32")[k];
      EXPECT_NEAR(muon_momentum(schedule, k), step.at("muon_momentum").get<double>(), 1e-12);
      upload(*session_, session_->grads(), read("grad" + std::to_string(k) + ".").flat);
      const double norm = optimizer_->step({.lr_scale = h.at("lr_scales")[k], .momentum = muon_momentum(schedule, k)});
      // The original's bf16 norms are of tensors whose own norms were rounded to bf16 (2^-9); ours are not.
      const double golden_norm = step.at("grad_norm_before_clip");
      EXPECT_NEAR(norm, golden_norm, golden_norm * (bf16 ? 1e-3 : 1e-6));
      const double factor = step.at("clip_factor");
      EXPECT_NEAR(std::min(1.0, config.clip_norm / (norm + 1e-6)), factor, factor * (bf16 ? 1e-3 : 2e-6));
      after_step(k);
    }
    EXPECT_EQ(optimizer_->steps_done(), 3);
  }

  void expect_near(const ParamStore& ours, const ParamStore& golden) {
    for (const ParamSpec& spec : ours.table->specs()) {
      EXPECT_LE(max_difference(ours.tensor(spec.name), golden.tensor(spec.name)),
                spec.group == ParamGroup::kMatrix ? kMuonTolerance : kAdamTolerance)
          << spec.name;
    }
  }

  nlohmann::json json_;
  std::unique_ptr<SafetensorsFile> file_;
  ModelConfig model_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<Optimizer> optimizer_;
};

TEST_P(OptimGolden, ThreeStepsFp32) {
  run(false, [&](int k) {
    if (k != 1) expect_near(download(*session_, session_->weights()), read(k == 0 ? "fp32.after1." : "fp32.after3."));
  });
  expect_near(download(*session_, optimizer_->ema()), read("fp32.ema3."));
  const ParamStore moment1 = download(*session_, optimizer_->moment1());
  const ParamStore moment2 = download(*session_, optimizer_->moment2());
  const auto state = [&](const std::string& name) { return floats(*file_, "fp32.state." + name); };
  // Sums of a few gradients of 1e-2: 1e-7 is their rounding.
  EXPECT_LE(max_difference(moment1.tensor("tok_emb.weight"), state("tok_emb.exp_avg")), 1e-7);
  EXPECT_LE(max_difference(moment2.tensor("tok_emb.weight"), state("tok_emb.exp_avg_sq")), 1e-8);
  for (const std::string name : {"blocks.0.attn.c_k.weight", "blocks.1.attn.c_k.weight"}) {
    EXPECT_LE(max_difference(moment1.tensor(name), state(name + ".momentum")), 1e-7) << name;
  }
}

// The records' roundings (T1, 5.3). Newton-Schulz in bf16 amplifies rounding: matrices are compared by their whole
// update, as the oracle says; tables to a bf16 unit; the rest does not see the switch.
TEST_P(OptimGolden, ThreeStepsBf16) {
  run(true, [](int) {});
  const ParamStore ours = download(*session_, session_->weights()), golden = read("bf16.after3."), init = read("init.");
  for (const ParamSpec& spec : ours.table->specs()) {
    const auto a = ours.tensor(spec.name), b = golden.tensor(spec.name), start = init.tensor(spec.name);
    if (spec.group == ParamGroup::kScalar) {
      // The clip factors differ in their fourth digit (see the norms above), so the steps do: 0.025 * 1e-4.
      EXPECT_LE(max_difference(a, b), 3 * kAdamTolerance) << spec.name;
    } else if (spec.group == ParamGroup::kFixed) {
      EXPECT_EQ(max_difference(a, start), 0) << spec.name;
      EXPECT_EQ(max_difference(b, start), 0) << spec.name;
    } else if (spec.group == ParamGroup::kMatrix) {
      double difference = 0, update = 0;
      for (size_t i = 0; i < a.size(); ++i) {
        difference += std::pow(double(a[i]) - b[i], 2);
        update += std::pow(double(b[i]) - start[i], 2);
      }
      EXPECT_LE(std::sqrt(difference / update), 0.08) << spec.name;
    } else {
      int differing = 0;
      for (size_t i = 0; i < a.size(); ++i) {
        EXPECT_EQ(a[i], round_to_bf16(a[i]));
        EXPECT_LE(std::abs(float_to_bf16(a[i]) - float_to_bf16(b[i])), 1) << i;
        differing += a[i] != b[i];
      }
      EXPECT_LE(differing, static_cast<int>(a.size()) / 50) << "of " << a.size();
    }
  }
}

// A state saved after one step and restored into a new optimiser continues to the bit.
class OptimState : public OptimGolden {};  // the same parts in all systems: one is enough

TEST_P(OptimState, IsComplete) {
  std::vector<std::vector<float>> saved;
  run(false, [&](int k) {
    if (k != 1) return;
    for (const Buffer& buffer :
         {session_->weights(), optimizer_->moment1(), optimizer_->moment2(), optimizer_->ema()}) {
      saved.push_back(download(*session_, buffer).flat);
    }
  });
  const std::vector<float> weights = download(*session_, session_->weights()).flat;
  const std::vector<float> ema = download(*session_, optimizer_->ema()).flat;
  const std::unique_ptr<Session> other = make_session(model_);
  OptimConfig config;
  config.ema_decay = 0.9;
  Optimizer again(other.get(), config);
  upload(*other, other->weights(), saved[0]);
  upload(*other, again.moment1(), saved[1]);
  upload(*other, again.moment2(), saved[2]);
  upload(*other, again.ema(), saved[3]);
  again.set_steps_done(2);
  upload(*other, other->grads(), read("grad2.").flat);
  again.step({.lr_scale = 0.3, .momentum = muon_momentum({.momentum_steps = 4}, 2)});
  EXPECT_EQ(download(*other, other->weights()).flat, weights);
  EXPECT_EQ(download(*other, again.ema()).flat, ema);
}

INSTANTIATE_TEST_SUITE_P(Pr1584, OptimState, ::testing::Values("1584"));
INSTANTIATE_TEST_SUITE_P(Systems, OptimGolden, ::testing::Values("726", "754", "1555", "1584"),
                         [](const auto& param) { return std::string("Pr") + param.param; });

// Spec 7.3 in double: one clip over everything that trains, momentum, the hash table, frozen control tensors.
TEST(Sgd, AgainstPlainLoops) {
  for (const int64_t freeze_blocks : {0, 1}) {
    const ModelConfig config = small_config();
    std::unique_ptr<Session> session = make_session(config);
    session->enable_hash({.buckets = 24, .multiplier = 2039});
    ParamStore weights(std::make_shared<const ParamTable>(config)), grads = weights;
    std::vector<float> hash_grads(24 * config.dim);
    const auto wave = [](double phase) { return static_cast<float>(0.1 * std::sin(phase)); };
    for (const ParamSpec& spec : weights.table->specs()) {
      for (int64_t i = spec.offset; i < spec.offset + spec.shape.numel(); ++i) {
        weights.flat[i] = wave(1.7 * i);
        grads.flat[i] = wave(0.3 * i);
      }
    }
    for (size_t i = 0; i < hash_grads.size(); ++i) hash_grads[i] = wave(0.7 * static_cast<double>(i) + 1);
    session->set_weights(weights);
    upload(*session, session->grads(), grads.flat);
    upload(*session, session->hash_grads(), hash_grads);
    Sgd sgd(session.get(), {.momentum = 0.9, .clip_norm = 1.0, .freeze_blocks = freeze_blocks});

    std::vector<bool> frozen(weights.flat.size(), false);
    for (const ParamSpec& spec : weights.table->specs()) {
      if (freeze_blocks == 0 || spec.group != ParamGroup::kScalar || spec.name.find("blocks.0.") != 0) continue;
      for (int64_t i = spec.offset; i < spec.offset + spec.shape.numel(); ++i) frozen[i] = true;
    }
    double squares = 0;
    for (size_t i = 0; i < frozen.size(); ++i) squares += frozen[i] ? 0 : double(grads.flat[i]) * grads.flat[i];
    for (const float g : hash_grads) squares += double(g) * g;
    const double norm = std::sqrt(squares), clip = std::min(1.0, 1 / (norm + 1e-6));
    ASSERT_LT(clip, 1);

    double moved = 0;  // of the weight with gradient 1: lr b, with b = 1, 1.9, 2.71
    double buffer = 0;
    for (const double lr : {0.5, 0.25, 0.1}) {
      EXPECT_NEAR(sgd.step(lr), norm, norm * 1e-6);
      buffer = 0.9 * buffer + 1;
      moved += lr * buffer;
    }
    const ParamStore after = download(*session, session->weights());
    std::vector<float> hash(hash_grads.size());
    session->device().download(hash.data(), session->hash_table().data(), hash.size() * sizeof(float));
    for (size_t i = 0; i < frozen.size(); ++i) {
      const double expected = frozen[i] ? weights.flat[i] : weights.flat[i] - moved * clip * grads.flat[i];
      ASSERT_NEAR(after.flat[i], expected, frozen[i] ? 0 : 1e-7) << i;
    }
    for (size_t i = 0; i < hash.size(); ++i) ASSERT_NEAR(hash[i], -moved * clip * hash_grads[i], 1e-7) << i;
  }
}

}  // namespace
}  // namespace sixteen
