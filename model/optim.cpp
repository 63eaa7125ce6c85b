// The training optimiser (optim.h) as one graph over the flat buffers.
// Bites: alignment gaps are 0 in weights, gradients and state, so ranges may span them: 0 stays 0.
#include "model/optim.h"

#include <algorithm>
#include <cmath>

#include "formats/check.h"
#include "model/step_program.h"

namespace sixteen {
namespace {

// A range of the flat layout that one op updates: `n` matrices of one shape, or elements [begin, begin + count).
struct Run {
  ParamGroup group;
  int64_t begin = 0, count = 0;
  int64_t n = 0, rows = 0, cols = 0;
  bool small = false;  // a matrix that is no weight of a product: the loop-pass embedding
};

// Neighbouring tensors of one group become one run; matrices only while they have one shape and no gap between them.
std::vector<Run> group_runs(const ParamTable& table) {
  std::vector<Run> runs;
  for (const ParamSpec& spec : table.specs()) {
    const int64_t count = spec.shape.numel();
    Run* last = runs.empty() || runs.back().group != spec.group ? nullptr : &runs.back();
    if (spec.group == ParamGroup::kMatrix) {
      CHECK(spec.shape.rank() == 2);
      if (last != nullptr && last->rows == spec.shape[0] && last->cols == spec.shape[1] &&
          spec.offset == last->begin + last->count) {
        last->count += count;
        ++last->n;
      } else {
        runs.push_back({spec.group, spec.offset, count, 1, spec.shape[0], spec.shape[1], spec.quant == QuantClass::kSmall});
      }
    } else if (last != nullptr) {
      last->count = spec.offset + count - last->begin;
    } else {
      runs.push_back({.group = spec.group, .begin = spec.offset, .count = count});
    }
  }
  return runs;
}

enum Scalar { kMatrixLr, kTokenLr, kHeadLr, kScalarLr, kMomentum, kBias1, kBias2, kScalars };

// Records the update of every run; see the order in optim.h.
class StepBuilder {
 public:
  // bf16_copy: the weights' copy for bf16 graphs is renewed as well.
  StepBuilder(const ParamTable& table, const OptimConfig& config, bool bf16_copy) : config_(config), flat_(table.flat_size()) {
    const auto [coefficient, norm] = b_.clip_scale(b_.sum_squares(grads_), bound_or_none(config.clip_norm));
    b_.mark_output(norm);
    coefficient_ = coefficient;
    norm_ = norm;
    for (const ParamGroup group : {ParamGroup::kToken, ParamGroup::kHead, ParamGroup::kMatrix, ParamGroup::kScalar}) {
      for (const Run& run : group_runs(table)) {
        if (run.group == group) group == ParamGroup::kMatrix ? muon(run) : adamw(run);
      }
    }
    if (bf16_copy) b_.cast(b_.state("weights.bf16", {flat_}, DType::kBF16), weights_);
    if (config.ema_decay > 0) b_.ema(b_.state("ema", {flat_}), weights_, config.ema_decay);
  }

  ValueId norm() const { return norm_; }
  Graph finish() { return b_.finish(); }

 private:
  ValueId scalar(Scalar which) { return b_.view(scalars_, which, {1}); }

  void muon(const Run& run) {
    const Shape bank{run.n, run.rows, run.cols};
    const auto part = [&](ValueId base) { return b_.view(base, run.begin, bank); };
    const bool by_bank = config_.muon_shape == "bank";
    const double over = static_cast<double>(by_bank ? run.n : run.rows);
    const double under = static_cast<double>(by_bank ? run.rows : run.cols);
    const bool bf16_weight = config_.token_bf16 && run.small;
    const ValueId direction = b_.muon_direction(part(grads_), part(moment1_), coefficient_, scalar(kMomentum),
                                                config_.row_norm, config_.momentum_bf16 || bf16_weight);
    const ValueId update = b_.newton_schulz(direction, config_.ns_steps, config_.muon_bf16);
    b_.muon_apply(part(weights_), update, scalar(kMatrixLr), config_.matrix_wd, std::sqrt(std::max(1.0, over / under)),
                  bf16_weight);
  }

