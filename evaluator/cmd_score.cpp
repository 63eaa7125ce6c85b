// sixteen-eval score: plain or sliding windows, with test-time training, hash embedding and Tap-In if asked. Options and
// files; the scoring itself is scoring.cpp.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "evaluator/commands.h"
#include "evaluator/report.h"
#include "evaluator/scoring.h"
#include "formats/error.h"
#include "formats/file.h"
#include "formats/shard.h"
#include "model/checkpoint.h"
#include "model/console.h"
#include "model/number_checks.h"

namespace sixteen {
namespace {

struct ScoreCommand {
  std::string model, data, tokenizer, config, edge, tap_in, nll_out, report, device = "cpu";
  int64_t window = 0, stride = 0, batch = 0, hash_buckets = 0, ttt_epochs = -1;
  double ttt_lr = -1;
  bool sliding = false, ttt = false, hash = false;
  int threads = 0;
  Console console;
};

// What flags imply, and the flags that make no sense together: wrong usage.
void settle_flags(ScoreCommand* o) {
  o->hash = o->hash || o->hash_buckets > 0;
  o->sliding = o->sliding || o->stride > 0 || o->ttt;
  if (o->hash && !o->ttt) throw UsageError("--hash-embed needs --ttt: the table starts at zero and only training fills it");
  if (!o->edge.empty() && !o->sliding) throw UsageError("--edge needs --sliding or --ttt: plain windows have no such rule");
  if (!o->tap_in.empty() && o->tap_in != "none" && !o->sliding) {
    throw UsageError("--tap-in " + o->tap_in + " needs --sliding or --ttt: plain windows take no hints");
  }
}

ScoreMethod read_method(const ScoreCommand& o, const ModelConfig& model) {
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

void write_outputs(const ScoreCommand& o, const Model& model, const ScoreMethod& method, const ScoreOutcome& r, const std::string& bpb,
                   const std::string& device, std::span<const uint16_t> tokens, const ByteTables& tables) {
  if (!o.nll_out.empty()) {
    write_file(o.nll_out, std::string_view(reinterpret_cast<const char*>(r.nll.data()), r.nll.size() * sizeof(float)));
  }
  if (o.report.empty()) return;
  ScoreReport report{o.model + ": " + bpb + " bits per byte", {{"method", method_text(method)}}};
  for (const std::string& note : score_notes(method, r)) report.facts.emplace_back("note", note);
  for (const auto& row : settings(method)) report.facts.push_back(row);
  report.facts.emplace_back("targets, bytes", std::to_string(r.sum.targets) + ", " + std::to_string(r.sum.bytes));
  report.facts.emplace_back("model", std::to_string(model.file_bytes) + " bytes, SHA-256 " + to_hex(model.digest));
  report.facts.emplace_back("seconds", format_duration(r.seconds) + " on " + device);
  write_report(o.report, report, tokens, r.windows, r.nll, tables);
}

void run(ScoreCommand& o) {
  install_interrupt_handler();
  settle_flags(&o);
  const Model model = load_model(o.model);
  const ScoreMethod method = read_method(o, model.config);
  const Tokenizer tokenizer(o.tokenizer);
  if (tokenizer.vocab() != model.config.vocab) {
    fail(o.tokenizer, ": vocabulary of ", tokenizer.vocab(), " pieces, but ", o.model, " has ", model.config.vocab,
         "; give the tokenizer that the model was trained with");
  }
  const ByteTables tables = tokenizer.byte_tables(model.config.vocab);
  const std::vector<uint16_t> tokens = read_shards(o.data, model.config.vocab);
  const int64_t window = method.config.window;
  if (static_cast<int64_t>(tokens.size()) < window + 1) {
    fail(o.data, ": ", tokens.size(), " tokens, but one window needs ", window + 1, "; give more text or a smaller --window");
  }
  Session session(make_device(o.device, o.threads), model.config, model.table);
  session.set_weights(model.store);
  for (const std::string& path : {o.nll_out, o.report}) {
    if (!path.empty()) OutputFile probe(path);  // an unwritable place is better known before the scoring
  }
  const bool keep_nll = !o.nll_out.empty() || !o.report.empty();
  const ScoreOutcome r = run_scoring(method, &session, tokens, tables, tokenizer.bos_id(), keep_nll, o.console);
  if (!std::isfinite(r.sum.nll)) fail(o.model, ": the loss is ", r.sum.nll, ": the weights overflow; was the training run sound?");

  char bpb[32];
  std::snprintf(bpb, sizeof(bpb), "%.6f", r.sum.bpb());
  o.console.say(o.model, ": ", bpb, " bits per byte, loss ", r.sum.loss(), " nats a token; ", method_text(method));
  for (const std::string& note : score_notes(method, r)) o.console.say(note);
  o.console.say(r.sum.targets, " targets, ", r.sum.bytes, " bytes, ", r.windows.size(), " windows, ", format_duration(r.seconds), ", ",
                format_count(static_cast<double>(r.sum.targets) / r.seconds), " targets/s on ", session.device().name());
  write_outputs(o, model, method, r, bpb, session.device().name(), tokens, tables);
  nlohmann::json json = score_json(method, r);
  json["model_bytes"] = model.file_bytes;
  json["model_sha256"] = to_hex(model.digest);
  o.console.result(json);
}

// A number whose absence means the config's: the help shows no default of its own.
template <class Number>
CLI::Option* add_number(CLI::App* c, const char* flag, Number* value, const std::string& help, const CLI::Validator& check) {
  return c->add_option(flag, *value, help)->check(check)->default_str("");
}

void add_window_options(CLI::App* c, ScoreCommand* o) {
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

void add_adaptive_options(CLI::App* c, ScoreCommand* o) {
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

void add_score_command(CLI::App& app) {
  auto o = std::make_shared<ScoreCommand>();
  CLI::App* c = app.add_subcommand("score", "Bits per byte of validation shards under a model");
  add_console_options(*c, &o->console);
  c->add_option("model", o->model, "artifact (.s16) or checkpoint (.safetensors)")->required();
  c->add_option("--data", o->data, "pattern of validation shards, quoted")->required();
  c->add_option("--tokenizer", o->tokenizer, "SentencePiece model of the shards; counts bytes")->required();
  c->add_option("--config", o->config, "TOML file with [eval]; flags win over it");
  add_window_options(c, o.get());
  add_adaptive_options(c, o.get());
  c->add_option("--nll-out", o->nll_out,
                "write the nats of every scored target, float32, window by window: target 1, 2, ... under --edge exact; under "
                "tail_repeated repeated targets appear again, under full_only targets stride + 1 .. window are missing");
  c->add_option("--report", o->report, "write a picture of the score (HTML), curves in the order of --nll-out");
  c->add_option("--device", o->device, "cpu or cuda")->capture_default_str();
  c->add_option("--threads", o->threads, "CPU threads; 0: all cores")->check(kNonNegative)->capture_default_str();
  c->callback([o] { run(*o); });
}

}  // namespace sixteen
