// See method_flags.h.
#include "evaluator/method_flags.h"

#include <CLI/CLI.hpp>

#include "formats/error.h"
#include "model/number_checks.h"

namespace sixteen {
namespace {

// A number whose absence means the config's: the help shows no default of its own.
template <class Number>
CLI::Option* add_number(CLI::App* c, const char* flag, Number* value, const std::string& help, const CLI::Validator& check) {
  return c->add_option(flag, *value, help)->check(check)->default_str("");
}

void add_window_options(CLI::App* c, MethodFlags* o) {
  const char* group = "Windows";
  add_number(c, "--window", &o->window, "tokens of a window, any number; default: the config's, else the model's training length", kPositive)
      ->group(group);
  c->add_flag("--sliding", o->sliding, "overlapping windows at the config's stride; default: plain windows side by side")->group(group);
  add_number(c, "--stride", &o->stride, "targets a sliding window scores; implies --sliding; default: the config's, else 64", kPositive)
      ->group(group);
  c->add_option("--edge", o->edge,
                "sliding windows at the ends of the text; default: the config's, else exact: every target once. For parity with "
                "records only: tail_repeated (#726, and the training evaluators of #726 and #754: the last targets are scored again "
                "and again), full_only (#754's own evaluation: window - stride targets are never scored)")
      ->check(CLI::IsMember({"exact", "tail_repeated", "full_only"}))
      ->group(group);
  add_number(c, "--batch", &o->batch, "windows of one forward pass; the score does not depend on it", kPositive)->group(group);
}

void add_adaptive_options(CLI::App* c, MethodFlags* o) {
  const char* group = "What adapts to the text that was scored";
  c->add_flag("--ttt", o->ttt, "train on each chunk after scoring it (score-first), as [eval.ttt] says; implies --sliding")->group(group);
  add_number(c, "--ttt-lr", &o->ttt_lr, "overrides [eval.ttt] lr", kNonNegative)->group(group);
  add_number(c, "--ttt-epochs", &o->ttt_epochs, "overrides [eval.ttt] epochs", kNonNegative)->group(group);
  c->add_flag("--hash-embed", o->hash, "bigram hash embedding trained along with --ttt, as [eval.hash] says")->group(group);
  add_number(c, "--hash-buckets", &o->hash_buckets, "rows of the hash table; implies --hash-embed; default: the config's, else 16384",
             kPositive)
      ->group(group);
  c->add_option("--tap-in", o->tap_in,
                "online n-gram cache over evaluation tokens, with --sliding or --ttt; default: [eval.tap_in], else none. effective: "
                "what #1555's published command does (min_match 1, top_k 1000, weights 0.01 within and 0.06 across windows); readme: "
                "what its README says (0.02 within); none: off")
      ->check(CLI::IsMember({"effective", "readme", "none"}))
      ->group(group);
}

}  // namespace

void add_method_options(CLI::App* command, MethodFlags* flags) {
  command->add_option("--config", flags->config, "TOML file with [eval]; flags win over it");
  add_window_options(command, flags);
  add_adaptive_options(command, flags);
}

void settle_flags(MethodFlags* o) {
  o->hash = o->hash || o->hash_buckets > 0;
  o->sliding = o->sliding || o->stride > 0 || o->ttt;
  if (o->hash && !o->ttt) throw UsageError("--hash-embed needs --ttt: the table starts at zero and only training fills it");
  if (!o->edge.empty() && !o->sliding) throw UsageError("--edge needs --sliding or --ttt: plain windows have no such rule");
  if (!o->tap_in.empty() && o->tap_in != "none" && !o->sliding) {
    throw UsageError("--tap-in " + o->tap_in + " needs --sliding or --ttt: plain windows take no hints");
  }
}

ScoreMethod read_method(const MethodFlags& o, const ModelConfig& model) {
  ScoreMethod method{.scoring = o.ttt ? Scoring::kTraining : o.sliding ? Scoring::kSliding : Scoring::kPlain, .hash = o.hash, .config = {}};
  EvalConfig& c = method.config;
  if (!o.config.empty()) {
    ConfigFile file(o.config);
    file.check_sections({"model", "train", "pack", "eval"});
    c = read_eval_config(file.section("eval"), o.config);
  }
  if (o.window > 0) c.window = o.window;
  if (o.stride > 0) c.stride = o.stride;
  if (!o.edge.empty()) {
    parse_edge(o.edge, &c.edge);
    c.ttt.edge = c.edge;
  }
  if (o.batch > 0) c.batch = o.batch;
  if (o.hash_buckets > 0) c.hash.buckets = o.hash_buckets;
  if (!o.tap_in.empty()) tap_in_preset(o.tap_in, &c.tap_in);
  if (o.ttt_lr >= 0) c.ttt.lr = o.ttt_lr;
  if (o.ttt_epochs >= 0) c.ttt.epochs = o.ttt_epochs;
  validate(&c, model, method.scoring, o.config.empty() ? "command line" : o.config);
  return method;
}

}  // namespace sixteen
