// See proof_method.h.
#include "evaluator/proof_method.h"

#include <algorithm>

#include "formats/error.h"

namespace sixteen {
namespace {

constexpr int64_t kLargest = int64_t{1} << 31;  // of any whole setting: sums and products of them stay in 64 bits

// The numbers of the settings. Calls visit(tag, &field) for each, ascending.
template <class Visit>
void each_setting(ProofMethod* m, Visit visit) {
  EvalConfig& c = m->score.config;
  TttConfig& t = c.ttt;
  visit(1, &m->arith);
  visit(2, &m->score.scoring);
  visit(3, &c.window);
  visit(4, &c.stride);
  visit(5, &c.logits_bf16);
  visit(6, &t.lr);
  visit(7, &t.epochs);
  visit(8, &t.chunk);
  visit(9, &t.batch_seqs);
  visit(10, &t.momentum);
  visit(11, &t.clip_norm);
  visit(12, &t.freeze_blocks);
  visit(13, &t.fake_quant.scope);
  visit(14, &t.fake_quant.low);
  visit(15, &m->score.hash);
  visit(16, &c.hash.buckets);
  visit(17, &c.hash.multiplier);
  visit(18, &c.hash.before_norm);
  visit(19, &c.hash.own_previous);
  visit(20, &c.hash_lr_mult);
  visit(21, &t.parts);
}

ProofMethod default_method(const ModelConfig& model) {
  ProofMethod m;
  m.score.scoring = Scoring::kSliding;
  m.score.config.window = model.rope.train_len;
  m.score.config.ttt.parts = 1;  // of proofs from before the setting
  return m;
}

// Settings of what is off are their defaults'.
ProofMethod relevant(ProofMethod m) {
  EvalConfig& c = m.score.config;
  const EvalConfig plain;
  c.ttt.edge.reset();
  if (m.score.scoring == Scoring::kPlain) c.stride = plain.stride;
  if (m.score.scoring != Scoring::kTraining) {
    c.ttt = plain.ttt;
    c.ttt.parts = 1;
  }
  if (!m.score.hash) {
    c.hash = plain.hash;
    c.hash_lr_mult = plain.hash_lr_mult;
  }
  return m;
}

std::variant<int64_t, double> number(const double* field) { return *field; }
template <class Field>
std::variant<int64_t, double> number(const Field* field) {
  return static_cast<int64_t>(*field);
}

// The largest number of each kind of field; kinds are enumerated from 0.
int64_t largest(const bool*) { return 1; }
int64_t largest(const Arith*) { return static_cast<int64_t>(Arith::kNative); }
int64_t largest(const Scoring*) { return static_cast<int64_t>(Scoring::kTraining); }
int64_t largest(const FakeQuantConfig::Scope*) { return static_cast<int64_t>(FakeQuantConfig::Scope::kMatrices); }
int64_t largest(const int64_t*) { return kLargest; }

bool assign(const std::variant<int64_t, double>& value, double* field) {
  const double* real = std::get_if<double>(&value);
  if (real == nullptr) return false;
  *field = *real;
  return true;
}

template <class Field>
bool assign(const std::variant<int64_t, double>& value, Field* field) {
  const int64_t* whole = std::get_if<int64_t>(&value);
  const int64_t least = std::is_same_v<Field, int64_t> ? -kLargest : 0;
  if (whole == nullptr || *whole < least || *whole > largest(field)) return false;
  *field = static_cast<Field>(*whole);
  return true;
}

}  // namespace

std::string make_decodable(ScoreMethod* method) {
  EvalConfig& c = method->config;
  if (c.tap_in.enabled) {
    fail("compress does not code with Tap-In, whose mixture is computed by the C library and not the same everywhere; give --tap-in none");
  }
  std::string note;
  if (c.edge != Edge::kExact) note = std::string("edge rule ") + edge_name(c.edge);
  if (c.drop_tail) note += note.empty() ? "drop_tail" : " and drop_tail";
  if (!note.empty()) note += " put aside: every target is coded once";
  c.edge = Edge::kExact;
  c.ttt.edge.reset();
  c.drop_tail = false;
  return note;
}

std::vector<ProofSetting> proof_settings(const ProofMethod& method, const ModelConfig& model) {
  ProofMethod written = relevant(method), standard = default_method(model);
  std::vector<ProofSetting> settings, defaults;
  each_setting(&written, [&](int tag, const auto* field) { settings.push_back({tag, number(field)}); });
  each_setting(&standard, [&](int tag, const auto* field) { defaults.push_back({tag, number(field)}); });
  size_t i = 0;
  std::erase_if(settings, [&](const ProofSetting& setting) { return setting.value == defaults[i++].value; });
  return settings;
}

ProofMethod proof_method(const std::vector<ProofSetting>& settings, const ModelConfig& model, const std::string& where) {
  ProofMethod m = default_method(model);
  size_t used = 0;
  each_setting(&m, [&](int tag, auto* field) {
    if (used == settings.size() || settings[used].tag != tag) return;
    if (!assign(settings[used].value, field)) fail(where, ": setting ", tag, " is out of range");
    ++used;
  });
  if (used != settings.size()) fail(where, ": setting ", settings[used].tag, " is unknown; a later version may know it");
  if (m.score.hash && m.score.scoring != Scoring::kTraining) fail(where, ": a hash embedding without training");
  validate(&m.score.config, model, m.score.scoring, where);
  return m;
}

}  // namespace sixteen
