// Which configs make a model: every size in its range and all of them fitting together.
//
// Bites: configs come out of files that anybody may have written, so sizes are bounded before anything is
// computed from them.
#include <algorithm>

#include "formats/error.h"
#include "model/config.h"

namespace sixteen {

namespace {

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
  check.require(!c.loop.pass_embedding || c.loop.extra_passes > 0, "loop.pass_embedding", "true",
                "loop.extra_passes of 1 or more");
  if (c.loop.extra_passes == 0) return;
  check.range("loop.start", c.loop.start, 0, c.layers - 1);
  check.range("loop.end", c.loop.end, c.loop.start, c.layers - 1);
}

void validate_extras(const ModelConfig& c, const Checker& check) {
  check.range("bigram.rows", c.bigram.rows, 0, int64_t{1} << 24);
  check.range("bigram.dim", c.bigram.dim, 1, 16384);
  check.require(c.bigram.rows != 1, "bigram.rows", c.bigram.rows, "0 (none) or 2 and more: the last row is a window's first token's");
  const ValueEmbeddingConfig& ve = c.value_embedding;
  check.range("value_embedding.dim", ve.dim, 0, 16384);
  check.require(ve.layers.empty() == (ve.dim == 0), "value_embedding.layers", ve.layers.size() == 0 ? "none" : "some",
                ve.dim == 0 ? "none, since value_embedding.dim is 0" : "the layers that read it, since value_embedding.dim is set");
  for (size_t i = 0; i < ve.layers.size(); ++i) {
    check.range("value_embedding.layers", ve.layers[i], i == 0 ? 0 : ve.layers[i - 1] + 1, c.layers - 1);
  }
  check.require(!c.value_residual || c.layers >= 2, "value_residual", "true", "2 layers or more, since layer 0 has nothing to blend with");
}

// Lanes open in the decoder and stay open; the records never do otherwise, so nothing says what it would mean.
void validate_parallel(const ModelConfig& c, const Checker& check) {
  check.choice("parallel.kind", c.parallel.kind, {"none", "two_lane"});
  check.choice("parallel.final_lane", c.parallel.final_lane, {"mean", "mlp", "attn"});
  check.range("parallel.resid_init", c.parallel.resid_init, -1e4, 1e4);
  if (c.parallel.kind == "none") return;
  const int64_t visits = c.layers + c.loop.extra_passes * (c.loop.end - c.loop.start + 1);
  check.range("parallel.start_layer", c.parallel.start_layer, 0,
              (c.parallel.start_is_physical ? c.layers : visits) - 1);
  for (const bool looping : {false, true}) {
    const LayerOrder order = layer_order(c, looping);
    const std::vector<int64_t>& encoder = order.encoder;
    if (!c.parallel.start_is_physical) {
      check.require(c.parallel.start_layer >= static_cast<int64_t>(encoder.size()), "parallel.start_layer",
                    c.parallel.start_layer, "a position in the decoder, ", encoder.size(), " or more");
      continue;
    }
    const int64_t last_encoder = encoder.empty() ? -1 : *std::max_element(encoder.begin(), encoder.end());
    check.require(c.parallel.start_layer > last_encoder, "parallel.start_layer", c.parallel.start_layer,
                  "a layer after the encoder's last, ", last_encoder, looping ? " when looping" : "");
    check.require(c.loop.extra_passes == 0 || c.parallel.start_layer > c.loop.end, "parallel.start_layer",
                  c.parallel.start_layer, "a layer after loop.end = ", c.loop.end);
  }
}

}  // namespace

void validate(const ModelConfig& config, const std::string& where) {
  const Checker check(where);
  validate_sizes(config, check);
  validate_loop(config, check);
  validate_extras(config, check);
  validate_parallel(config, check);
}

}  // namespace sixteen
