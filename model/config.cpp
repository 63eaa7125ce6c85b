// One list of fields a struct (the fields() functions) drives the TOML reader, the JSON writer and the JSON reader.
//
// Bites: the order of that list is the order of the canonical JSON; a new field is added there, in config.h, in
// config_check.cpp and in kLaterKeys below, nowhere else.
#include "model/config.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "formats/error.h"
#include "formats/json.h"

namespace sixteen {

namespace {

template <class Visitor>
void fields(Visitor&& visit, auto& c) {
  visit("vocab", c.vocab);
  visit("layers", c.layers);
  visit("dim", c.dim);
  visit("heads", c.heads);
  visit("kv_heads", c.kv_heads);
  visit("mlp_hidden", c.mlp_hidden);
  visit("mlp_slope", c.mlp_slope);
  visit.table("rope", [&](auto&& rope) {
    rope("dims", c.rope.dims);
    rope("base", c.rope.base);
    rope("train_len", c.rope.train_len);
    rope("round_bf16", c.rope.round_bf16);
  });
  visit("qk_gain_init", c.qk_gain_init);
  visit("ln_scale", c.ln_scale);
  visit("softcap", c.softcap);
  visit("tied_head", c.tied_head);
  visit("xsa_last_n", c.xsa_last_n);
  visit("skip", c.skip);
  visit.table("bigram", [&](auto&& bigram) {
    bigram("rows", c.bigram.rows);
    bigram("dim", c.bigram.dim);
  });
  visit("smear", c.smear);
  visit.table("value_embedding", [&](auto&& ve) {
    ve("dim", c.value_embedding.dim);
    ve("layers", c.value_embedding.layers);
  });
  visit("value_residual", c.value_residual);
  visit("gated_attention", c.gated_attention);
  visit.table("loop", [&](auto&& loop) {
    loop("start", c.loop.start);
    loop("end", c.loop.end);
    loop("extra_passes", c.loop.extra_passes);
    loop("at_frac", c.loop.at_frac);
    loop("pass_embedding", c.loop.pass_embedding);
  });
  visit.table("parallel", [&](auto&& parallel) {
    parallel("kind", c.parallel.kind);
    parallel("start_layer", c.parallel.start_layer);
    parallel("start_is_physical", c.parallel.start_is_physical);
    parallel("final_lane", c.parallel.final_lane);
    parallel("skip_lane0_only", c.parallel.skip_lane0_only);
    parallel("mlp_read_mix", c.parallel.mlp_read_mix);
    parallel("freeze_lane0", c.parallel.freeze_lane0);
    parallel("resid_init", c.parallel.resid_init);
  });
  visit("embed_init_std", c.embed_init_std);
  visit("init_round_bf16", c.init_round_bf16);
}

struct TomlReader {
  Section section;
  template <class T>
  void operator()(const char* key, T& value) {
    section.read(key, &value);
  }
  template <class Body>
  void table(const char* key, Body&& body) {
    TomlReader inner{section.table(key)};
    body(inner);
    inner.section.finish();
  }
};

struct JsonWriter {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  template <class T>
  void operator()(const char* key, const T& value) {
    json[key] = value;
  }
  template <class Body>
  void table(const char* key, Body&& body) {
    JsonWriter inner;
    body(inner);
    json[key] = std::move(inner.json);
  }
};

// Keys that files written before them lack; their defaults are what such a file means.
constexpr std::array<std::string_view, 7> kLaterKeys = {
    "tied_head", "bigram", "smear", "value_embedding", "value_residual", "gated_attention", "pass_embedding"};

struct JsonReader {
  const nlohmann::json& json;
  std::string where, prefix;  // prefix: "rope." inside of that table
  std::vector<std::string> known;

