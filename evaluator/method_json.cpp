// See method_json.h. One list of fields serves both directions; `batch` is not in it, since no bit depends on it.
#include "evaluator/method_json.h"

#include <nlohmann/json.hpp>

#include "formats/check.h"
#include "formats/error.h"

namespace sixteen {
namespace {

const std::pair<Scoring, const char*> kScorings[] = {{Scoring::kPlain, "plain"}, {Scoring::kSliding, "sliding"}, {Scoring::kTraining, "ttt"}};
using Scope = FakeQuantConfig::Scope;
const std::pair<Scope, const char*> kScopes[] = {{Scope::kNone, "none"}, {Scope::kProjections, "projections"}, {Scope::kMatrices, "matrices"}};
const std::pair<Edge, const char*> kEdges[] = {
    {Edge::kExact, edge_name(Edge::kExact)}, {Edge::kTailRepeated, edge_name(Edge::kTailRepeated)}, {Edge::kFullOnly, edge_name(Edge::kFullOnly)}};

struct Writer {
  nlohmann::json json = nlohmann::json::object();
  template <class Value>
  void field(const char* key, const Value* value) {
    json[key] = *value;
  }
  template <class Value>
  void field_or(const char* key, const Value* value, const Value&) {
    field(key, value);
  }
  template <class Enum, size_t n>
  void choice(const char* key, const Enum* value, const std::pair<Enum, const char*> (&names)[n]) {
    for (const auto& [one, name] : names) {
      if (one == *value) json[key] = name;
    }
    CHECK(json.contains(key));
  }
};

struct Reader {
  const nlohmann::json& json;
  const std::string& where;
  size_t fields = 0;
  const nlohmann::json& at(const char* key) {
    ++fields;
    if (!json.contains(key)) fail(where, ": method.", key, " is missing");
    return json.at(key);
  }
  template <class Value>
  void field(const char* key, Value* value) {
    try {
      at(key).get_to(*value);
    } catch (const nlohmann::json::exception&) {
      fail(where, ": method.", key, ": a value of the wrong type: ", json.at(key).dump());
    }
  }
  template <class Value>
  void field_or(const char* key, Value* value, const Value& absent) {
    if (json.contains(key)) field(key, value);
    else *value = absent;
  }
  template <class Enum, size_t n>
  void choice(const char* key, Enum* value, const std::pair<Enum, const char*> (&names)[n]) {
    const nlohmann::json& found = at(key);
    for (const auto& [one, name] : names) {
      if (found != name) continue;
      *value = one;
      return;
    }
    fail(where, ": method.", key, ": unknown value ", found.dump());
  }
};

template <class Visitor, class Method>
void visit(Visitor* v, Method* m) {
  auto* c = &m->config;
  v->choice("scoring", &m->scoring, kScorings);
  v->field("window", &c->window);
  v->field("stride", &c->stride);
  v->choice("edge", &c->edge, kEdges);
  v->field("drop_tail", &c->drop_tail);
  v->field("logits_bf16", &c->logits_bf16);
  v->field("ttt.lr", &c->ttt.lr);
  v->field("ttt.epochs", &c->ttt.epochs);
  v->field("ttt.chunk", &c->ttt.chunk);
  v->field("ttt.batch_seqs", &c->ttt.batch_seqs);
  v->field_or("ttt.parts", &c->ttt.parts, int64_t{1});  // ledgers before it was recorded: one
  v->field("ttt.momentum", &c->ttt.momentum);
  v->field("ttt.clip_norm", &c->ttt.clip_norm);
  v->field("ttt.freeze_blocks", &c->ttt.freeze_blocks);
  v->choice("ttt.fake_quant", &c->ttt.fake_quant.scope, kScopes);
  v->field("ttt.fake_quant_low", &c->ttt.fake_quant.low);
  v->field("hash", &m->hash);
  v->field("hash.buckets", &c->hash.buckets);
  v->field("hash.multiplier", &c->hash.multiplier);
  v->field("hash.before_norm", &c->hash.before_norm);
  v->field("hash.own_previous", &c->hash.own_previous);
  v->field("hash.lr_mult", &c->hash_lr_mult);
  v->field("tap_in", &c->tap_in.enabled);
  v->field("tap_in.min_match", &c->tap_in.min_match);
  v->field("tap_in.max_match", &c->tap_in.max_match);
  v->field("tap_in.top_k", &c->tap_in.top_k);
  v->field("tap_in.within_weight", &c->tap_in.within_weight);
  v->field("tap_in.cross_weight", &c->tap_in.cross_weight);
  v->field("tap_in.cross", &c->tap_in.cross);
  v->field("tap_in.entropy_min", &c->tap_in.entropy_min);
}

}  // namespace

nlohmann::json method_to_json(const ScoreMethod& method) {
  Writer writer;
  visit(&writer, &method);
  return writer.json;
}

ScoreMethod method_from_json(const nlohmann::json& json, const std::string& where) {
  if (!json.is_object()) fail(where, ": method: expected an object");
  Reader reader{json, where};
  ScoreMethod method;
  visit(&reader, &method);
  if (json.size() != reader.fields) fail(where, ": method: expected ", reader.fields, " keys, found ", json.size());
  return method;
}

}  // namespace sixteen
