// sixteen-eval score: plain or sliding windows, with test-time training, hash embedding and Tap-In if asked. Options and
// files; the scoring itself is scoring.cpp.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "evaluator/commands.h"
#include "evaluator/method_flags.h"
// uncounted: begin
#include "evaluator/ledger.h"
#include "evaluator/report.h"
#include "model/launcher.h"
// uncounted: end
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
  std::string model, data, tokenizer, nll_out, report, ledger, device = "cpu";
  MethodFlags method;
  int64_t snapshots = 4;
  bool resume_ledger = false;
  int threads = 0, gpus = 0;
  Console console;
};

void write_outputs(const ScoreCommand& o, const Model& model, const ScoreMethod& method, const ScoreOutcome& r, const std::string& bpb,
                   const std::string& device, std::span<const uint16_t> tokens, const ByteTables& tables) {
  if (!o.nll_out.empty()) {
    write_file(o.nll_out, std::string_view(reinterpret_cast<const char*>(r.nll.data()), r.nll.size() * sizeof(float)));
  }
  // uncounted: begin
  if (o.report.empty()) return;
  ScoreReport report{o.model + ": " + bpb + " bits per byte", {{"method", method_text(method)}}};
  for (const std::string& note : score_notes(method, r)) report.facts.emplace_back("note", note);
  for (const auto& row : settings(method)) report.facts.push_back(row);
  report.facts.emplace_back("targets, bytes", std::to_string(r.sum.targets) + ", " + std::to_string(r.sum.bytes));
  report.facts.emplace_back("model", std::to_string(model.file_bytes) + " bytes, SHA-256 " + to_hex(model.digest));
  report.facts.emplace_back("seconds", format_duration(r.seconds) + " on " + device);
  write_report(o.report, report, tokens, r.windows, r.nll, tables);
  // uncounted: end
}

void run(ScoreCommand& o) {
  install_interrupt_handler();
  settle_flags(&o.method);
  if (o.resume_ledger && o.ledger.empty()) throw UsageError("--resume-ledger needs --ledger DIR: the run to go on with");
  const Model model = load_model(o.model);
  const ScoreMethod method = read_method(o.method, model.config);
  const Tokenizer tokenizer(o.tokenizer);
  if (tokenizer.vocab() != model.config.vocab) {
    fail(o.tokenizer, ": vocabulary of ", tokenizer.vocab(), " pieces, but ", o.model, " has ", model.config.vocab,
         "; give the tokenizer that the model was trained with");
  }
  const ByteTables tables = tokenizer.byte_tables(model.config.vocab);
  std::shared_ptr<World> world;
  // uncounted: begin
  world = launch_or_join(o.gpus, &o.console);  // what is wrong up to here is said once
  const auto started = LedgerRecorder::Clock::now();  // of the evaluation: validation tokens are read from here on
  // uncounted: end
  const std::vector<uint16_t> tokens = read_shards(o.data, model.config.vocab);
  const int64_t window = method.config.window;
  if (static_cast<int64_t>(tokens.size()) < window + 1) {
    fail(o.data, ": ", tokens.size(), " tokens, but one window needs ", window + 1, "; give more text or a smaller --window");
  }
  Session session(make_device(o.device, o.threads, world), model.config, model.table);
  session.set_weights(model.store);
  const Communicator& ranks = session.device().ranks();
  const bool writes = ranks.rank() == 0;
  for (const std::string& path : {o.nll_out, o.report}) {
    if (writes && !path.empty()) OutputFile probe(path);  // an unwritable place is better known before the scoring
  }
  ScoreWitness* witness = nullptr;
  // uncounted: begin
  std::unique_ptr<ScoreWitness> owned;
  if (!o.ledger.empty() && writes) {
    ScoredFiles files = scored_files(o.model, o.data, o.tokenizer, tokenizer.bos_id());
    owned = std::make_unique<LedgerRecorder>(o.ledger, o.resume_ledger, o.snapshots, std::move(files), started);
  } else if (!o.ledger.empty()) {
    owned = std::make_unique<RankWitness>(o.ledger);
  }
  witness = owned.get();
  // uncounted: end
  const bool keep_nll = !o.nll_out.empty() || !o.report.empty();
  const ScoreOutcome r = run_scoring(method, &session, tokens, tables, tokenizer.bos_id(), keep_nll, o.console, witness);
  if (!std::isfinite(r.sum.nll)) fail(o.model, ": the loss is ", r.sum.nll, ": the weights overflow; was the training run sound?");
  if (!writes) return;

  const std::string device = devices_text(session.device());
  char bpb[32];
  std::snprintf(bpb, sizeof(bpb), "%.6f", r.sum.bpb());
  o.console.say(o.model, ": ", bpb, " bits per byte, loss ", r.sum.loss(), " nats a token; ", method_text(method));
  for (const std::string& note : score_notes(method, r)) o.console.say(note);
  o.console.say(r.sum.targets, " targets, ", r.sum.bytes, " bytes, ", r.windows.size(), " windows, ", format_duration(r.seconds), ", ",
                format_count(static_cast<double>(r.sum.targets) / r.seconds), " targets/s on ", device);
  write_outputs(o, model, method, r, bpb, device, tokens, tables);
  nlohmann::json json = score_json(method, r);
  json["ranks"] = ranks.size();
  json["model_bytes"] = model.file_bytes;
  json["model_sha256"] = to_hex(model.digest);
  o.console.result(json);
}

}  // namespace

void add_score_command(CLI::App& app) {
  auto o = std::make_shared<ScoreCommand>();
  CLI::App* c = app.add_subcommand("score", "Bits per byte of validation shards under a model");
  add_console_options(*c, &o->console);
  c->add_option("model", o->model, "artifact (.s16) or checkpoint (.safetensors)")->required();
  c->add_option("--data", o->data, "pattern of validation shards, quoted")->required();
  c->add_option("--tokenizer", o->tokenizer, "SentencePiece model of the shards; counts bytes")->required();
  add_method_options(c, &o->method);
  c->add_option("--nll-out", o->nll_out,
                "write the nats of every scored target, float32, window by window: target 1, 2, ... under --edge exact; under "
                "tail_repeated repeated targets appear again, under full_only targets stride + 1 .. window are missing");
  // uncounted: begin
  c->add_option("--report", o->report, "write a picture of the score (HTML), curves in the order of --nll-out");
  c->add_option("--ledger", o->ledger, "new folder for a chained record of the run, which sixteen-eval verify judges");
  c->add_flag("--resume-ledger", o->resume_ledger, "go on with the run in --ledger that was cut off, to the same bits");
  c->add_option("--ledger-states", o->snapshots, "with --ttt: how often the ledger keeps the complete state, to start midway from")
      ->check(kNonNegative)
      ->capture_default_str();
  // uncounted: end
  c->add_option("--device", o->device, "cpu or cuda")->capture_default_str();
  c->add_option("--threads", o->threads, "CPU threads of a rank; 0: all cores, shared by the ranks")->check(kNonNegative)->capture_default_str();
  // uncounted: begin
  add_gpus_option(*c, &o->gpus);
  // uncounted: end
  c->callback([o] { run(*o); });
}

}  // namespace sixteen
