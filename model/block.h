// The sublayers of one layer as graph pieces: norm, attention, MLP (spec_1584 3.2, 3.6, 3.7), with the taps that
// calibration and tests put on their inputs and outputs. transformer.cpp says how they are put together.
//
// Bites: a layer that is visited several times shares its weight views and its Hessians. With a tail the attention
// answers for the last `tail` rows of each window only, but reads keys and values of all.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "graph/builder.h"
#include "model/transformer.h"

namespace sixteen {

class Blocks {
 public:
  Blocks(const ModelConfig& config, const ParamTable& table, const BuildOptions& options, bool keep_activations);

  Builder& builder() { return b_; }
  ValueId ids() const { return ids_; }
  std::vector<ValueId>& activations() { return activations_; }

  // A whole tensor of the parameter table, or `shape` elements of it from element `first` on.
  ValueId weight(const std::string& name);
  // The same as products and embeddings read it: from the bf16 copy in a bf16 graph.
  ValueId operand(const std::string& name);
  ValueId weight_part(const std::string& name, int64_t first, Shape shape);
  static std::string name(int64_t layer, const char* tensor) {
    return "blocks." + std::to_string(layer) + "." + tensor;
  }
  ValueId layer_weight(int64_t layer, const char* tensor) { return weight(name(layer, tensor)); }
  // x [R, in] -> [R, out] through a small projection; x itself where the model has none of that name.
  ValueId projected(ValueId x, const std::string& name);
  // A matrix of a layer, fake-quantised where the options say so.
  ValueId matrix(int64_t layer, const char* tensor) {
    return quantised(name(layer, tensor), FakeQuantConfig::Scope::kMatrices);
  }

  // x [R, dim] -> rms(x), for layer norms times 1/sqrt(layer + 1).
  ValueId norm(ValueId x) { return b_.rms_norm(x, kNormEps); }
  ValueId layer_norm(int64_t layer, ValueId x) { return b_.rms_norm(x, kNormEps, norm_scale(layer)); }
  // The same of the layer's mix of x and x0, and the mix itself with keep_mix.
  Builder::MixNorm mixed_norm(int64_t layer, ValueId x, ValueId x0, bool keep_mix) {
    return b_.mix_norm(x, x0, layer_weight(layer, "resid_mix"), kNormEps, norm_scale(layer), keep_mix);
  }
  // u [windows*seq, dim] -> [windows*tail, dim]. Layers come in order of visit: layer 0's values serve the others.
  ValueId attention(int64_t layer, ValueId u, int64_t tail) {
    return keep(b_.linear(attention_heads(layer, u, tail), matrix(layer, "attn.proj.weight")));
  }
  // u [R, dim] -> [R, dim].
  ValueId mlp(int64_t layer, ValueId u) { return keep(b_.linear(mlp_hidden(layer, u), matrix(layer, "mlp.proj.weight"))); }
  // x plus a sublayer's output times its channels' scales.
  ValueId add_attention(int64_t layer, ValueId x, ValueId u, int64_t tail) {
    return add_product(layer, x, attention_heads(layer, u, tail), "attn.proj.weight", "attn_scale");
  }
  ValueId add_mlp(int64_t layer, ValueId x, ValueId u) {
    return add_product(layer, x, mlp_hidden(layer, u), "mlp.proj.weight", "mlp_scale");
  }
  // The last `tail` rows of each window; x itself when that is all.
  ValueId tail_rows(ValueId x, int64_t tail) { return tail == options_.seq ? x : b_.tail_rows(x, options_.seq, tail); }

  void tap_hessian(const std::string& weight, ValueId x);  // kCalib: hessian.WEIGHT += x^T x
  ValueId keep(ValueId x);                                 // remembers x as an activation to be looked at

 private:
  double norm_scale(int64_t layer) const;
  ValueId attention_heads(int64_t layer, ValueId u, int64_t tail);  // what the output projection reads
  ValueId mlp_hidden(int64_t layer, ValueId u);                     // what the MLP's second matrix reads
  ValueId add_product(int64_t layer, ValueId x, ValueId a, const char* matrix, const char* scale);
  ValueId quantised(const std::string& name, FakeQuantConfig::Scope from);
  ValueId values(int64_t layer, ValueId u);  // v of a layer: projected, value embedding and value residual included
  ValueId value_embedding(size_t index);     // of the index-th layer that reads it
  // x [windows*rows, heads*head_dim], the last `rows` positions of each window: normalised, rotated, times gain.
  ValueId normalised_heads(ValueId x, ValueId gain, int64_t heads, int64_t rows);
  ValueId attend(int64_t layer, ValueId q, ValueId k, ValueId v, int64_t tail);
  ValueId cached(const std::string& name, ValueId x);  // x joins what is kept under that name (BuildOptions::cache_rows)

  const ModelConfig& config_;
  const ParamTable& table_;
  const BuildOptions& options_;
  bool keep_activations_;
  Builder b_;
  ValueId ids_, weights_, operands_, cos_, sin_;  // operands_: weights_ or their bf16 copy
  std::map<std::string, ValueId> views_, operand_views_, quantised_, scaled_, hessians_;
  ValueId value_embedding_ = kNoValue, first_values_ = kNoValue;  // once computed
  ValueId keys_ = kNoValue;
  int64_t visits_ = 0;  // of layers with kept keys and values
  std::vector<ValueId> activations_;
};

}  // namespace sixteen
