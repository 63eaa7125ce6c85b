// Norm, attention and MLP of one layer.
#include "model/block.h"

#include <algorithm>
#include <cmath>

#include "formats/check.h"

namespace sixteen {

Blocks::Blocks(const ModelConfig& config, const ParamTable& table, const BuildOptions& options, bool keep_activations)
    : config_(config), table_(table), options_(options), keep_activations_(keep_activations), b_(options.dtype) {
  const Shape flat{table.flat_size()}, rope{options.seq, config.rope.dims / 2};
  ids_ = b_.input_ids("ids", {options.lead + options.windows * options.seq});
  cos_ = b_.input("rope.cos", rope);
  sin_ = b_.input("rope.sin", rope);
  const ValueId gradients = options.mode == Mode::kTrain ? b_.state("grads", flat) : kNoValue;
  weights_ = b_.weight("weights", flat, gradients);
  operands_ = options.dtype == DType::kBF16 ? b_.weight("weights.bf16", flat, gradients, DType::kBF16) : weights_;
}

ValueId Blocks::weight(const std::string& name) {
  const auto found = views_.find(name);
  if (found != views_.end()) return found->second;
  return views_[name] = weight_part(name, 0, table_.at(name).shape);
}

ValueId Blocks::operand(const std::string& name) {
  const ParamSpec& spec = table_.at(name);
  const auto [found, fresh] = operand_views_.emplace(name, kNoValue);
  if (fresh) found->second = b_.view(operands_, spec.offset, spec.shape);
  return found->second;
}

ValueId Blocks::weight_part(const std::string& name, int64_t first, Shape shape) {
  const ParamSpec& spec = table_.at(name);
  CHECK(first + shape.numel() <= spec.shape.numel());
  return b_.view(weights_, spec.offset + first, shape);
}

double Blocks::norm_scale(int64_t layer) const {
  return config_.ln_scale ? 1 / std::sqrt(static_cast<double>(layer + 1)) : 1;
}

ValueId Blocks::normalised_heads(ValueId x, ValueId gain, int64_t heads, int64_t rows) {
  const Shape table{rows, config_.rope.dims / 2};
  const int64_t first = (options_.seq - rows) * table[1];  // the tables' rows are positions
  return b_.head_norm(x, b_.view(cos_, first, table), b_.view(sin_, first, table), gain, heads, rows, kNormEps);
}

ValueId Blocks::quantised(const std::string& name, FakeQuantConfig::Scope from) {
  if (options_.mode != Mode::kTrain || options_.fake_quant.scope < from) return operand(name);
  const auto [found, fresh] = quantised_.emplace(name, kNoValue);
  if (fresh) found->second = b_.fake_quant(weight(name), options_.fake_quant.low);
  return found->second;
}

ValueId Blocks::projected(ValueId x, const std::string& name) {
  if (table_.find(name) == nullptr) return x;
  return b_.linear(x, quantised(name, FakeQuantConfig::Scope::kProjections));
}

ValueId Blocks::value_embedding(size_t index) {
  if (value_embedding_ == kNoValue) {
    const ValueId ids = options_.lead > 0 ? b_.view(ids_, options_.lead, {options_.seq}) : ids_;
    const ValueId rows = b_.embedding(ids, operand("ve_shared.embed.weight"));
    value_embedding_ = b_.scale_by(projected(rows, "ve_shared.proj.weight"), weight("ve_shared.scale"));
  }
  return b_.scale_by(value_embedding_, weight("ve_layer_scales." + std::to_string(index)));
}

ValueId Blocks::values(int64_t layer, ValueId u) {
  ValueId v = b_.linear(u, matrix(layer, "attn.c_v.weight"));
  const std::vector<int64_t>& readers = config_.value_embedding.layers;
  const auto reader = std::find(readers.begin(), readers.end(), layer);
  if (reader != readers.end()) v = b_.axpby(v, value_embedding(static_cast<size_t>(reader - readers.begin())), 1, 1);
  if (!config_.value_residual) return v;
  if (layer == 0) {
    if (first_values_ == kNoValue) first_values_ = v;
    return v;
  }
  const std::string lambda = name(layer, "attn.vr_lambda");
  return b_.axpby(b_.scale_by(first_values_, weight_part(lambda, 0, {1})), b_.scale_by(v, weight_part(lambda, 1, {1})), 1, 1);
}

ValueId Blocks::cached(const std::string& name, ValueId x) {
  const int64_t width = b_.graph().value(x).shape[1];
  const DType dtype = b_.graph().value(x).dtype;
  b_.cast(b_.state(name + ".new", {options_.seq, width}, dtype), x);
  return b_.state(name, {options_.cache_rows, width}, dtype);
}

// In a bf16 graph XSA is part of the attention, which saves the training step a tensor a layer and two passes; in an fp32 graph it
// stands alone, so that its gradient has y itself.
ValueId Blocks::attend(int64_t layer, ValueId q, ValueId k, ValueId v, int64_t tail) {
  const double scale = 1 / std::sqrt(static_cast<double>(config_.head_dim()));
  const AttentionShape shape{config_.heads, config_.kv_heads, options_.cache_rows > 0 ? options_.cache_rows : options_.seq, tail};
  const bool xsa = layer >= config_.layers - config_.xsa_last_n, cache = options_.cache_rows > 0;
  if (xsa && !cache && options_.dtype == DType::kBF16) {
    return b_.attention_xsa(q, k, v, shape, scale, options_.mode == Mode::kTrain);
  }
  if (cache && keys_ == kNoValue) keys_ = b_.input_ids("keys", {1});
  const std::string visit = cache ? std::to_string(visits_++) : "";
  const ValueId y = cache ? b_.attention(q, cached("cache.k." + visit, k), cached("cache.v." + visit, v), shape, scale, keys_)
                          : b_.attention(q, k, v, shape, scale);
  return xsa ? b_.xsa(y, tail_rows(v, tail), config_.heads, config_.kv_heads) : y;
}

ValueId Blocks::attention_heads(int64_t layer, ValueId u, int64_t tail) {
  tap_hessian(name(layer, "attn.c_q.weight"), u);
  const int64_t heads = config_.heads, kv_heads = config_.kv_heads, seq = options_.seq;
  const ValueId u_tail = tail_rows(u, tail);
  ValueId q = b_.linear(u_tail, matrix(layer, "attn.c_q.weight"));
  ValueId k = b_.linear(u, matrix(layer, "attn.c_k.weight"));
  const ValueId v = values(layer, u);
  q = normalised_heads(q, layer_weight(layer, "attn.q_gain"), heads, tail);
  k = normalised_heads(k, kNoValue, kv_heads, seq);
  ValueId y = attend(layer, q, k, v, tail);
  if (config_.gated_attention) {
    const ValueId gate = b_.linear(u_tail, operand(name(layer, "attn.attn_gate.weight")));
    y = b_.head_gate(y, gate, layer_weight(layer, "attn.attn_gate.bias"), heads);
  }
  tap_hessian(name(layer, "attn.proj.weight"), y);
  return y;
}

ValueId Blocks::mlp_hidden(int64_t layer, ValueId u) {
  tap_hessian(name(layer, "mlp.fc.weight"), u);
  const ValueId h =
      b_.linear_leaky_relu_sq(u, matrix(layer, "mlp.fc.weight"), config_.mlp_slope, options_.mode == Mode::kTrain);
  tap_hessian(name(layer, "mlp.proj.weight"), h);
  return h;
}

// In training the scales become part of the matrix: no pass over the activations is left of them, forward or backward. Fake
// quantisation wants the matrix as it is, whoever looks at activations wants the product alone, and a score of few rows would pay
// for the matrix each time.
ValueId Blocks::add_product(int64_t layer, ValueId x, ValueId a, const char* matrix_name, const char* scale) {
  const bool quantises = options_.fake_quant.scope >= FakeQuantConfig::Scope::kMatrices;
  if (options_.mode != Mode::kTrain || quantises || keep_activations_) {
    return b_.add_scaled(x, keep(b_.linear(a, matrix(layer, matrix_name))), layer_weight(layer, scale));
  }
  const auto [found, fresh] = scaled_.emplace(name(layer, matrix_name), kNoValue);
  if (fresh) found->second = b_.scale_rows(layer_weight(layer, matrix_name), layer_weight(layer, scale));
  return b_.linear_add(x, a, found->second);
}

void Blocks::tap_hessian(const std::string& weight, ValueId x) {
  if (options_.mode != Mode::kCalib) return;
  const auto [found, fresh] = hessians_.emplace(weight, kNoValue);
  const int64_t cols = table_.at(weight).shape[1];
  if (fresh) found->second = b_.state("hessian." + weight, {cols, cols});
  b_.add_gram(x, found->second);
}

ValueId Blocks::keep(ValueId x) {
  if (keep_activations_) {
    b_.mark_output(x);
    activations_.push_back(x);
  }
  return x;
}

}  // namespace sixteen
