// sixteen-eval verify: options, the verdict's way to console, JSON and report, and the exit code.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "evaluator/commands.h"
#include "evaluator/verify.h"
#include "formats/error.h"
#include "formats/file.h"
#include "model/number_checks.h"

namespace sixteen {
namespace {

void settle_flags(const VerifyOptions& o) {
  if (o.ledger.empty()) throw UsageError("verify needs a LEDGER folder");
}

void run(const VerifyOptions& o) {
  install_interrupt_handler();
  settle_flags(o);
  if (!o.report.empty()) OutputFile probe(o.report);  // an unwritable place is better known now
  Verdict verdict("ledger " + o.ledger);
  o.console.say(verdict.text());
  if (!o.report.empty()) verdict.write_html(o.report);
  o.console.result(verdict.json());
  if (!verdict.legal()) fail(verdict.headline());
}

}  // namespace

void add_verify_command(CLI::App& app) {
  auto o = std::make_shared<VerifyOptions>();
  CLI::App* c = app.add_subcommand("verify", "Judge a score: its ledger against artifact, data and tokenizer");
  add_console_options(*c, &o->console);
  c->add_option("ledger", o->ledger, "folder written by score --ledger");
  c->add_option("--artifact", o->artifact, "the model that was scored");
  c->add_option("--data", o->data, "pattern of the validation shards, quoted");
  c->add_option("--tokenizer", o->tokenizer, "SentencePiece model of the shards");
  c->add_option("--report", o->report, "write the verdict with its evidence (HTML)");
  c->add_option("--device", o->device, "cpu or cuda; of what is executed again")->capture_default_str();
  c->add_option("--threads", o->threads, "CPU threads; 0: all cores")->check(kNonNegative)->capture_default_str();
  c->callback([o] { run(*o); });
}

}  // namespace sixteen
