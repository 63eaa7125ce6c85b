// One list of fields a struct (the fields() functions) drives the TOML reader, the JSON writer and the JSON reader.
//
// Bites: the order of that list is the order of the canonical JSON; a new field is added there and in config.h, nowhere else.
#include "model/config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

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
  visit("xsa_last_n", c.xsa_last_n);
  visit("skip", c.skip);
  visit.table("loop", [&](auto&& loop) {
    loop("start", c.loop.start);
    loop("end", c.loop.end);
    loop("extra_passes", c.loop.extra_passes);
    loop("at_frac", c.loop.at_frac);
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

struct JsonReader {
  const nlohmann::json& json;
  std::string where, prefix;  // prefix: "rope." inside of that table
  std::vector<std::string> known;

  const nlohmann::json& at(const char* key) {
    known.push_back(key);
    if (!json.contains(key)) fail(where, ": model config: key ", prefix, key, " is missing");
    return json[key];
  }
  [[noreturn]] void wrong_type(const char* key, const char* expected) const {
    fail(where, ": model config: ", prefix, key, ": expected ", expected, ", found ", print_json(json[key]));
  }
  void operator()(const char* key, int64_t& value) {
    const nlohmann::json& found = at(key);
    // Above 2^63 the parser keeps an unsigned number that would wrap.
    if (!found.is_number_integer() || found > INT64_MAX) wrong_type(key, "an integer");
    value = found.get<int64_t>();
  }
  void operator()(const char* key, double& value) {
    if (!at(key).is_number()) wrong_type(key, "a number");
    value = json[key].get<double>();
  }
  void operator()(const char* key, bool& value) {
    if (!at(key).is_boolean()) wrong_type(key, "true or false");
    value = json[key].get<bool>();
  }
  void operator()(const char* key, std::string& value) {
    if (!at(key).is_string()) wrong_type(key, "a string");
    value = json[key].get<std::string>();
  }
  template <class Body>
  void table(const char* key, Body&& body) {
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
           nearest.empty() ? std::string() : ", did you mean " + prefix + nearest + "?");
    }
  }
};

class Checker {
 public:
  explicit Checker(const std::string& where) : where_(where) {}

  void range(const char* field, int64_t value, int64_t low, int64_t high) const {
    if (value < low || value > high) refuse(field, value, "an integer in ", low, " .. ", high);
  }
  void range(const char* field, double value, double low, double high) const {
    if (!(value >= low && value <= high)) refuse(field, value, "a number in ", low, " .. ", high);
  }
  void choice(const char* field, const std::string& value, const std::vector<std::string>& choices) const {
    if (std::find(choices.begin(), choices.end(), value) != choices.end()) return;
    std::string list;
    for (const std::string& choice : choices) list += (list.empty() ? "" : ", ") + choice;
    refuse(field, "\"" + value + "\"", "one of ", list);
  }
  template <class Value, class... Parts>
  void require(bool condition, const char* field, const Value& value, const Parts&... expected) const {
    if (!condition) refuse(field, value, expected...);
  }

 private:
  template <class Value, class... Parts>
  [[noreturn]] void refuse(const char* field, const Value& value, const Parts&... expected) const {
    fail(where_, ": model config: ", field, ": expected ", expected..., ", found ", value);
  }
  std::string where_;
};

void validate_sizes(const ModelConfig& c, const Checker& check) {
  // The upper bounds keep every product of sizes far from overflow, whatever a hostile file says.
  check.range("vocab", c.vocab, 2, 65536);
  check.range("layers", c.layers, 1, 256);
  check.range("dim", c.dim, 4, 16384);
  check.range("mlp_hidden", c.mlp_hidden, 1, 65536);
  check.range("heads", c.heads, 1, c.dim);
  check.range("kv_heads", c.kv_heads, 1, c.heads);
  check.require(c.dim % c.heads == 0, "heads", c.heads, "a divisor of dim = ", c.dim);
  check.require(c.heads % c.kv_heads == 0, "kv_heads", c.kv_heads, "a divisor of heads = ", c.heads);
  check.range("rope.dims", c.rope.dims, 4, c.head_dim());
  check.require(c.rope.dims % 2 == 0, "rope.dims", c.rope.dims, "an even number");
  check.range("rope.base", c.rope.base, 1.0, 1e12);
  check.range("rope.train_len", c.rope.train_len, 1, int64_t{1} << 24);
  check.range("mlp_slope", c.mlp_slope, -1.0, 1.0);
  check.range("qk_gain_init", c.qk_gain_init, -1e4, 1e4);
  check.range("softcap", c.softcap, 0.0, 1e6);
  check.range("xsa_last_n", c.xsa_last_n, 0, c.layers);
  check.range("embed_init_std", c.embed_init_std, 0.0, 1e3);
  check.choice("skip", c.skip, {"none", "additive", "gated"});
}

void validate_loop(const ModelConfig& c, const Checker& check) {
  check.range("loop.extra_passes", c.loop.extra_passes, 0, 64);
  check.range("loop.at_frac", c.loop.at_frac, 0.0, 1.0);
  if (c.loop.extra_passes == 0) return;
  check.range("loop.start", c.loop.start, 0, c.layers - 1);
  check.range("loop.end", c.loop.end, c.loop.start, c.layers - 1);
}

// Lanes open in the decoder and stay open; the records never do otherwise, so nothing says what it would mean.
void validate_parallel(const ModelConfig& c, const Checker& check) {
  check.choice("parallel.kind", c.parallel.kind, {"none", "two_lane"});
  check.choice("parallel.final_lane", c.parallel.final_lane, {"mean", "mlp", "attn"});
  check.range("parallel.resid_init", c.parallel.resid_init, -1e4, 1e4);
  if (c.parallel.kind == "none") return;
  const int64_t visits = c.layers + c.loop.extra_passes * (c.loop.end - c.loop.start + 1);
  check.range("parallel.start_layer", c.parallel.start_layer, 0, (c.parallel.start_is_physical ? c.layers : visits) - 1);
  for (const bool looping : {false, true}) {
    const LayerOrder order = layer_order(c, looping);
    const std::vector<int64_t>& encoder = order.encoder;
    if (!c.parallel.start_is_physical) {
      check.require(c.parallel.start_layer >= static_cast<int64_t>(encoder.size()), "parallel.start_layer", c.parallel.start_layer,
                    "a position in the decoder, ", encoder.size(), " or more");
      continue;
    }
    const int64_t last_encoder = encoder.empty() ? -1 : *std::max_element(encoder.begin(), encoder.end());
    check.require(c.parallel.start_layer > last_encoder, "parallel.start_layer", c.parallel.start_layer, "a layer after the encoder's last, ",
                  last_encoder, looping ? " when looping" : "");
    check.require(c.loop.extra_passes == 0 || c.parallel.start_layer > c.loop.end, "parallel.start_layer", c.parallel.start_layer,
                  "a layer after loop.end = ", c.loop.end);
  }
}

}  // namespace

void validate(const ModelConfig& config, const std::string& where) {
  const Checker check(where);
  validate_sizes(config, check);
  validate_loop(config, check);
  validate_parallel(config, check);
}

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
