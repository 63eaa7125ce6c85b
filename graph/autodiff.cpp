// Builder::backward: walks the recorded nodes in reverse and adds the gradient nodes of each.
//
// Bites: contributions to one gradient are added up in place (Attrs::add), and where a gradient passes through unchanged (the x
// of x + s a) the same memory is reused: by the time anything is added to it, every reader of the old meaning has run, because
// nodes execute in the order in which they are added here. Bound values are never reused that way.
#include <map>
#include <set>

#include "formats/check.h"
#include "graph/builder.h"

namespace sixteen {

class Autodiff {
 public:
  Autodiff(Builder& builder, const std::vector<ValueId>& wanted) : b_(builder), needs_(b_.graph_.values_.size(), false) {
    for (ValueId id : wanted) needs_[id] = true;
    for (size_t i = 0; i < needs_.size(); ++i) {
      if (value(static_cast<ValueId>(i)).gradient != kNoValue) needs_[i] = true;
    }
    for (const Node& node : b_.graph_.nodes_) {
      if (node.op == Op::kLinearLeakyReluSq && node.out.size() > 1) activations_[node.out[0]] = {node.out[1], node.attrs.alpha};
      if (node.op == Op::kScaleRows) matrices_.insert(node.out[0]);
      for (ValueId in : node.in) {
        if (!needs_[in]) continue;
        for (ValueId out : node.out) needs_[out] = true;
      }
    }
  }

  void seed(ValueId of, ValueId gradient) {
    CHECK(b_.shape(of) == b_.shape(gradient) && gradients_.count(of) == 0);
    gradients_[of] = gradient;
  }

  void run() {
    const std::vector<Node> forward = b_.graph_.nodes_;  // a copy: nodes are appended below
    for (auto node = forward.rbegin(); node != forward.rend(); ++node) {
      if (node->op == Op::kLinearLeakyReluSq) linear_leaky_relu_sq(*node);
      const bool done = node->op == Op::kHeadLoss || node->op == Op::kLinearLeakyReluSq;
      const auto found = done ? gradients_.end() : gradients_.find(node->out[0]);
      if (found != gradients_.end() && needs_[node->out[0]]) differentiate(*node, found->second);
    }
  }

  ValueId gradient_of(ValueId id) const {
    const auto found = gradients_.find(id);
    return found == gradients_.end() ? kNoValue : found->second;
  }

 private:
  struct Target {
    ValueId id;
    bool add;
  };

  Value& value(ValueId id) { return b_.graph_.values_[id]; }
  bool needs(ValueId id) const { return needs_[id]; }

  struct Activation {
    ValueId input;
    double slope;
  };

  // Where the gradient of an activation goes: its weight's gradient, the gradient begun earlier, or a fresh value. An input
  // that nobody asked about gets a value that nobody reads.
  Target target(ValueId of) {
    if (value(of).gradient != kNoValue) return {value(of).gradient, true};
    if (!needs(of)) return {b_.temp(b_.shape(of), value(of).dtype), false};
    const auto found = gradients_.find(of);
    if (found != gradients_.end()) return {found->second, true};
    // Matrices made from weights have gradients as wide as the weights': they are summed over all visits of a layer.
    const DType dtype = matrices_.count(of) != 0 ? b_.bound_dtype() : value(of).dtype;
    return {gradients_[of] = b_.temp(b_.shape(of), dtype), false};
  }

  // The same for outputs that kernels always add to (gradients of per-channel parameters).
  ValueId parameter_target(ValueId of) {
    const Target t = target(of);
    if (!t.add && needs(of)) b_.add_node(Op::kFill, {.alpha = 0}, {}, {t.id});
    return t.id;
  }

  // dy times alpha flows into `of`; dy's own memory is taken over when nothing else will need it.
  void pass(ValueId of, ValueId dy, double alpha, bool may_take) {
    if (!needs(of)) return;
    const bool plain_temp = value(dy).kind == ValueKind::kTemp && !value(dy).output;
    if (alpha == 1 && may_take && plain_temp && value(of).gradient == kNoValue && gradients_.count(of) == 0) {
      gradients_[of] = dy;
      return;
    }
    const Target t = target(of);
    b_.add_node(Op::kScale, {.add = t.add ? 1u : 0u, .alpha = alpha}, {dy}, {t.id});
  }