  void adamw(const Run& run) {
    const auto part = [&](ValueId base) { return b_.view(base, run.begin, {run.count}); };
    const bool token = run.group == ParamGroup::kToken, head = run.group == ParamGroup::kHead;
    b_.adamw(part(weights_), part(grads_), part(moment1_), part(moment2_), coefficient_,
             scalar(token ? kTokenLr : head ? kHeadLr : kScalarLr), scalar(kBias1), scalar(kBias2),
             {.beta1 = config_.beta1,
              .beta2 = config_.beta2,
              .eps = config_.eps,
              .weight_decay = token || head ? config_.token_wd : config_.scalar_wd,
              .round_bf16 = token && config_.token_bf16});
  }

  const OptimConfig& config_;
  const int64_t flat_;
  Builder b_;
  ValueId grads_ = b_.input("grads", {flat_}), scalars_ = b_.input("scalars", {kScalars});
  ValueId weights_ = b_.state("weights", {flat_});
  ValueId moment1_ = b_.state("moment1", {flat_}), moment2_ = b_.state("moment2", {flat_});
  ValueId coefficient_ = kNoValue, norm_ = kNoValue;
};

}  // namespace

struct Optimizer::Impl {
  Impl(Session* session, const OptimConfig& config_in) : config(config_in) {
    Device& device = session->device();
    const size_t bytes = session->table().flat_size() * sizeof(float);
    moment1 = device.allocate(bytes);
    moment2 = device.allocate(bytes);
    std::vector<std::pair<std::string, Buffer>> bindings = {
        {"grads", session->grads()}, {"weights", session->weights()}, {"moment1", moment1}, {"moment2", moment2}};
    if (config.ema_decay > 0) {
      ema = device.allocate(bytes);
      std::vector<float> initial(session->table().flat_size());
      device.download(initial.data(), session->weights().data(), bytes);
      device.upload(ema.data(), initial.data(), bytes);
      bindings.emplace_back("ema", ema);
    }
    const Buffer bf16_copy = session->weights_bf16();
    if (bf16_copy.data() != nullptr) bindings.emplace_back("weights.bf16", bf16_copy);
    StepBuilder builder(session->table(), config, bf16_copy.data() != nullptr);
    const ValueId norm = builder.norm();
    program = std::make_unique<StepProgram>(&device, builder.finish(), norm, bindings);
  }

  OptimConfig config;
  Buffer moment1, moment2, ema;
  std::unique_ptr<StepProgram> program;
  int64_t steps_done = 0;
};

Optimizer::Optimizer(Session* session, const OptimConfig& config) : impl_(std::make_unique<Impl>(session, config)) {}
Optimizer::~Optimizer() = default;

double Optimizer::step(const Step& step) {
  const OptimConfig& c = impl_->config;
  const double t = static_cast<double>(++impl_->steps_done);
  std::vector<double> scalars(kScalars);
  scalars[kMatrixLr] = c.matrix_lr * step.lr_scale;
  scalars[kTokenLr] = c.token_lr * step.lr_scale;
  scalars[kHeadLr] = c.head_lr * step.lr_scale;
  scalars[kScalarLr] = c.scalar_lr * step.lr_scale;
  scalars[kMomentum] = step.momentum;
  scalars[kBias1] = 1 - std::pow(c.beta1, t);
  scalars[kBias2] = 1 - std::pow(c.beta2, t);
  return impl_->program->run(scalars);
}

std::vector<OpTime> Optimizer::profile(const MachineRates& rates) { return impl_->program->profile(rates); }

int64_t Optimizer::steps_done() const { return impl_->steps_done; }
Buffer Optimizer::moment1() { return impl_->moment1; }
Buffer Optimizer::moment2() { return impl_->moment2; }
Buffer Optimizer::ema() { return impl_->ema; }
void Optimizer::set_steps_done(int64_t steps) { impl_->steps_done = steps; }

}  // namespace sixteen
