// sixteen-eval score: plain or sliding windows, with test-time training and hash embedding if asked.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "evaluator/commands.h"
#include "evaluator/report.h"
#include "evaluator/ttt.h"
#include "formats/error.h"
#include "formats/file.h"
#include "formats/shard.h"
#include "model/checkpoint.h"
#include "model/console.h"

namespace sixteen {
namespace {

struct ScoreCommand {
  std::string model, data, tokenizer, config, nll_out, report, device = "cpu";
  int64_t window = 0, stride = 0, batch = 0, hash_buckets = 0, ttt_epochs = -1;
  double ttt_lr = -1;
  bool sliding = false, ttt = false, hash = false;
  int threads = 0;
  Console console;
};

struct Outcome {
  ScoreSum sum;
  double seconds = 0;
  int64_t windows = 0, ttt_steps = 0;
  std::vector<float> nll;
};

EvalConfig load_config(const ScoreCommand& o, const ModelConfig& model) {
  EvalConfig c;
  if (!o.config.empty()) {
    ConfigFile file(o.config);
    file.check_sections({"model", "train", "pack", "eval"});
    c = read_eval_config(file.section("eval"), o.config);
  }
  if (o.window > 0) c.window = o.window;
  if (o.stride > 0) c.stride = o.stride;
  if (o.batch > 0) c.batch = o.batch;
  if (o.hash_buckets > 0) c.hash.buckets = o.hash_buckets;
  if (o.ttt_lr >= 0) c.ttt.lr = o.ttt_lr;
  if (o.ttt_epochs >= 0) c.ttt.epochs = o.ttt_epochs;
  const Scoring scoring = o.ttt ? Scoring::kTraining : o.sliding ? Scoring::kSliding : Scoring::kPlain;
  validate(&c, model, scoring, o.config.empty() ? "command line" : o.config);
  return c;
}

std::string method(const ScoreCommand& o, const EvalConfig& c) {
  std::string text = "plain windows of " + std::to_string(c.window);
  if (o.sliding) text = "sliding windows of " + std::to_string(c.window) + ", stride " + std::to_string(c.stride);
  if (o.ttt) text += ", score-first training (lr " + std::to_string(c.ttt.lr) + ", " + std::to_string(c.ttt.epochs) + " epochs)";
  if (o.hash) text += ", hash embedding of " + std::to_string(c.hash.buckets);
  return text;
}

Outcome score(const ScoreCommand& o, const EvalConfig& c, Session* session, const std::vector<uint16_t>& tokens, const ByteTables& tables) {
  const int64_t targets = static_cast<int64_t>(tokens.size()) - 1;
  const std::vector<Window> windows = o.sliding ? sliding_windows(targets, c.window, c.stride, c.drop_tail)
                                                : plain_windows(targets, c.window, c.drop_tail);
  Outcome outcome;
  outcome.windows = static_cast<int64_t>(windows.size());
  std::vector<float>* nll = o.nll_out.empty() && o.report.empty() ? nullptr : &outcome.nll;
  if (o.ttt) {
    Progress progress(o.console, "scoring and training", static_cast<uint64_t>(targets), "targets");
    const auto show = [&](int64_t done, double bpb) { progress.update(static_cast<uint64_t>(done), "bpb " + std::to_string(bpb).substr(0, 6)); };
    const TttResult result = score_with_training(session, tokens, tables, c, nll, show);
    progress.finish();
    outcome.sum = result.sum;
    outcome.ttt_steps = result.steps;
    outcome.seconds = progress.seconds();
  } else {
    Progress progress(o.console, "scoring", windows.size(), "windows");
    const auto show = [&](int64_t done) {
      progress.update(static_cast<uint64_t>(done));
      stop_if_interrupted();
    };
    outcome.sum = score_windows(session, tokens, windows, &tables, {.batch = c.batch, .logits_bf16 = c.logits_bf16}, nll, show);
    progress.finish();
    outcome.seconds = progress.seconds();
  }
  return outcome;
}

void run(ScoreCommand& o) {
  install_interrupt_handler();
  if (o.hash_buckets > 0) o.hash = true;
  if (o.hash && !o.ttt) throw UsageError("--hash-embed needs --ttt: the table starts at zero and only training fills it");
  o.sliding = o.sliding || o.stride > 0 || o.ttt;
  const Model model = load_model(o.model);
  const EvalConfig c = load_config(o, model.config);
  const Tokenizer tokenizer(o.tokenizer);
  if (tokenizer.vocab() != model.config.vocab) {
    fail(o.tokenizer, ": vocabulary of ", tokenizer.vocab(), " pieces, but ", o.model, " has ", model.config.vocab,
         "; give the tokenizer that the model was trained with");
  }
  const ByteTables tables = tokenizer.byte_tables(model.config.vocab);
  const std::vector<uint16_t> tokens = read_shards(o.data, model.config.vocab);
  if (static_cast<int64_t>(tokens.size()) < c.window + 1) {
    fail(o.data, ": ", tokens.size(), " tokens, but one window needs ", c.window + 1, "; give more text or a smaller --window");
  }
  Session session(make_device(o.device, o.threads), model.config, model.table);
  session.set_weights(model.store);
  if (o.hash) session.enable_hash(c.hash);
  for (const std::string& path : {o.nll_out, o.report}) {
    if (!path.empty()) OutputFile probe(path);  // an unwritable place is better known before the scoring
  }
  const Outcome r = score(o, c, &session, tokens, tables);
  if (!std::isfinite(r.sum.nll)) fail(o.model, ": the loss is ", r.sum.nll, ": the weights overflow; was the training run sound?");

  char bpb[32];
  std::snprintf(bpb, sizeof(bpb), "%.6f", r.sum.bpb());
  o.console.say(o.model, ": ", bpb, " bits per byte, loss ", r.sum.loss(), " nats a token; ", method(o, c));
  o.console.say(r.sum.targets, " targets, ", r.sum.bytes, " bytes, ", r.windows, " windows, ", format_duration(r.seconds), ", ",
                format_count(static_cast<double>(r.sum.targets) / r.seconds), " targets/s on ", session.device().name());
  if (!o.nll_out.empty()) {
    write_file(o.nll_out, std::string_view(reinterpret_cast<const char*>(r.nll.data()), r.nll.size() * sizeof(float)));
  }
  if (!o.report.empty()) {
    write_report(o.report,
                 {o.model + ": " + bpb + " bits per byte",
                  {{"method", method(o, c)},
                   {"targets, bytes", std::to_string(r.sum.targets) + ", " + std::to_string(r.sum.bytes)},
                   {"model", std::to_string(model.file_bytes) + " bytes, SHA-256 " + to_hex(model.digest)},
                   {"seconds", format_duration(r.seconds) + " on " + session.device().name()}}},
                 tokens, r.nll, tables);
  }
  o.console.result({{"bpb", r.sum.bpb()},
                    {"loss", r.sum.loss()},
                    {"targets", r.sum.targets},
                    {"bytes", r.sum.bytes},
                    {"windows", r.windows},
                    {"ttt_steps", r.ttt_steps},
                    {"seconds", r.seconds},
                    {"model_bytes", model.file_bytes},
                    {"model_sha256", to_hex(model.digest)},
                    {"method", method(o, c)}});
}

}  // namespace

void add_score_command(CLI::App& app) {
  auto o = std::make_shared<ScoreCommand>();
  CLI::App* c = app.add_subcommand("score", "Bits per byte of validation shards under a model");
  add_console_options(*c, &o->console);
  c->add_option("model", o->model, "artifact (.s16) or checkpoint (.safetensors)")->required();
  c->add_option("--data", o->data, "pattern of validation shards, quoted")->required();
  c->add_option("--tokenizer", o->tokenizer, "SentencePiece model of the shards; counts bytes")->required();
  c->add_option("--config", o->config, "TOML file with [eval]");
  c->add_option("--window", o->window, "tokens of a window; default: the model's training length")->check(CLI::PositiveNumber);
  c->add_flag("--sliding", o->sliding, "overlapping windows at the config's stride; default: plain windows side by side");
  c->add_option("--stride", o->stride, "targets a sliding window scores; implies --sliding (64)")->check(CLI::PositiveNumber);
  c->add_option("--batch", o->batch, "windows of one forward pass; the score does not depend on it")->check(CLI::PositiveNumber);
  c->add_flag("--ttt", o->ttt, "train on each chunk after scoring it (score-first); implies --sliding");
  c->add_option("--ttt-lr", o->ttt_lr, "overrides [eval.ttt] lr")->check(CLI::NonNegativeNumber);
  c->add_option("--ttt-epochs", o->ttt_epochs, "overrides [eval.ttt] epochs")->check(CLI::NonNegativeNumber);
  c->add_flag("--hash-embed", o->hash, "bigram hash embedding trained along with --ttt");
  c->add_option("--hash-buckets", o->hash_buckets, "rows of the hash table; implies --hash-embed (16384)")->check(CLI::PositiveNumber);
  c->add_option("--nll-out", o->nll_out, "write one float32 a scored target, nats, in order");
  c->add_option("--report", o->report, "write a picture of the score (HTML)");
  c->add_option("--device", o->device, "cpu or cuda")->capture_default_str();
  c->add_option("--threads", o->threads, "CPU threads; 0: all cores")->check(CLI::NonNegativeNumber)->capture_default_str();
  c->callback([o] { run(*o); });
}

}  // namespace sixteen
