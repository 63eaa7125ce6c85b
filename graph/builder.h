// Builds a Graph: one method an op (op.h says what each computes), which CHECKs shapes and returns the output's id.
//
//   Builder b(DType::kF32);
//   ValueId x = b.input("x", {rows, 64}), w = b.weight("w", {32, 64}, b.state("grad.w", {32, 64}));
//   ValueId y = b.linear(x, w);
//   b.backward({{y, dy}});              // adds the gradient nodes; "grad.w" is added to
//   Graph g = b.finish();
//
// In a kBF16 graph activations (temporaries) are bf16; losses, log-sum-exps, norms and bound values are fp32 unless asked for
// otherwise: matrices and embeddings that products read are bound as bf16 copies of the fp32 weights (weight(..., kBF16)), with
// fp32 gradients. A gradient of an activation has its activation's type.
// Bites: both operands of a product must have one type. backward() differentiates every node recorded so far and must be called at most once, after the forward graph is complete.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "graph/graph.h"

namespace sixteen {

struct HeadLoss {
  ValueId nll, dx;
};

struct AttentionShape {
  int64_t heads, kv_heads, seq;
  int64_t query_rows;  // = seq, or fewer: only the last query_rows positions of each window have queries
};

class Builder {
 public:
  explicit Builder(DType dtype = DType::kF32);

  // Bound values.
  ValueId input(const std::string& name, Shape shape) { return input(name, shape, bound_dtype()); }
  ValueId input(const std::string& name, Shape shape, DType dtype);
  ValueId input_ids(const std::string& name, Shape shape);  // kI32
  ValueId weight(const std::string& name, Shape shape, ValueId gradient = kNoValue) {
    return weight(name, shape, gradient, bound_dtype());
  }
  ValueId weight(const std::string& name, Shape shape, ValueId gradient, DType dtype);
  ValueId state(const std::string& name, Shape shape) { return state(name, shape, bound_dtype()); }
  ValueId state(const std::string& name, Shape shape, DType dtype);
  // `shape` elements of `base` from element `offset` on. The view of a weight has the view of its gradient as its gradient.
  ValueId view(ValueId base, int64_t offset, Shape shape);
  void mark_output(ValueId value);

  // Forward ops.
  ValueId embedding(ValueId ids, ValueId table);
  ValueId bigram_hash(ValueId ids, int64_t buckets, int64_t multiplier, int64_t seq, bool own_previous);
  ValueId pair_hash(ValueId ids, int64_t buckets, int64_t seq);  // kBigramHash with xor_pairs
  ValueId tail_rows(ValueId x, int64_t seq, int64_t tail);
  ValueId matmul(ValueId a, ValueId b, bool ta, bool tb, bool bf16_result = true);  // false: fp32 in a kBF16 graph too
  ValueId linear(ValueId x, ValueId w) { return matmul(x, w, false, true); }  // x [R, in], w [out, in] -> [R, out]
  ValueId linear_add(ValueId x, ValueId a, ValueId w);                        // x [R, out] + a [R, in] w^T
  // LeakyReLU^2 of linear(x, w). keep_input: a gradient will be asked for.
  ValueId linear_leaky_relu_sq(ValueId x, ValueId w, double slope, bool keep_input);
  void add_gram(ValueId x, ValueId hessian);                                  // hessian (state) += x^T x
  ValueId scale(ValueId x, double alpha);
  ValueId scale_by(ValueId x, ValueId s, double alpha = 1);
  ValueId add_row(ValueId x, ValueId row);
  ValueId axpby(ValueId x, ValueId y, double alpha, double beta);
  ValueId rms_norm(ValueId x, double eps, double alpha = 1);
  ValueId residual_mix(ValueId x, ValueId x0, ValueId mix);
  // The norm of residual_mix(x, x0, mix), and the mix itself with keep_mix.
  struct MixNorm {
    ValueId normalised, mix;
  };
  MixNorm mix_norm(ValueId x, ValueId x0, ValueId mix, double eps, double alpha, bool keep_mix);
  // w [out, in] (bound) with the scales of its product's channels: linear(a, scale_rows(w, s)) = s linear(a, w).
  ValueId scale_rows(ValueId w, ValueId s);
  ValueId add_scaled(ValueId x, ValueId a, ValueId s);
  ValueId skip_gate(ValueId x, ValueId skip, ValueId w, ValueId gate);
  ValueId smear(ValueId x, ValueId gate, int64_t seq);
  ValueId lane_mix(ValueId lane, ValueId a, ValueId f, ValueId sa, ValueId sf, ValueId r, ValueId pa, ValueId pf);
  ValueId leaky_relu_sq(ValueId h, double slope);
  ValueId fake_quant(ValueId w, int64_t low);
  ValueId head_norm(ValueId x, ValueId cos, ValueId sin, ValueId gain /* or kNoValue */, int64_t heads, int64_t seq, double eps);
  // keys [1] i32: how many rows of k and v, of one window, there are at the time of a run; queries are the last of these.
  ValueId attention(ValueId q, ValueId k, ValueId v, const AttentionShape& shape, double scale, ValueId keys = kNoValue);
  // xsa of the attention's output. keep_along: a gradient will be asked for.
  ValueId attention_xsa(ValueId q, ValueId k, ValueId v, const AttentionShape& shape, double scale, bool keep_along);
  ValueId xsa(ValueId y, ValueId v, int64_t heads, int64_t kv_heads);
  ValueId head_gate(ValueId y, ValueId z, ValueId bias, int64_t heads);
  ValueId softcap(ValueId z, double cap);
  ValueId head_hints(ValueId x, ValueId table, ValueId targets, ValueId hints, double cap, bool round_bf16 = false);
  ValueId head_nll(ValueId x, ValueId table, ValueId targets, double cap, bool round_bf16 = false);
  // Forward and backward of the head in one: seeds backward() with {x, dx}. `table` needs no gradient of its own to be set;
  // when it has one, it is added to.
  HeadLoss head_loss(ValueId x, ValueId table, ValueId targets, ValueId row_weight, double cap);

