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
  if (o.ledger.empty() && o.scorer.command.empty()) throw UsageError("verify needs a LEDGER folder or --scorer 'COMMAND'");
  if (!o.ledger.empty() && !o.scorer.command.empty()) throw UsageError("a LEDGER or --scorer, not both");
  if (!o.scorer.command.empty() && (!o.replay.empty() || !o.text.empty())) throw UsageError("--replay and --text belong to a LEDGER, not to --scorer");
  for (const auto& [flag, value] : {std::pair{"--artifact", &o.artifact}, {"--data", &o.data}, {"--tokenizer", &o.tokenizer}}) {
    if (value->empty() && !o.ledger.empty()) throw UsageError(std::string("verify LEDGER needs ") + flag + ": a ledger is judged against the files it names");
  }
  if (o.reference && o.replay.empty()) throw UsageError("--reference needs --replay N|all: it says how chunks are executed again");
}

std::string check_replay_count(const std::string& text) {
  int64_t count = 0;
  if (text == "all" || (CLI::detail::lexical_cast(text, count) && count > 0)) return "";
  return "expected \"all\" or a number of chunks, found " + text;
}

Verdict judge_ledger(const VerifyOptions& o) {
  Verdict verdict("ledger " + o.ledger);
  const std::unique_ptr<LedgerCase> ledger = check_ledger(o, &verdict);
  if (ledger == nullptr) return verdict;
  check_replay(o, *ledger, &verdict);
  check_perturbed(o, *ledger, &verdict);
  check_normalised(o, *ledger, &verdict);
  check_random_stream(o, *ledger, &verdict);
  check_text(o, *ledger, &verdict);
  return verdict;
}

void run(const VerifyOptions& o) {
  install_interrupt_handler();
  settle_flags(o);
  if (!o.report.empty()) OutputFile probe(o.report);  // an unwritable place is better known now
  const Verdict verdict = o.ledger.empty() ? verify_scorer(o) : judge_ledger(o);
  o.console.say(verdict.text());
  if (!o.report.empty()) verdict.write_html(o.report);
  o.console.result(verdict.json());
  if (!verdict.legal()) fail(verdict.headline());
}

}  // namespace

void add_verify_command(CLI::App& app) {
  auto o = std::make_shared<VerifyOptions>();
  CLI::App* c = app.add_subcommand("verify", "Judge a score: its ledger against artifact, data and tokenizer, or a program that makes scores");
  add_console_options(*c, &o->console);
  c->add_option("ledger", o->ledger, "folder written by score --ledger");
  c->add_option("--artifact", o->artifact, "the model that was scored");
  c->add_option("--data", o->data, "pattern of the validation shards, quoted");
  c->add_option("--tokenizer", o->tokenizer, "SentencePiece model of the shards");
  c->add_option("--text", o->text, "the raw documents in the stream's order, .jsonl with \"text\": bytes are counted there too");
  c->add_option("--limit-s", o->limit_s, "seconds that the evaluation may have taken by its own clock; 0: do not judge")
      ->check(kNonNegative)
      ->capture_default_str();
  const char* group = "What is executed (each costs time)";
  c->add_option("--replay", o->replay, "execute N chunks again, or all of them, and compare losses and digests")
      ->check(CLI::Validator(check_replay_count, "N|all"))
      ->group(group);
  c->add_flag("--reference", o->reference, "with --replay: losses by plain fp64 ops that share no kernel with the scorer; slow")->group(group);
  c->add_option("--perturb", o->perturb, "change the tokens behind N cuts, in all ways for each; earlier scores must not move by a bit; --scorer: 16 unless given")
      ->check(kNonNegative)
      ->group(group);
  c->add_option("--normalised", o->normalised, "N positions whose distributions must sum to one and not move with the target; --scorer: 16 unless given")
      ->check(kNonNegative)
      ->group(group);
  c->add_option("--random-stream", o->random_stream, "score N random tokens the same way: no mean loss may fall below ln V'; --scorer: as many as --tokens unless given")
      ->check(kNonNegative)
      ->group(group);
  c->add_option("--seed", o->seed, "of chunks, cuts and positions; 0: drawn from the ledger's last hash")->capture_default_str()->group(group);
  c->add_option("--device", o->device, "cpu or cuda; of what is executed again")->capture_default_str()->group(group);
  c->add_option("--threads", o->threads, "CPU threads; 0: all cores")->check(kNonNegative)->capture_default_str()->group(group);
  c->add_option("--report", o->report, "write the verdict with its evidence (HTML)");
  add_scorer_options(c, &o->scorer);
  c->callback([o] { run(*o); });
}

}  // namespace sixteen
