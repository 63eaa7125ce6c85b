// `sixteen-eval verify --scorer 'CMD'`: options, texts, and which checks run in which order.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

#include "evaluator/scorer_checks.h"
#include "evaluator/verify.h"
#include "formats/error.h"
#include "formats/shard.h"
#include "model/number_checks.h"

namespace sixteen {
namespace {

constexpr int64_t kMostVocab = 65536;  // what uint16 tokens can be
constexpr int64_t kShortestText = 64;

// The text's documents up to `count` tokens, cut off in the middle of one if need be.
Tokens beginning(const Tokens& tokens, int64_t count) {
  return {tokens.begin(), tokens.begin() + std::min<int64_t>(count, static_cast<int64_t>(tokens.size()))};
}

// Bits per byte of equal parts of the text, where bytes are known.
std::vector<double> chunk_curve(const ScorerBench& bench) {
  constexpr size_t kChunks = 64;
  const std::vector<double>& nll = bench.base.nll;
  std::vector<double> curve;
  if (bench.tables == nullptr || nll.size() < kChunks || nll.size() >= bench.text.size()) return curve;
  for (size_t c = 0; c < kChunks; ++c) {
    double sum = 0, bytes = 0;
    for (size_t i = nll.size() * c / kChunks; i < nll.size() * (c + 1) / kChunks; ++i) {
      sum += std::isnan(nll[i]) ? 0 : nll[i];
      bytes += bench.tables->bytes(bench.text[i + 1], bench.text[i]);
    }
    curve.push_back(sum / std::numbers::ln2 / std::max(bytes, 1.0));
  }
  return curve;
}

ScorerSettings settings_of(const VerifyOptions& o) {
  ScorerSettings settings{.random = o.random_stream, .feed = o.scorer.feed, .short_text = o.scorer.short_text, .tolerance = o.scorer.tolerance};
  if (o.perturb > 0) settings.cuts = o.perturb;
  if (o.normalised > 0) settings.positions = o.normalised;
  return settings;
}

void run_checks(ScorerBench* bench, const ScorerVerifyOptions& o, const Tokens& all, const Tokens& twin, const std::vector<std::string>& allowed,
                const Console& console, Verdict* verdict) {
  Progress progress(console, "verifying", 10, "checks");
  uint64_t done = 0;
  const auto step = [&](const auto& check) {
    check();
    progress.update(++done, std::to_string(bench->scorer->runs()) + " runs");
    stop_if_interrupted();
  };
  step([&] { check_bytes(bench, verdict); });
  step([&] { check_future(bench, verdict); });
  step([&] { check_canary(bench, verdict); });
  step([&] { check_isolation(bench, verdict); });
  step([&] { check_distribution(bench, verdict); });
  step([&] { check_random_streams(bench, verdict); });
  step([&] { bench->weak() ? verdict->skip(Condition::kC1, "stepwise", "a stream handed over in order fits no other order") : check_feed(bench, verdict); });
  step([&] {
    if (twin.empty()) return verdict->skip(Condition::kC1, "twin set", "give --twin: text of the same kind that nobody has trained on");
    check_twin(bench, beginning(all, o.twin_tokens), beginning(twin, o.twin_tokens), verdict);
  });
  step([&] {
    if (!o.trace) return verdict->skip(Condition::kC1, "opened files", "give --trace");
    check_files(*bench, allowed, verdict);
  });
  step([&] { check_clock(*bench, verdict); });
  check_counts(bench, verdict);
  progress.finish();
}

}  // namespace

void add_scorer_options(CLI::App* command, ScorerVerifyOptions* o) {
  const char* group = "A program under test (docs/SCORER.md)";
  command->add_option("--scorer", o->command, "shell command of a program that speaks the line protocol; judged instead of a ledger")->group(group);
  command->add_option("--twin", o->twin, "pattern of shards of the same kind as --data that nobody trained on: finds stored text")->group(group);
  command->add_flag("--trace", o->trace, "watch which files and sockets it opens")->group(group);
  command->add_option("--allow", o->allow, "files and folders that it may open beside --artifact, --tokenizer and the system's")->group(group);
  command->add_option("--tokens", o->tokens, "tokens of --data that every run scores")->check(kPositive)->capture_default_str()->group(group);
  command->add_option("--twin-tokens", o->twin_tokens, "tokens of --data and of --twin that are compared")->check(kPositive)->capture_default_str()->group(group);
  command->add_option("--feed", o->feed, "tokens handed over one by one, where it offers feed")->check(kNonNegative)->capture_default_str()->group(group);
  command->add_option("--short-text", o->short_text, "tokens of the text for what takes a run an id of the alphabet")->check(kPositive)->capture_default_str()->group(group);
  command->add_option("--tolerance", o->tolerance, "nats by which equal scores may differ; for programs whose bits depend on batch shapes")
      ->check(kNonNegative)
      ->capture_default_str()
      ->group(group);
  command->add_option("--timeout", o->timeout_s, "seconds for one reply")->check(kPositive)->capture_default_str()->group(group);
}

Verdict verify_scorer(const VerifyOptions& options) {
  const ScorerVerifyOptions& o = options.scorer;
  if (options.data.empty()) throw UsageError("--scorer needs --data: the text to score");
  std::optional<Tokenizer> pieces;
  if (!options.tokenizer.empty()) pieces.emplace(options.tokenizer);
  const int64_t vocab = pieces ? pieces->vocab() : 0;
  const Tokens all = read_shards(options.data, vocab > 0 ? vocab : kMostVocab);
  const Tokens twin = o.twin.empty() ? Tokens() : read_shards(o.twin, vocab > 0 ? vocab : kMostVocab);
  if (static_cast<int64_t>(all.size()) < kShortestText) fail(options.data, ": ", all.size(), " tokens; a test needs at least ", kShortestText);
  std::optional<ByteTables> tables;
  if (pieces) tables = pieces->byte_tables();

  const Scorer::Options start{.command = o.command, .artifact = options.artifact, .seed = options.seed, .timeout_s = o.timeout_s, .trace_fd = -1};
  Scorer scorer(start);
  ScorerBench bench(&scorer, start);
  bench.settings = settings_of(options);
  bench.text = beginning(all, o.tokens);
  bench.bos = pieces ? pieces->bos_id() : 1;
  bench.vocab = vocab > 0 ? vocab : scorer.hello().vocab;
  bench.tables = tables ? &*tables : nullptr;
  bench.other = twin.empty() ? Tokens(all.begin() + static_cast<int64_t>(bench.text.size()), all.end()) : twin;
  bench.ids = ids_of(bench.text, bench.bos);
  if (bench.ids.size() < 2) fail(options.data, ": its first ", bench.text.size(), " tokens are all the same; a test needs real text");

  const std::string name = scorer.hello().name;
  Verdict verdict("program '" + o.command + "'" + (name.empty() ? "" : " (" + name + ")"));
  verdict.fact("text", std::to_string(bench.text.size()) + " tokens of " + options.data);
  verdict.fact("seed of the changes", std::to_string(options.seed));
  if (check_repeatable(&bench, &verdict)) {
    std::vector<std::string> allowed = o.allow;
    for (const std::string& path : {options.artifact, options.tokenizer}) {
      if (!path.empty()) allowed.push_back(path);
    }
    run_checks(&bench, o, all, twin, allowed, options.console, &verdict);
  }
  verdict.set_score(bench.base.bpb);
  verdict.set_curve(chunk_curve(bench));
  verdict.fact("runs", std::to_string(scorer.runs()));
  return verdict;
}

}  // namespace sixteen
