// The training optimiser (optim.h): one graph for a run of one rank, the shared step of optim_ranks.h for several.
#include "model/optim.h"

#include <algorithm>
#include <cmath>

#include "formats/check.h"
#include "model/optim_graph.h"
#include "model/optim_ranks.h"
#include "model/step_program.h"

namespace sixteen {
namespace {

// Records everything; see the order in optim.h.
class WholeStep {
 public:
  // bf16_copy: the weights' copy for bf16 graphs is renewed as well.
  WholeStep(const ParamTable& table, const OptimConfig& config, bool bf16_copy, bool measure_norm)
      : graph_(config, table.flat_size()), runs_(optim_runs(table)) {
    if (measure_norm) measure(ranges_beside_banks(runs_, table.flat_size()));
    for (const ParamGroup group : {ParamGroup::kToken, ParamGroup::kHead, ParamGroup::kMatrix, ParamGroup::kScalar}) {
      for (const OptimRun& run : runs_) {
        if (run.group == group) group == ParamGroup::kMatrix ? graph_.muon(run) : graph_.adamw(run);
      }
    }
    graph_.follow_weights(bf16_copy);
  }

  int64_t norm_parts() const { return norm_parts_; }
  ValueId norm() const { return norm_; }
  Graph finish() { return graph_.finish(); }

 private:
  // In the parts that ranks would share: the same bits as theirs.
  void measure(const std::vector<FlatRange>& rest) {
    std::vector<FlatRange> parts;
    for (const OptimRun& run : runs_) {
      for (int64_t i = 0; run.bank() && i < run.n; ++i) parts.push_back({run.begin + i * run.matrix(), run.matrix()});
    }
    parts.insert(parts.end(), rest.begin(), rest.end());
    norm_parts_ = static_cast<int64_t>(parts.size());
    for (int64_t i = 0; i < norm_parts_; ++i) {
      const FlatRange& part = parts[static_cast<size_t>(i)];
      graph_.add_square_sum(i, norm_parts_, graph_.builder().view(graph_.flat("grads"), part.begin, {part.count}));
    }
    norm_ = graph_.clip(norm_parts_);
  }

  OptimGraph graph_;
  std::vector<OptimRun> runs_;
  int64_t norm_parts_ = 0;
  ValueId norm_ = kNoValue;
};

}  // namespace

struct Optimizer::Impl {
  Impl(Session* session, const OptimConfig& config_in, bool measure_norm) : config(config_in), device(session->device()) {
    const size_t bytes = session->table().flat_size() * sizeof(float);
    moment1 = device.allocate(bytes);
    moment2 = device.allocate(bytes);
    scalars = device.allocate(kOptimScalars * sizeof(float));
    const Buffer coefficient = device.allocate(sizeof(float));
    const float one = 1;
    device.upload(coefficient.data(), &one, sizeof one);
    std::vector<std::pair<std::string, Buffer>> bindings = {
        {"grads", session->grads()}, {"weights", session->weights()}, {"moment1", moment1},
        {"moment2", moment2},        {"scalars", scalars},            {"coefficient", coefficient}};
    if (config.ema_decay > 0) {
      ema = device.allocate(bytes);
      std::vector<float> initial(session->table().flat_size());
      device.download(initial.data(), session->weights().data(), bytes);
      device.upload(ema.data(), initial.data(), bytes);
      bindings.emplace_back("ema", ema);
    }
    const Buffer bf16_copy = session->weights_bf16();
    if (bf16_copy.data() != nullptr) bindings.emplace_back("weights.bf16", bf16_copy);
    if (device.ranks().size() > 1) {
      ranked = std::make_unique<RankedStep>(session, config, bindings, measure_norm);
      return;
    }
    WholeStep whole(session->table(), config, bf16_copy.data() != nullptr, measure_norm);
    bindings.emplace_back("sums", device.allocate(std::max<int64_t>(whole.norm_parts(), 1) * sizeof(float)));
    const ValueId norm = whole.norm();
    measures = measure_norm;
    program = std::make_unique<StepProgram>(&device, whole.finish(), norm, bindings);
  }

  double run(const std::vector<float>& values) {
    device.upload(scalars.data(), values.data(), values.size() * sizeof(float));
    if (ranked != nullptr) {
      ranked->run();
      return ranked->norm();
    }
    program->enqueue();
    return measures ? program->norm() : 0;
  }

  const OptimConfig config;
  Device& device;
  Buffer moment1, moment2, ema, scalars;
  bool measures = false;
  std::unique_ptr<StepProgram> program;  // of one rank
  std::unique_ptr<RankedStep> ranked;    // or of several
  int64_t steps_done = 0;
};

Optimizer::Optimizer(Session* session, const OptimConfig& config, bool measure_norm)
    : impl_(std::make_unique<Impl>(session, config, measure_norm)) {}
Optimizer::~Optimizer() = default;

double Optimizer::step(const Step& step) {
  const OptimConfig& c = impl_->config;
  const double t = static_cast<double>(++impl_->steps_done);
  std::vector<float> scalars(kOptimScalars);
  scalars[kMatrixLr] = static_cast<float>(c.matrix_lr * step.lr_scale);
  scalars[kTokenLr] = static_cast<float>(c.token_lr * step.lr_scale);
  scalars[kHeadLr] = static_cast<float>(c.head_lr * step.lr_scale);
  scalars[kScalarLr] = static_cast<float>(c.scalar_lr * step.lr_scale);
  scalars[kMomentum] = static_cast<float>(step.momentum);
  scalars[kBias1] = static_cast<float>(1 - std::pow(c.beta1, t));
  scalars[kBias2] = static_cast<float>(1 - std::pow(c.beta2, t));
  return impl_->run(scalars);
}

std::vector<OpTime> Optimizer::profile(const MachineRates& rates) {
  return impl_->ranked != nullptr ? impl_->ranked->profile(rates) : impl_->program->profile(rates);
}

void Optimizer::gather_state() {
  if (impl_->ranked != nullptr) impl_->ranked->gather_momentum(impl_->moment1);
}

void Optimizer::set_mute(bool mute) {
  if (impl_->ranked != nullptr) impl_->ranked->set_mute(mute);
}

int64_t Optimizer::wire_bytes() const { return impl_->ranked != nullptr ? impl_->ranked->wire_bytes() : 0; }

int64_t Optimizer::steps_done() const { return impl_->steps_done; }
Buffer Optimizer::moment1() { return impl_->moment1; }
Buffer Optimizer::moment2() { return impl_->moment2; }
Buffer Optimizer::ema() { return impl_->ema; }
void Optimizer::set_steps_done(int64_t steps) { impl_->steps_done = steps; }

}  // namespace sixteen