  bool absent(const char* key) {
    known.push_back(key);
    return !json.contains(key) && std::find(kLaterKeys.begin(), kLaterKeys.end(), key) != kLaterKeys.end();
  }
  const nlohmann::json& at(const char* key) const {
    if (!json.contains(key)) fail(where, ": model config: key ", prefix, key, " is missing");
    return json[key];
  }
  [[noreturn]] void wrong_type(const char* key, const char* expected) const {
    fail(where, ": model config: ", prefix, key, ": expected ", expected, ", found ", print_json(json[key]));
  }
  void operator()(const char* key, int64_t& value) {
    if (absent(key)) return;
    const nlohmann::json& found = at(key);
    // Above 2^63 the parser keeps an unsigned number that would wrap.
    if (!found.is_number_integer() || found > INT64_MAX) wrong_type(key, "an integer");
    value = found.get<int64_t>();
  }
  void operator()(const char* key, double& value) {
    if (absent(key)) return;
    if (!at(key).is_number()) wrong_type(key, "a number");
    value = json[key].get<double>();
  }
  void operator()(const char* key, bool& value) {
    if (absent(key)) return;
    if (!at(key).is_boolean()) wrong_type(key, "true or false");
    value = json[key].get<bool>();
  }
  void operator()(const char* key, std::string& value) {
    if (absent(key)) return;
    if (!at(key).is_string()) wrong_type(key, "a string");
    value = json[key].get<std::string>();
  }
  void operator()(const char* key, std::vector<int64_t>& values) {
    if (absent(key)) return;
    if (!at(key).is_array()) wrong_type(key, "a list of integers");
    values.clear();
    for (const nlohmann::json& item : json[key]) {
      if (!item.is_number_integer() || item > INT64_MAX) wrong_type(key, "a list of integers");
      values.push_back(item.get<int64_t>());
    }
  }
  template <class Body>
  void table(const char* key, Body&& body) {
    if (absent(key)) return;
    if (!at(key).is_object()) wrong_type(key, "an object");
    JsonReader inner{json[key], where, prefix + key + ".", {}};
    body(inner);
    inner.finish();
  }
  void finish() const {
    for (const auto& item : json.items()) {
      if (std::find(known.begin(), known.end(), item.key()) != known.end()) continue;
      const std::string nearest = nearest_name(item.key(), known);
      fail(where, ": model config: unknown key ", prefix, item.key(),
           nearest.empty() ? std::string() : " (did you mean " + prefix + nearest + "?)");
    }
  }
};

}  // namespace

ModelConfig read_model_config(Section section, const std::string& where) {
  ModelConfig config;
  TomlReader reader{section};
  fields(reader, config);
  section.finish();
  validate(config, where);
  return config;
}

std::string to_json(const ModelConfig& config) {
  JsonWriter writer;
  fields(writer, config);
  return writer.json.dump();
}

ModelConfig parse_model_json(const std::string& text, const std::string& where) {
  const nlohmann::json json = parse_json_object(text, where);
  ModelConfig config;
  JsonReader reader{json, where, "", {}};
  fields(reader, config);
  reader.finish();
  validate(config, where);
  return config;
}

LayerOrder layer_order(const ModelConfig& config, bool looping) {
  std::vector<int64_t> visits;
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    visits.push_back(layer);
    if (!looping || config.loop.extra_passes == 0 || layer != config.loop.end) continue;
    for (int64_t pass = 0; pass < config.loop.extra_passes; ++pass) {
      for (int64_t looped = config.loop.start; looped <= config.loop.end; ++looped) visits.push_back(looped);
    }
  }
  const auto middle = visits.begin() + static_cast<std::ptrdiff_t>(visits.size() / 2);
  return {{visits.begin(), middle}, {middle, visits.end()}};
}

int64_t skip_count(const ModelConfig& config) {
  if (config.skip == "none") return 0;
  size_t rows = 0;
  for (const bool looping : {false, true}) {
    const LayerOrder order = layer_order(config, looping);
    rows = std::max(rows, std::min(order.encoder.size(), order.decoder.size()));
  }
  return static_cast<int64_t>(rows);
}

}  // namespace sixteen
