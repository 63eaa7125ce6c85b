// The parameter table, written once in bank order.
#include "model/params.h"

#include <algorithm>
#include <utility>

#include "formats/check.h"

namespace sixteen {

namespace {

constexpr int64_t kAlignFloats = 16;  // one cache line, one AVX-512 register

// Adds the tensors group by group; list() gives the order.
class TensorList {
 public:
  explicit TensorList(const ModelConfig& config) : c_(config) {}

  std::vector<ParamSpec> list() {
    banks();
    table("tok_emb.weight", c_.vocab, c_.dim, Init::kNormal, c_.embed_init_std);
    streams();
    if (!c_.tied_head) add("lm_head.weight", {c_.vocab, c_.dim}, Init::kZero, 0, ParamGroup::kHead, QuantClass::kEmbedding);
    if (c_.bigram.rows > 0) {
      control("bigram.scale", {1}, Init::kConstant, 0.05);
      table("bigram.embed.weight", c_.bigram.rows, c_.bigram.dim, Init::kZero, 0);
      if (c_.bigram.dim != c_.dim) projection("bigram.proj.weight", c_.dim, c_.bigram.dim);
    }
    if (c_.smear) control("smear.gate", {c_.dim}, Init::kZero);
    for (int64_t i = 0; i < c_.layers; ++i) block(i);
    if (c_.value_embedding.dim > 0) value_embedding();
    if (c_.loop.pass_embedding) {  // trained by Muon in #1555
      add("loop_pass_emb.weight", {c_.loop.extra_passes + 1, c_.dim}, Init::kZero, 0, ParamGroup::kMatrix,
          QuantClass::kSmall);
    }
    return std::move(specs_);
  }

 private:
  void add(std::string name, Shape shape, Init init, double value, ParamGroup group, QuantClass quant) {
    specs_.push_back({std::move(name), shape, init, value, group, quant});
  }
  void matrix(int64_t layer, const char* name, int64_t rows, int64_t cols, Init init) {
    add("blocks." + std::to_string(layer) + "." + name, {rows, cols}, init, 0, ParamGroup::kMatrix, QuantClass::kMatrix);
  }
  void control(std::string name, Shape shape, Init init, double value = 0) {
    add(std::move(name), shape, init, value, ParamGroup::kScalar, QuantClass::kSmall);
  }
  void table(std::string name, int64_t rows, int64_t cols, Init init, double value) {
    add(std::move(name), {rows, cols}, init, value, ParamGroup::kToken, QuantClass::kEmbedding);
  }
  // The records re-initialise every plain projection of 64 rows and columns or more orthogonally, whatever came before.
  void projection(std::string name, int64_t rows, int64_t cols) {
    add(std::move(name), {rows, cols}, std::min(rows, cols) >= 64 ? Init::kOrthogonal : Init::kZero, 0,
        ParamGroup::kScalar, QuantClass::kMatrix);
  }

  void banks();
  void streams();
  void block(int64_t i);
  void value_embedding();
  int64_t kv_dim() const { return c_.kv_heads * c_.head_dim(); }

  const ModelConfig& c_;
  std::vector<ParamSpec> specs_;
};

void TensorList::banks() {
  for (int64_t i = 0; i < c_.layers; ++i) {
    matrix(i, "attn.c_q.weight", c_.dim, c_.dim, Init::kOrthogonal);
    matrix(i, "attn.proj.weight", c_.dim, c_.dim, Init::kZero);
  }
  for (int64_t i = 0; i < c_.layers; ++i) {
    matrix(i, "attn.c_k.weight", kv_dim(), c_.dim, Init::kOrthogonal);
    matrix(i, "attn.c_v.weight", kv_dim(), c_.dim, Init::kOrthogonal);
  }
  for (int64_t i = 0; i < c_.layers; ++i) matrix(i, "mlp.fc.weight", c_.mlp_hidden, c_.dim, Init::kOrthogonal);
  for (int64_t i = 0; i < c_.layers; ++i) matrix(i, "mlp.proj.weight", c_.dim, c_.mlp_hidden, Init::kZero);
}

void TensorList::streams() {
  const int64_t skips = skip_count(c_);
  if (skips > 0) {
    control("skip_weights", {skips, c_.dim}, Init::kOne);
    if (c_.skip == "gated") control("skip_gates", {skips, c_.dim}, Init::kZero);
  }
  if (c_.parallel.kind == "two_lane") {
    control("parallel_post_lambdas", {c_.layers, 2, 2}, Init::kOne);  // [layer, source (attention, MLP), lane]
    control("parallel_resid_lambdas", {c_.layers, 2}, Init::kConstant, c_.parallel.resid_init);
  }
}

void TensorList::block(int64_t i) {
  const std::string block = "blocks." + std::to_string(i) + ".";
  control(block + "attn_scale", {c_.dim}, Init::kOne);
  control(block + "mlp_scale", {c_.dim}, Init::kOne);
  control(block + "resid_mix", {2, c_.dim}, Init::kResidMix);
  control(block + "attn.q_gain", {c_.heads}, Init::kConstant, c_.qk_gain_init);
  if (c_.value_residual) {
    control(block + "attn.vr_lambda", {2}, Init::kConstant, 0.5);
    if (i == 0) specs_.back().group = ParamGroup::kFixed;  // exists in the records' files, but nothing reads it
  }
  if (c_.gated_attention) {
    control(block + "attn.attn_gate.weight", {c_.heads, c_.dim}, Init::kZero);
    control(block + "attn.attn_gate.bias", {c_.heads}, Init::kConstant, 4.0);  // a gate of 0.982
  }
}

void TensorList::value_embedding() {
  control("ve_shared.scale", {1}, Init::kConstant, 0.1);
  table("ve_shared.embed.weight", c_.vocab, c_.value_embedding.dim, Init::kNormal, 0.01);
  if (c_.value_embedding.dim != kv_dim()) projection("ve_shared.proj.weight", kv_dim(), c_.value_embedding.dim);
  for (size_t k = 0; k < c_.value_embedding.layers.size(); ++k) {
    control("ve_layer_scales." + std::to_string(k), {1}, Init::kOne);
  }
}

}  // namespace

ParamTable::ParamTable(const ModelConfig& config) : specs_(TensorList(config).list()) {
  for (ParamSpec& spec : specs_) {
    const int64_t numel = spec.shape.numel();
    spec.offset = flat_size_;
    parameters_ += numel;
    flat_size_ += (numel + kAlignFloats - 1) / kAlignFloats * kAlignFloats;
  }
}

const ParamSpec* ParamTable::find(const std::string& name) const {
  for (const ParamSpec& spec : specs_) {
    if (spec.name == name) return &spec;
  }
  return nullptr;
}

const ParamSpec& ParamTable::at(const std::string& name) const {
  const ParamSpec* spec = find(name);
  CHECK(spec != nullptr);
  return *spec;
}

std::span<float> ParamStore::tensor(const std::string& name) {
  const ParamSpec& spec = table->at(name);
  return {flat.data() + spec.offset, static_cast<size_t>(spec.shape.numel())};
}

std::span<const float> ParamStore::tensor(const std::string& name) const {
  const ParamSpec& spec = table->at(name);
  return {flat.data() + spec.offset, static_cast<size_t>(spec.shape.numel())};
}

}  // namespace sixteen
