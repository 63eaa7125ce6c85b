// See optim_graph.h.
#include "model/optim_graph.h"

#include <algorithm>
#include <cmath>

#include "formats/check.h"
#include "model/step_program.h"

namespace sixteen {

std::vector<OptimRun> optim_runs(const ParamTable& table) {
  std::vector<OptimRun> runs;
  for (const ParamSpec& spec : table.specs()) {
    const int64_t count = spec.shape.numel();
    OptimRun* last = runs.empty() || runs.back().group != spec.group ? nullptr : &runs.back();
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

std::vector<FlatRange> ranges_beside_banks(const std::vector<OptimRun>& runs, int64_t flat_size) {
  std::vector<FlatRange> ranges;
  int64_t at = 0;
  for (const OptimRun& run : runs) {
    if (!run.bank()) continue;
    if (run.begin > at) ranges.push_back({at, run.begin - at});
    at = run.begin + run.count;
  }
  if (flat_size > at) ranges.push_back({at, flat_size - at});
  return ranges;
}

ValueId OptimGraph::state(const std::string& name, Shape shape, DType dtype) {
  const auto [found, fresh] = states_.try_emplace(name, kNoValue);
  if (fresh) found->second = b_.state(name, shape, dtype);
  return found->second;
}

ValueId OptimGraph::scalar(OptimScalar which) { return b_.view(state("scalars", {kOptimScalars}), which, {1}); }

void OptimGraph::add_square_sum(int64_t index, int64_t count, ValueId x) {
  b_.cast(b_.view(state("sums", {count}), index, {1}), b_.sum_squares(x));
}

ValueId OptimGraph::clip(int64_t count) {
  const ValueId sums = state("sums", {count});
  ValueId sum = b_.view(sums, 0, {1});
  for (int64_t i = 1; i < count; ++i) sum = b_.axpby(sum, b_.view(sums, i, {1}), 1, 1);
  const auto [coefficient_now, norm] = b_.clip_scale(sum, bound_or_none(config_.clip_norm));
  b_.cast(coefficient(), coefficient_now);
  b_.mark_output(norm);
  return norm;
}

ValueId OptimGraph::muon_update(const OptimRun& run, ValueId grads, ValueId momentum) {
  const bool bf16_weight = config_.token_bf16 && run.small;
  const ValueId direction = b_.muon_direction(grads, momentum, coefficient(), scalar(kMomentum), config_.row_norm,
                                              config_.momentum_bf16 || bf16_weight);
  return b_.newton_schulz(direction, config_.ns_steps, config_.muon_bf16);
}

void OptimGraph::muon_apply(const OptimRun& run, ValueId update) {
  const bool by_bank = config_.muon_shape == "bank";
  const double over = static_cast<double>(by_bank ? run.n : run.rows);
  const double under = static_cast<double>(by_bank ? run.rows : run.cols);
  b_.muon_apply(b_.view(flat("weights"), run.begin, {run.n, run.rows, run.cols}), update, scalar(kMatrixLr), config_.matrix_wd,
                std::sqrt(std::max(1.0, over / under)), config_.token_bf16 && run.small);
}

void OptimGraph::muon(const OptimRun& run) {
  const Shape bank{run.n, run.rows, run.cols};
  muon_apply(run, muon_update(run, b_.view(flat("grads"), run.begin, bank), b_.view(flat("moment1"), run.begin, bank)));
}

void OptimGraph::adamw(const OptimRun& run) {
  const auto part = [&](const char* name) { return b_.view(flat(name), run.begin, {run.count}); };
  const bool token = run.group == ParamGroup::kToken, head = run.group == ParamGroup::kHead;
  b_.adamw(part("weights"), part("grads"), part("moment1"), part("moment2"), coefficient(),
           scalar(token ? kTokenLr : head ? kHeadLr : kScalarLr), scalar(kBias1), scalar(kBias2),
           {.beta1 = config_.beta1,
            .beta2 = config_.beta2,
            .eps = config_.eps,
            .weight_decay = token || head ? config_.token_wd : config_.scalar_wd,
            .round_bf16 = token && config_.token_bf16});
}

void OptimGraph::follow_weights(bool bf16_copy) {
  if (bf16_copy) b_.cast(state("weights.bf16", {flat_size_}, DType::kBF16), flat("weights"));
  if (config_.ema_decay > 0) b_.ema(flat("ema"), flat("weights"), config_.ema_decay);
}

}  // namespace sixteen