  // A gradient node whose first outputs are gradients of activations and whose last are gradients of parameters.
  void emit(Op op, Attrs attrs, std::vector<ValueId> in, const std::vector<ValueId>& activations,
            const std::vector<ValueId>& parameters = {}) {
    std::vector<ValueId> out;
    attrs.add = 0;
    for (ValueId id : activations) {
      const Target t = target(id);
      if (t.add) attrs.add |= 1u << out.size();
      out.push_back(t.id);
    }
    for (ValueId id : parameters) out.push_back(parameter_target(id));
    b_.add_node(op, attrs, std::move(in), std::move(out));
  }

  void matmul(const Node& node, ValueId dy) {
    const ValueId a = node.in[0], b = node.in[1];
    const bool ta = node.attrs.ta, tb = node.attrs.tb;
    if (needs(b)) {
      if (tb) emit(Op::kMatmul, {.ta = true, .tb = ta}, {dy, a}, {b});
      else emit(Op::kMatmul, {.ta = !ta, .tb = false}, {a, dy}, {b});
    }
    if (needs(a)) {
      const auto activation = activations_.find(a);
      // The gradient of LeakyReLU^2 itself is never stored: it goes straight through to the input.
      if (activation != activations_.end() && !ta && tb) {
        const auto [h, slope] = activation->second;
        emit(Op::kMatmulLeakyReluSqGrad, {.alpha = slope}, {dy, b, h}, {h});
      } else if (ta) emit(Op::kMatmul, {.ta = tb, .tb = true}, {b, dy}, {a});
      else emit(Op::kMatmul, {.ta = false, .tb = !tb}, {dy, b}, {a});
    }
  }

  void linear_leaky_relu_sq(const Node& node) {
    const auto dy = gradients_.find(node.out[0]);
    if (dy != gradients_.end()) {  // of uses other than in products
      CHECK(node.out.size() > 1);
      emit(Op::kLeakyReluSqGrad, {.alpha = node.attrs.alpha}, {node.out[1], dy->second}, {node.out[1]});
    }
    const auto dh = gradients_.find(node.out.back());
    if (dh != gradients_.end() && needs(node.out.back())) matmul(node, dh->second);
  }

  void mix_norm(const Node& node, ValueId dy) {
    std::vector<ValueId> in = {node.in[0], node.in[1], node.in[2], dy};
    const ValueId mix_gradient = node.out.size() > 1 ? gradient_of(node.out[1]) : kNoValue;
    if (mix_gradient != kNoValue) in.push_back(mix_gradient);
    emit(Op::kMixNormGrad, node.attrs, in, {node.in[0], node.in[1]}, {node.in[2]});
  }

  void differentiate(const Node& node, ValueId dy);

