// The optimiser ops of Builder: they update kState values in place and have no gradients.
#include "formats/check.h"
#include "graph/builder.h"

namespace sixteen {

void Builder::fill(ValueId state, double value) {
  CHECK(graph_.value(graph_.base_of(state)).kind == ValueKind::kState);
  add_node(Op::kFill, {.alpha = value}, {}, {state});
}

void Builder::add_scaled_by(ValueId state, ValueId x, ValueId s, double alpha) {
  CHECK(shape(state).numel() == shape(x).numel() && shape(s).numel() == 1);
  add_node(Op::kScaleBy, {.alpha = alpha}, {x, s}, {state});
}

ValueId Builder::sum_squares(ValueId x) {
  const ValueId sum = temp({1}, bound_dtype());
  add_node(Op::kSumSquares, {}, {x}, {sum});
  return sum;
}

std::pair<ValueId, ValueId> Builder::clip_scale(ValueId sum, double max_norm) {
  CHECK(shape(sum).numel() == 1);
  const ValueId coefficient = temp({1}, bound_dtype()), norm = temp({1}, bound_dtype());
  add_node(Op::kClipScale, {.alpha = max_norm}, {sum}, {coefficient, norm});
  return {coefficient, norm};
}

ValueId Builder::muon_direction(ValueId g, ValueId buffer, ValueId coefficient, ValueId momentum, bool row_norm, bool round_bf16) {
  CHECK(shape(g).rank() == 3 && shape(g) == shape(buffer));
  const ValueId u = temp(shape(g), bound_dtype());
  add_node(Op::kMuonDirection, {.round_bf16 = round_bf16, .row_norm = row_norm}, {g, coefficient, momentum}, {u, buffer});
  return u;
}

ValueId Builder::newton_schulz(ValueId u, int64_t steps, bool round_bf16) {
  CHECK(shape(u).rank() == 3);
  const ValueId out = temp(shape(u), bound_dtype());
  add_node(Op::kNewtonSchulz, {.round_bf16 = round_bf16, .steps = steps}, {u}, {out});
  return out;
}

void Builder::muon_apply(ValueId w, ValueId u, ValueId lr, double weight_decay, double factor, bool round_bf16) {
  CHECK(shape(w).numel() == shape(u).numel());
  add_node(Op::kMuonApply, {.alpha = factor, .weight_decay = weight_decay, .round_bf16 = round_bf16}, {u, lr}, {w});
}

void Builder::adamw(ValueId p, ValueId g, ValueId m, ValueId v, ValueId coefficient, ValueId lr, ValueId bias1, ValueId bias2,
                    const AdamW& o) {
  CHECK(shape(p).numel() == shape(g).numel() && shape(p).numel() == shape(m).numel() && shape(p).numel() == shape(v).numel());
  add_node(Op::kAdamW,
           {.beta = o.beta1, .beta2 = o.beta2, .eps = o.eps, .weight_decay = o.weight_decay, .round_bf16 = o.round_bf16},
           {g, coefficient, lr, bias1, bias2}, {p, m, v});
}

void Builder::sgd(ValueId p, ValueId g, ValueId buffer, ValueId coefficient, ValueId lr, double momentum) {
  CHECK(shape(p).numel() == shape(g).numel() && shape(p).numel() == shape(buffer).numel());
  add_node(Op::kSgd, {.beta = momentum}, {g, coefficient, lr}, {p, buffer});
}

void Builder::ema(ValueId e, ValueId w, double decay) {
  CHECK(shape(e).numel() == shape(w).numel());
  add_node(Op::kEma, {.alpha = decay}, {w}, {e});
}

void Builder::cast(ValueId y, ValueId x) {
  CHECK(shape(y).numel() == shape(x).numel() && graph_.value(graph_.base_of(y)).kind == ValueKind::kState);
  add_node(Op::kCast, {}, {x}, {y});
}

}  // namespace sixteen
