// See import_config.h.
#include "packer/import_config.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "formats/error.h"

namespace sixteen {
namespace {

using nlohmann::json;

constexpr const char* kSystems[] = {"pr726", "pr754", "pr754-first", "pr1555", "pr1584"};

// Settings that no name or shape tells.
const std::vector<std::string> kUnseen = {"mlp_slope", "rope.dims", "rope.base", "rope.train_len", "ln_scale", "softcap", "xsa_last_n"};
const std::vector<std::string> kUnseenLoop = {"loop.start", "loop.end", "loop.extra_passes"};
const std::vector<std::string> kUnseenLanes = {"parallel.start_layer", "parallel.final_lane", "parallel.skip_lane0_only",
                                               "parallel.mlp_read_mix", "parallel.freeze_lane0"};

// Reads sizes and switches off the tensors into a config whose other fields are set already.
class ShapeReader {
 public:
  ShapeReader(const ImportedTensors& imported, const std::string& where) : imported_(imported), where_(where) {}

  bool has(const std::string& name) const { return imported_.find(name) != nullptr; }
  const std::vector<int64_t>& shape(const std::string& name, size_t rank) const {
    const PackedTensor* tensor = imported_.find(name);
    if (tensor == nullptr) fail(where_, ": tensor ", name, " is missing; the model's sizes cannot be read without it");
    if (tensor->shape.size() != rank) {
      fail(where_, ": tensor ", name, ": expected ", rank, " dimensions, found ", tensor->shape.size());
    }
    return tensor->shape;
  }

  // Which features there are. A tensor missing from a known system would pass for a feature that is off, so this is for guessing.
  void read_switches(ModelConfig* c) const {
    c->tied_head = !has("lm_head.weight");
    c->skip = has("skip_gates") ? "gated" : has("skip_weights") ? "additive" : "none";
    if (!has("bigram.embed.weight")) c->bigram.rows = 0;
    c->smear = has("smear.gate");
    c->value_residual = has("blocks.0.attn.vr_lambda");
    c->gated_attention = has("blocks.0.attn.attn_gate.weight");
    if (!has("ve_shared.embed.weight")) c->value_embedding = {};
    c->parallel.kind = has("parallel_post_lambdas") ? "two_lane" : "none";
  }

  void read_sizes(ModelConfig* c) const {
    model_sizes(c);
    if (has("bigram.embed.weight")) {
      const std::vector<int64_t>& table = shape("bigram.embed.weight", 2);
      c->bigram = {.rows = table[0], .dim = table[1]};
    }
    if (has("loop_pass_emb.weight")) c->loop.extra_passes = shape("loop_pass_emb.weight", 2)[0] - 1;
    if (has("ve_shared.embed.weight")) value_embedding(c);
    c->xsa_last_n = std::min(c->xsa_last_n, c->layers);  // "all 11" of fewer is all
  }

 private:
  void model_sizes(ModelConfig* c) const {
    c->vocab = shape("tok_emb.weight", 2)[0];
    c->dim = shape("tok_emb.weight", 2)[1];
    c->layers = count_layers();
    c->heads = shape("blocks.0.attn.q_gain", 1)[0];
    if (c->dim % c->heads != 0) fail(where_, ": ", c->heads, " heads (blocks.0.attn.q_gain) do not divide the dim ", c->dim);
    c->kv_heads = shape("blocks.0.attn.c_k.weight", 2)[0] / c->head_dim();
    c->mlp_hidden = shape("blocks.0.mlp.fc.weight", 2)[0];
  }

  // Where the published layers do not exist: the last ones, as 9 and 10 of 11 are.
  void value_embedding(ModelConfig* c) const {
    ValueEmbeddingConfig& ve = c->value_embedding;
    ve.dim = shape("ve_shared.embed.weight", 2)[1];
    if (ve.layers.empty() || ve.layers.back() < c->layers) return;
    const int64_t shift = ve.layers.back() - (c->layers - 1);
    for (int64_t& layer : ve.layers) layer -= shift;
  }

  // One more than the largest N of all blocks.N.*, so that a tensor that is missing cannot hide a layer.
  int64_t count_layers() const {
    int64_t layers = 0;
    for (const PackedTensor& tensor : imported_.tensors) {
      int64_t block = 0;
      if (std::sscanf(tensor.name.c_str(), "blocks.%9" SCNd64 ".", &block) == 1) layers = std::max(layers, block + 1);
    }
    return layers;
  }