  Builder& b_;
  std::vector<bool> needs_;
  std::map<ValueId, ValueId> gradients_;
  std::map<ValueId, Activation> activations_;  // outputs of kLinearLeakyReluSq
  std::set<ValueId> matrices_;                 // outputs of kScaleRows
};

void Autodiff::differentiate(const Node& node, ValueId dy) {
  const std::vector<ValueId>& in = node.in;
  switch (node.op) {
    case Op::kEmbedding:
      if (needs(in[1])) emit(Op::kEmbeddingGrad, node.attrs, {in[0], dy}, {}, {in[1]});
      return;
    case Op::kMatmul: return matmul(node, dy);
    case Op::kLinearAdd:
      matmul(node, dy);
      return pass(in[2], dy, 1, true);
    case Op::kMixNorm: return mix_norm(node, dy);
    case Op::kScaleRows: return emit(Op::kScaleRowsGrad, node.attrs, {in[0], in[1], dy}, {in[0]}, {in[1]});
    case Op::kScale: return pass(in[0], dy, node.attrs.alpha, true);
    case Op::kScaleBy: return emit(Op::kScaleByGrad, node.attrs, {in[0], in[1], dy}, {in[0]}, {in[1]});
    case Op::kAddRow:
      emit(Op::kAddRowGrad, node.attrs, {dy}, {}, {in[1]});
      return pass(in[0], dy, 1, true);
    case Op::kAxpby:
      pass(in[1], dy, node.attrs.beta, false);
      return pass(in[0], dy, node.attrs.alpha, true);
    case Op::kRmsNorm: return emit(Op::kRmsNormGrad, node.attrs, {in[0], dy}, {in[0]});
    case Op::kResidualMix: return emit(Op::kResidualMixGrad, node.attrs, {in[0], in[1], in[2], dy}, {in[0], in[1]}, {in[2]});
    case Op::kAddScaled:
      emit(Op::kAddScaledGrad, node.attrs, {in[1], in[2], dy}, {in[1]}, {in[2]});
      return pass(in[0], dy, 1, true);
    case Op::kSkipGate:
      return emit(Op::kSkipGateGrad, node.attrs, {in[0], in[1], in[2], in[3], dy}, {in[0], in[1]}, {in[2], in[3]});
    case Op::kSmear: return emit(Op::kSmearGrad, node.attrs, {in[0], in[1], dy}, {in[0]}, {in[1]});
    case Op::kLaneMix: {
      std::vector<ValueId> all = in;
      all.push_back(dy);
      return emit(Op::kLaneMixGrad, node.attrs, all, {in[0], in[1], in[2]}, {in[3], in[4], in[5], in[6], in[7]});
    }
    case Op::kLeakyReluSq: return emit(Op::kLeakyReluSqGrad, node.attrs, {in[0], dy}, {in[0]});
    case Op::kFakeQuant: return pass(in[0], dy, 1, true);
    case Op::kHeadGate:
      return emit(Op::kHeadGateGrad, node.attrs, {in[0], in[1], in[2], dy}, {in[0], in[1]}, {in[2]});
    case Op::kHeadNorm:
      if (in.size() == 3) return emit(Op::kHeadNormGrad, node.attrs, {in[0], in[1], in[2], dy}, {in[0]});
      return emit(Op::kHeadNormGrad, node.attrs, {in[0], in[1], in[2], in[3], dy}, {in[0]}, {in[3]});
    case Op::kAttention:
      CHECK(node.attrs.query_rows == node.attrs.seq && in.size() == 3);
      return emit(Op::kAttentionGrad, node.attrs, {in[0], in[1], in[2], node.out[0], node.out[1], dy}, {in[0], in[1], in[2]});
    case Op::kAttentionXsa:
      CHECK(node.attrs.query_rows == node.attrs.seq && node.out.size() == 3);
      return emit(Op::kAttentionXsaGrad, node.attrs, {in[0], in[1], in[2], node.out[0], node.out[1], dy, node.out[2]},
                  {in[0], in[1], in[2]});
    case Op::kXsa: return emit(Op::kXsaGrad, node.attrs, {in[0], in[1], dy}, {in[0], in[1]});
    case Op::kSoftcap: return emit(Op::kSoftcapGrad, node.attrs, {in[0], dy}, {in[0]});
    case Op::kEmbeddingGrad: case Op::kBigramHash: case Op::kTailRows: case Op::kFill: case Op::kScaleByGrad: case Op::kAddRowGrad:
    case Op::kLinearLeakyReluSq: case Op::kMatmulLeakyReluSqGrad: case Op::kMixNormGrad: case Op::kScaleRowsGrad:
    case Op::kRmsNormGrad: case Op::kSmearGrad: case Op::kHeadGateGrad:
    case Op::kResidualMixGrad: case Op::kAddScaledGrad: case Op::kSkipGateGrad: case Op::kLaneMixGrad: case Op::kLeakyReluSqGrad:
    case Op::kHeadNormGrad: case Op::kAttentionGrad: case Op::kAttentionXsaGrad: case Op::kXsaGrad: case Op::kSoftcapGrad: case Op::kHeadNll: case Op::kHeadHints:
    case Op::kHeadLoss: case Op::kSumSquares: case Op::kClipScale: case Op::kMuonDirection: case Op::kNewtonSchulz:
    case Op::kMuonApply: case Op::kAdamW: case Op::kSgd: case Op::kEma: case Op::kCast:
      CHECK(false);  // no gradient is defined
  }
}

std::vector<ValueId> Builder::backward(const std::vector<std::pair<ValueId, ValueId>>& seeds, const std::vector<ValueId>& wanted) {
  CHECK(!differentiated_);
  differentiated_ = true;
  Autodiff autodiff(*this, wanted);
  for (const auto& [of, gradient] : seeds) autodiff.seed(of, gradient);
  autodiff.run();
  std::vector<ValueId> gradients;
  for (ValueId id : wanted) {
    gradients.push_back(autodiff.gradient_of(id));
    if (gradients.back() != kNoValue && graph_.value(gradients.back()).kind == ValueKind::kTemp) mark_output(gradients.back());
  }
  return gradients;
}

}  // namespace sixteen