  // Optimiser ops (no gradients).
  void fill(ValueId state, double value);
  void add_scaled_by(ValueId state, ValueId x, ValueId s, double alpha);  // state += alpha s x
  ValueId sum_squares(ValueId x);
  std::pair<ValueId, ValueId> clip_scale(ValueId sum_squares, double max_norm);  // coefficient, norm
  ValueId muon_direction(ValueId g, ValueId buffer, ValueId coefficient, ValueId momentum, bool row_norm, bool round_bf16);
  ValueId newton_schulz(ValueId u, int64_t steps, bool round_bf16);
  void muon_apply(ValueId w, ValueId u, ValueId lr, double weight_decay, double factor, bool round_bf16 = false);
  struct AdamW {
    double beta1, beta2, eps, weight_decay;
    bool round_bf16;
  };
  void adamw(ValueId p, ValueId g, ValueId m, ValueId v, ValueId coefficient, ValueId lr, ValueId bias1, ValueId bias2,
             const AdamW& options);
  void sgd(ValueId p, ValueId g, ValueId buffer, ValueId coefficient, ValueId lr, double momentum);
  void ema(ValueId e, ValueId w, double decay);
  void cast(ValueId y, ValueId x);  // y (state) = x, in y's dtype: the bf16 copies of weights

  // Adds the gradient nodes of everything recorded so far. Each seed is (value, its gradient). Weights that have a gradient
  // value get it added to; `wanted` are further values (inputs of tests) whose gradients are returned in order.
  std::vector<ValueId> backward(const std::vector<std::pair<ValueId, ValueId>>& seeds, const std::vector<ValueId>& wanted = {});

  const Graph& graph() const { return graph_; }
  Graph finish();  // moves the graph out

 private:
  friend class Autodiff;
  ValueId add_value(Value value);
  ValueId temp(Shape shape, DType dtype);
  ValueId temp(Shape shape) { return temp(shape, graph_.dtype_); }
  // Of bound values and of small sums: what fp32 stands for in a bf16 graph.
  DType bound_dtype() const { return graph_.dtype_ == DType::kBF16 ? DType::kF32 : graph_.dtype_; }
  DType dtype(ValueId id) const { return graph_.values_[id].dtype; }
  void add_node(Op op, Attrs attrs, std::vector<ValueId> in, std::vector<ValueId> out);
  const Shape& shape(ValueId id) const { return graph_.values_[id].shape; }

  Graph graph_;
  bool differentiated_ = false;
};

}  // namespace sixteen
