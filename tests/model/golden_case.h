// One case of oracle/model, any system: its config in our words, its parameters, its stored results and tolerances.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formats/file.h"
#include "formats/safetensors.h"
#include "model/transformer.h"
#include "tests/support/shared_data.h"

namespace sixteen::testing {

inline ModelConfig golden_config(const nlohmann::json& c) {
  ModelConfig config;
  config.vocab = c.at("vocab_size");
  config.layers = c.at("num_layers");
  config.dim = c.at("model_dim");
  config.heads = c.at("num_heads");
  config.kv_heads = c.at("num_kv_heads");
  config.mlp_hidden = c.contains("mlp_hidden") ? c.at("mlp_hidden").get<int64_t>()
                                               : static_cast<int64_t>(c.at("mlp_mult").get<double>() * c.at("model_dim").get<double>());
  // The field says what came out; where the base is rescaled, never rounding is our rule, not our setting.
  const bool rescaled = c.value("rope_effective_base", c.at("rope_base")) != c.at("rope_base");
  const int64_t train_len = c.contains("rope_train_seq_len") ? c.at("rope_train_seq_len") : c.at("train_seq_len");
  config.rope = {c.at("rope_dims"), c.at("rope_base"), train_len,
                 rescaled || c.value("rope_inv_freq_rounded_to_bf16", true)};
  config.ln_scale = c.at("ln_scale");
  config.softcap = c.at("logit_softcap");
  config.xsa_last_n = c.at("xsa_last_n");
  config.skip = c.value("skip_gates_enabled", false) ? "gated" : "additive";
  if (c.contains("num_loops")) {
    config.loop = {c.at("loop_start"), c.at("loop_end"), c.at("num_loops"), 0.35, c.value("loop_pass_emb_enabled", false)};
  }
  if (c.contains("bigram_vocab_size")) {  // #726, #754
    config.bigram = {c.at("bigram_vocab_size"), c.at("bigram_dim")};
    config.smear = c.value("use_smeargate", true);
    config.value_embedding.layers = c.at("ve_layers").get<std::vector<int64_t>>();
    config.value_embedding.dim = config.value_embedding.layers.empty() ? 0 : c.at("ve_dim").get<int64_t>();
    config.gated_attention = c.at("gated_attention");
    config.value_residual = c.at("value_residual");
  }
  if (c.value("parallel_residual", c.contains("parallel_residual_start"))) {
    config.parallel.kind = "two_lane";
    config.parallel.start_layer = c.at("parallel_residual_start");
    config.parallel.start_is_physical = c.value("parallel_start_layer_is_physical", true);
    config.parallel.final_lane = c.at("parallel_final_lane");
    config.parallel.skip_lane0_only = c.at("parallel_skip_lane0_only");
    config.parallel.mlp_read_mix = c.at("parallel_mlp_read_mix");
    config.parallel.freeze_lane0 = c.at("parallel_freeze_lane0");
  }
  return config;
}

struct GoldenCase {
  GoldenCase(const std::string& pr, const std::string& name)
      : json(nlohmann::json::parse(read_text_file(shared_path("oracle/model/" + pr + "/" + name + ".json")))),
        results(shared_path("oracle/model/" + pr + "/" + name + ".safetensors")),
        parameters(shared_path("oracle/model/" + pr + "/" + json.at("params_file").get<std::string>())),
        config(golden_config(json.at("config"))),
        table(std::make_shared<ParamTable>(config)),
        windows(json.at("batch")),
        seq(json.at("seq_len")),
        looping(json.at("config").value("looping_active", false)) {
    validate(config, name);
    if (!json.at("hash_embedding_rows").is_null()) hash.buckets = json.at("hash_embedding_rows");
    hash.before_norm = hash.own_previous = pr == "1555";
    if (json.at("qat_on_in_training_forward")) {
      fake_quant = {FakeQuantConfig::Scope::kProjections, pr == "754a" ? -31 : -32};
    }
  }

  // The parameter file has every tensor that any case needs.
  ParamStore weights() const {
    ParamStore store(table);
    for (const ParamSpec& spec : table->specs()) copy_as_float(parameters.at(spec.name), store.tensor(spec.name));
    return store;
  }
  std::vector<float> result(const std::string& name) const {
    const TensorView& tensor = results.at(name);
    std::vector<float> values(static_cast<size_t>(tensor.numel()));
    copy_as_float(tensor, values);
    return values;
  }
  std::vector<int32_t> ids(const std::string& name) const {
    const std::vector<float> values = result(name);  // exact: ids are small
    return {values.begin(), values.end()};
  }
  // Tolerance of `what` in the JSON ("logits_abs", "loss_abs", "grad_rel_to_tensor_max").
  double tolerance(const std::string& what) const { return json.at("tolerance").at(what); }

  nlohmann::json json;
  SafetensorsFile results, parameters;
  ModelConfig config;
  std::shared_ptr<const ParamTable> table;
  int64_t windows, seq;
  bool looping;
  HashEmbedConfig hash;
  FakeQuantConfig fake_quant;  // of the training forward pass alone
};

}  // namespace sixteen::testing
