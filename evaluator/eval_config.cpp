// See eval_config.h.
#include "evaluator/eval_config.h"

#include <bit>

#include "formats/error.h"

namespace sixteen {
namespace {

constexpr int64_t kMostParts = 1024;

Edge read_edge(const std::string& name, const char* key, const std::string& where) {
  Edge edge = Edge::kExact;
  if (!parse_edge(name, &edge)) {
    fail(where, ": ", key, ": expected \"exact\", \"tail_repeated\" or \"full_only\", found \"", name, "\"");
  }
  return edge;
}

void read_ttt(Section section, TttConfig* ttt, const std::string& where) {
  section.read("lr", &ttt->lr);
  section.read("epochs", &ttt->epochs);
  section.read("chunk", &ttt->chunk);
  section.read("batch_seqs", &ttt->batch_seqs);
  section.read("parts", &ttt->parts);
  section.read("momentum", &ttt->momentum);
  section.read("clip_norm", &ttt->clip_norm);
  section.read("freeze_blocks", &ttt->freeze_blocks);
  std::string edge;
  if (section.has("edge")) {
    section.read("edge", &edge);
    ttt->edge = read_edge(edge, "ttt.edge", where);
  }
  std::string scope = "none";
  section.read("fake_quant", &scope);
  section.read("fake_quant_low", &ttt->fake_quant.low);
  section.finish();
  using Scope = FakeQuantConfig::Scope;
  if (scope == "projections") {
    ttt->fake_quant.scope = Scope::kProjections;
  } else if (scope == "matrices") {
    ttt->fake_quant.scope = Scope::kMatrices;
  } else if (scope != "none") {
    fail(where, ": ttt.fake_quant: expected \"none\", \"projections\" or \"matrices\", found \"", scope, "\"");
  }
}

void read_tap_in(Section section, TapInConfig* tap_in) {
  section.read("enabled", &tap_in->enabled);
  section.read("min_match", &tap_in->min_match);
  section.read("max_match", &tap_in->max_match);
  section.read("top_k", &tap_in->top_k);
  section.read("within_weight", &tap_in->within_weight);
  section.read("cross_weight", &tap_in->cross_weight);
  section.read("cross", &tap_in->cross);
  section.read("entropy_min", &tap_in->entropy_min);
  section.finish();
}

class Checker {
 public:
  explicit Checker(const std::string& where) : where_(where) {}
  template <class Value>
  void require(bool holds, const char* key, const Value& found, const std::string& rule) const {
    if (!holds) fail(where_, ": ", key, ": expected ", rule, ", found ", found);
  }

 private:
  const std::string& where_;
};

void validate_tap_in(const TapInConfig& t, const Checker& check) {
  if (!t.enabled) return;
  check.require(t.min_match >= 1, "tap_in.min_match", t.min_match, "1 or more");
  check.require(t.max_match >= t.min_match, "tap_in.max_match", t.max_match,
                "at least tap_in.min_match = " + std::to_string(t.min_match));
  check.require(t.top_k >= 1, "tap_in.top_k", t.top_k, "1 or more");
  check.require(t.within_weight >= 0 && t.within_weight <= 0.5, "tap_in.within_weight", t.within_weight, "a number in 0 .. 0.5");
  check.require(t.cross_weight >= 0 && t.cross_weight <= 0.5, "tap_in.cross_weight", t.cross_weight, "a number in 0 .. 0.5");
  check.require(t.entropy_min >= 0, "tap_in.entropy_min", t.entropy_min, "0 or more nats");
}

void validate_ttt(const EvalConfig& c, const ModelConfig& model, const Checker& check) {
  const TttConfig& t = c.ttt;
  check.require(c.edge != Edge::kFullOnly, "edge", edge_name(c.edge),
                "\"exact\" or \"tail_repeated\" with --ttt (full_only would train on targets that it never scores; ttt.edge and --edge win over edge)");
  check.require(t.lr >= 0, "ttt.lr", t.lr, "0 or more");
  check.require(t.epochs >= 0, "ttt.epochs", t.epochs, "0 or more");
  check.require(t.batch_seqs >= 1, "ttt.batch_seqs", t.batch_seqs, "1 or more");
  check.require(t.parts >= 1 && t.parts <= kMostParts && std::has_single_bit(static_cast<uint64_t>(t.parts)), "ttt.parts", t.parts,
                "a power of two, 1 to " + std::to_string(kMostParts));
  check.require(t.momentum >= 0 && t.momentum < 1, "ttt.momentum", t.momentum, "a number in [0, 1)");
  check.require(t.clip_norm >= 0, "ttt.clip_norm", t.clip_norm, "0 (none) or more");
  check.require(t.chunk >= c.window, "ttt.chunk", t.chunk, "at least the window of " + std::to_string(c.window));
  check.require(t.freeze_blocks >= 0 && t.freeze_blocks <= model.layers, "ttt.freeze_blocks", t.freeze_blocks,
                "0 to the model's " + std::to_string(model.layers) + " layers");
  check.require(t.fake_quant.low == -32 || t.fake_quant.low == -31, "ttt.fake_quant_low", t.fake_quant.low, "-32 or -31");
  check.require(t.fake_quant.scope != FakeQuantConfig::Scope::kProjections || model.bigram.rows > 0 || model.value_embedding.dim > 0,
                "ttt.fake_quant", "projections", "\"none\" or \"matrices\" for a model without bigram and value embedding");
}

}  // namespace

EvalConfig read_eval_config(Section section, const std::string& where) {
  EvalConfig c;
  section.read("window", &c.window);
  section.read("stride", &c.stride);
  section.read("batch", &c.batch);
  section.read("drop_tail", &c.drop_tail);
  section.read("logits_bf16", &c.logits_bf16);
  std::string edge = edge_name(c.edge);
  section.read("edge", &edge);
  c.edge = read_edge(edge, "edge", where);
  read_ttt(section.table("ttt"), &c.ttt, where);
  Section hash = section.table("hash");
  hash.read("buckets", &c.hash.buckets);
  hash.read("multiplier", &c.hash.multiplier);
  hash.read("before_norm", &c.hash.before_norm);
  hash.read("own_previous", &c.hash.own_previous);
  hash.read("lr_mult", &c.hash_lr_mult);
  hash.finish();
  read_tap_in(section.table("tap_in"), &c.tap_in);
  section.finish();
  return c;
}

void validate(EvalConfig* c, const ModelConfig& model, Scoring scoring, const std::string& where) {
  const Checker check(where);
  if (c->window == 0) c->window = model.rope.train_len;
  check.require(c->window >= 1, "window", c->window, "1 or more");
  check.require(c->batch >= 0, "batch", c->batch, "0 or more");
  check.require(c->hash.buckets >= 1, "hash.buckets", c->hash.buckets, "1 or more");
  check.require(c->hash.multiplier >= 1, "hash.multiplier", c->hash.multiplier, "1 or more");
  check.require(c->hash_lr_mult >= 0, "hash.lr_mult", c->hash_lr_mult, "0 or more");
  validate_tap_in(c->tap_in, check);
  if (scoring == Scoring::kPlain) {
    c->tap_in.enabled = false;  // as in the record: it mixes into sliding windows alone
    return;
  }
  check.require(c->stride >= 1 && c->stride <= c->window, "stride", c->stride,
                "1 to the window of " + std::to_string(c->window));
  if (scoring != Scoring::kTraining) return;
  c->edge = c->ttt.edge.value_or(c->edge);
  validate_ttt(*c, model, check);
}

}  // namespace sixteen