  const ImportedTensors& imported_;
  const std::string& where_;
};

bool of_two_lanes(const std::string& system) { return system == "pr1584" || system == "pr1555"; }

std::string guess_system(const ShapeReader& shapes, const std::string& where) {
  if (shapes.has("loop_pass_emb.weight")) return "pr1555";
  if (shapes.has("parallel_post_lambdas") || shapes.has("skip_gates")) return "pr1584";
  if (shapes.has("ve_shared.embed.weight")) return "pr726";
  if (shapes.has("blocks.0.attn.vr_lambda") || shapes.has("blocks.0.attn.attn_gate.weight")) return "pr754";
  if (shapes.has("bigram.embed.weight")) return "pr726";
  fail(where, ": its tensors are those of no known system; say which settings it has by --system or --config");
}

// "rope.dims" -> the value there; nullptr when there is none.
json* find_key(json* object, const std::string& key) {
  const size_t dot = key.find('.');
  const auto it = object->find(key.substr(0, dot));
  if (it == object->end()) return nullptr;
  if (dot == std::string::npos) return it->is_object() ? nullptr : &*it;
  return it->is_object() ? find_key(&*it, key.substr(dot + 1)) : nullptr;
}

void collect_keys(const json& object, const std::string& prefix, std::vector<std::string>* keys) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) collect_keys(value, prefix + key + ".", keys);
    else keys->push_back(prefix + key);
  }
}

// Applies "key=value"; returns the key.
std::string apply_set(json* model, const std::string& set) {
  const size_t equals = set.find('=');
  if (equals == std::string::npos) throw UsageError("--set " + set + ": expected KEY=VALUE");
  const std::string key = set.substr(0, equals), text = set.substr(equals + 1);
  json* value = find_key(model, key);
  if (value == nullptr) {
    std::vector<std::string> keys;
    collect_keys(*model, "", &keys);
    const std::string near = nearest_name(key, keys);
    throw UsageError("--set " + set + ": unknown key " + key + (near.empty() ? "" : " (did you mean " + near + "?)"));
  }
  json parsed = json::parse(text, nullptr, false);
  *value = parsed.is_discarded() ? json(text) : parsed;  // names may stand without quotes
  return key;
}

std::string list_assumed(json* model, const ModelConfig& config, const std::vector<std::string>& said) {
  std::vector<std::string> keys = kUnseen;
  if (config.skip == "gated") keys.insert(keys.end(), kUnseenLoop.begin(), kUnseenLoop.end());
  if (config.parallel.kind != "none") keys.insert(keys.end(), kUnseenLanes.begin(), kUnseenLanes.end());
  if (config.value_embedding.dim > 0) keys.push_back("value_embedding.layers");
  std::string text;
  for (const std::string& key : keys) {
    if (std::find(said.begin(), said.end(), key) != said.end()) continue;
    text += (text.empty() ? "" : ", ") + key + " = " + find_key(model, key)->dump();
  }
  return text;
}

}  // namespace

ModelConfig published_model(const std::string& system) {
  ModelConfig c;
  c.rope = {.dims = 16, .base = 10000, .train_len = 2048, .round_bf16 = true};
  c.init_round_bf16 = true;
  if (of_two_lanes(system)) {
    c.loop = {.start = 3, .end = 5, .extra_passes = 2, .at_frac = 0.35, .pass_embedding = system == "pr1555"};
    c.parallel.kind = "two_lane";
    c.parallel.start_layer = 8;
    return c;
  }
  c.vocab = 1024;
  c.mlp_hidden = 1536;
  c.rope.train_len = 1024;  // windows are 2048 long: the base is rescaled even in training
  c.qk_gain_init = 1.5;
  c.xsa_last_n = 4;
  c.skip = "additive";
  c.smear = true;
  if (system == "pr726") {
    c.bigram = {.rows = 2048, .dim = 128};
    c.value_embedding = {.dim = 128, .layers = {9, 10}};
  } else if (system == "pr754" || system == "pr754-first") {
    c.bigram = {.rows = 1536, .dim = 128};
    c.value_residual = c.gated_attention = true;
    c.ln_scale = system == "pr754";
  } else {
    std::string known;
    for (const char* name : kSystems) known += (known.empty() ? "" : ", ") + std::string(name);
    throw UsageError("--system " + system + ": expected one of " + known);
  }
  return c;
}

SettledConfig settle_config(const ImportedTensors& imported, const ImportSettings& settings, const std::string& where) {
  const ShapeReader shapes(imported, where);
  SettledConfig settled;
  if (!settings.config_path.empty()) {
    ConfigFile file(settings.config_path);
    file.check_sections({"model", "train", "pack", "eval"});
    settled.config = read_model_config(file.section("model"), settings.config_path);
    settled.source = settings.config_path;
  } else {
    const std::string system = settings.system.empty() ? guess_system(shapes, where) : settings.system;
    settled.config = published_model(system);
    settled.source = "the settings of " + system;
    if (of_two_lanes(system) != (shapes.has("parallel_post_lambdas") || shapes.has("skip_gates"))) {
      fail(where, ": tensors with", of_two_lanes(system) ? "out" : "", " skip gates and lanes, so no model of ", system);
    }
    if (settings.system.empty()) shapes.read_switches(&settled.config);
    shapes.read_sizes(&settled.config);
  }
  json model = json::parse(to_json(settled.config));
  std::vector<std::string> said;
  for (const std::string& set : settings.sets) said.push_back(apply_set(&model, set));
  try {
    settled.config = parse_model_json(model.dump(), where + " with " + settled.source);
  } catch (const Error& error) {
    fail(error.what(), "; --set KEY=VALUE says what the file does not");
  }
  if (settings.config_path.empty()) settled.assumed = list_assumed(&model, settled.config, said);
  return settled;
}

}  // namespace sixteen
