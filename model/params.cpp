// The parameter table, written once in bank order.
#include "model/params.h"

#include <utility>

#include "formats/check.h"

namespace sixteen {

namespace {

constexpr int64_t kAlignFloats = 16;  // one cache line, one AVX-512 register

std::vector<ParamSpec> list_tensors(const ModelConfig& c) {
  std::vector<ParamSpec> specs;
  const auto add = [&](std::string name, Shape shape, Init init, double value, ParamGroup group, QuantClass quant) {
    specs.push_back({std::move(name), shape, init, value, group, quant});
  };
  const auto matrix = [&](int64_t layer, const char* name, int64_t rows, int64_t cols, Init init) {
    add("blocks." + std::to_string(layer) + "." + name, {rows, cols}, init, 0, ParamGroup::kMatrix,
        QuantClass::kMatrix);
  };
  const auto control = [&](std::string name, Shape shape, Init init, double value = 0) {
    add(std::move(name), shape, init, value, ParamGroup::kScalar, QuantClass::kSmall);
  };

  const int64_t kv_dim = c.kv_heads * c.head_dim();
  for (int64_t i = 0; i < c.layers; ++i) {
    matrix(i, "attn.c_q.weight", c.dim, c.dim, Init::kOrthogonal);
    matrix(i, "attn.proj.weight", c.dim, c.dim, Init::kZero);
  }
  for (int64_t i = 0; i < c.layers; ++i) {
    matrix(i, "attn.c_k.weight", kv_dim, c.dim, Init::kOrthogonal);
    matrix(i, "attn.c_v.weight", kv_dim, c.dim, Init::kOrthogonal);
  }
  for (int64_t i = 0; i < c.layers; ++i) matrix(i, "mlp.fc.weight", c.mlp_hidden, c.dim, Init::kOrthogonal);
  for (int64_t i = 0; i < c.layers; ++i) matrix(i, "mlp.proj.weight", c.dim, c.mlp_hidden, Init::kZero);

  add("tok_emb.weight", {c.vocab, c.dim}, Init::kNormal, c.embed_init_std, ParamGroup::kToken, QuantClass::kEmbedding);

  const int64_t skips = skip_count(c);
  if (skips > 0) {
    control("skip_weights", {skips, c.dim}, Init::kOne);
    if (c.skip == "gated") control("skip_gates", {skips, c.dim}, Init::kZero);
  }
  if (c.parallel.kind == "two_lane") {
    control("parallel_post_lambdas", {c.layers, 2, 2}, Init::kOne);  // [layer, source (attention, MLP), lane]
    control("parallel_resid_lambdas", {c.layers, 2}, Init::kConstant, c.parallel.resid_init);
  }
  for (int64_t i = 0; i < c.layers; ++i) {
    const std::string block = "blocks." + std::to_string(i) + ".";
    control(block + "attn_scale", {c.dim}, Init::kOne);
    control(block + "mlp_scale", {c.dim}, Init::kOne);
    control(block + "resid_mix", {2, c.dim}, Init::kResidMix);
    control(block + "attn.q_gain", {c.heads}, Init::kConstant, c.qk_gain_init);
  }
  return specs;
}

}  // namespace

ParamTable::ParamTable(const ModelConfig& config) : specs_(list_tensors(config)) {
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
