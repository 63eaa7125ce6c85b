// sixteen-eval bench: token-forwards a second of scoring, against the machine's own matrix rate, on random tokens; with --gpus
// each rank scores such batches, and the slowest one's time counts.
// Bites: --tune writes graph/gemm_table_rows.h anew, and with other rows the bits of scores on such a card change.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "evaluator/commands.h"
#include "evaluator/eval_config.h"
#include "formats/error.h"
#include "formats/file.h"
#include "formats/sha256.h"
#include "model/at_work.h"
#include "model/console.h"
#include "model/launcher.h"
#include "model/peak.h"
#include "model/process_clock.h"
#include "model/profile_report.h"
#include "model/session.h"

namespace sixteen {
namespace {

struct BenchOptions {
  std::string config, device = "cpu", tune;
  int threads = 0, gpus = 0;
  int64_t repeats = 5, windows = 8;
  bool profile = false;
  Console console;
};

// Random tokens of a batch whose windows score their last `tail` targets.
struct Batch {
  std::vector<int32_t> ids, targets;
  std::vector<float> nll;

  Batch(int64_t windows, int64_t seq, int64_t tail, int64_t vocab)
      : ids(static_cast<size_t>(windows * seq)), targets(static_cast<size_t>(windows * tail)), nll(targets.size()) {
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>((i * 2654435761u >> 7) % static_cast<uint64_t>(vocab));
    for (size_t i = 0; i < targets.size(); ++i) targets[i] = static_cast<int32_t>((i * 2246822519u >> 5) % static_cast<uint64_t>(vocab));
  }
};

struct Timing {
  double seconds = 1e30, first_seconds = 0;  // the best of the repeats, the slowest rank's; from the process's start to the end of the first
  std::string hash;                          // of the losses
};

Timing time_scoring(Session* session, int64_t windows, int64_t seq, int64_t tail, int64_t repeats) {
  Batch batch(windows, seq, tail, session->config().vocab);
  Communicator& ranks = session->device().ranks();
  const AtWork at_work(ranks);
  Timing timing;
  for (int64_t r = 0; r <= repeats; ++r) {  // the first compiles and is not timed
    ranks.barrier();
    const auto start = std::chrono::steady_clock::now();
    session->score(batch.ids, batch.targets, windows, seq, tail, batch.nll);
    const double seconds = std::ranges::max(ranks.gather(seconds_since(start)));
    if (r == 0) timing.first_seconds = process_seconds();
    else timing.seconds = std::min(timing.seconds, seconds);
    ranks.alive();
  }
  timing.hash = to_hex(sha256(std::as_bytes(std::span(batch.nll)))).substr(0, 16);
  return timing;
}

// Measures the products of scoring and of test-time training and writes the table's source: with `windows` windows a batch.
void tune(const BenchOptions& o, Session* session, const EvalConfig& eval) {
  if (session->device().gemm_library().empty()) {
    fail("--tune: ", session->device().name(), " has no matrix products to choose from; use --device cuda");
  }
  session->reserve({session->score_options(o.windows, eval.window, eval.window), session->score_options(o.windows, eval.window, eval.stride),
                    session->train_options(session->train_batch(eval.window), eval.window, true)},
                   "use fewer windows");
  const GemmMeasurement measured = session->device().measure_gemm();
  for (const std::string& line : measured.lines) {
    if (line.starts_with("table")) o.console.say(line);
  }
  write_file(o.tune, table_source(measured.rows));
  o.console.say("wrote ", measured.rows.size(), " rows to ", o.tune, "; they count once they are graph/gemm_table_rows.h and built");
}

void bench(BenchOptions& o) {
  if (!o.tune.empty() && o.gpus > 1) throw UsageError("--tune measures one card; leave --gpus out");
  const std::shared_ptr<World> world = launch_or_join(o.gpus, &o.console);
  ConfigFile file(o.config);
  file.check_sections({"model", "train", "pack", "eval"});
  const ModelConfig model = read_model_config(file.section("model"), o.config);
  EvalConfig eval = read_eval_config(file.section("eval"), o.config);
  validate(&eval, model, Scoring::kSliding, o.config);
  auto table = std::make_shared<ParamTable>(model);
  Session session(make_device(o.device, o.threads, world), model, table);
  const int ranks = session.device().ranks().size();
  ParamStore store(table);
  initialise(model, 1, &store);
  session.set_weights(store);
  if (!o.tune.empty()) tune(o, &session, eval);
  session.reserve({session.score_options(o.windows, eval.window, eval.window)}, "use fewer --windows (now " + std::to_string(o.windows) + ")");
  o.console.say(table->parameters(), " parameters on ", devices_text(session.device()), ", table of products ", scoring_table_digest().substr(0, 16));
  std::vector<std::pair<int64_t, Timing>> timings;
  for (const int64_t tail : {eval.window, eval.stride}) {
    timings.emplace_back(tail, time_scoring(&session, o.windows, eval.window, tail, o.repeats));
  }
  const double first_seconds = timings[0].second.first_seconds;
  o.console.say("first scores ", format_count(first_seconds), " s after the process began");
  const MachineRates rates = measure_rates(session.device());
  nlohmann::ordered_json json{{"device", session.device().name()},
                              {"ranks", ranks},
                              {"scoring_table", scoring_table_digest()},
                              {"first_scores_seconds", first_seconds},
                              {"gemm_flops", rates.flops},
                              {"stream_bytes_per_second", rates.bytes}};
  o.console.say("our matrix product ", format_count(rates.flops), "flop/s, our stream ", format_count(rates.bytes), "B/s");
  for (const auto& [tail, timing] : timings) {
    const BuildOptions program = session.score_options(o.windows, eval.window, tail);
    const double flops = graph_cost(build_model(model, *table, program).graph).flops / timing.seconds;
    const double rate = static_cast<double>(ranks * o.windows * eval.window) / timing.seconds;
    o.console.say("windows of ", eval.window, ", ", tail, " targets each: ", format_count(rate), " token-forwards/s, ", format_count(flops),
                  ranks > 1 ? "flop/s a rank = " : "flop/s = ", static_cast<int>(100 * flops / rates.flops), " % of our product, hash ", timing.hash);
    nlohmann::ordered_json& entry = json[tail == eval.window ? "plain" : "sliding"];
    entry = {{"token_forwards_per_second", rate}, {"flops", flops}, {"share_of_gemm", flops / rates.flops}, {"hash", timing.hash}};
    if (!o.profile) continue;
    const std::vector<OpTime> ops = session.profile(program, rates);
    say_profile(o.console, "op, " + std::to_string(tail) + " targets a window", ops, timing.seconds);
    entry["profile"] = profile_json(ops, timing.seconds);
  }
  o.console.result(json);
}

}  // namespace

void add_eval_bench_command(CLI::App& app) {
  auto o = std::make_shared<BenchOptions>();
  CLI::App* c = app.add_subcommand("bench", "Time scoring with a config's model, random weights and tokens");
  add_console_options(*c, &o->console);
  c->add_option("--config", o->config, "TOML file with [model] and [eval]")->required();
  c->add_option("--windows", o->windows, "windows of one batch")->capture_default_str();
  c->add_option("--repeats", o->repeats, "timed runs; the best counts")->capture_default_str();
  c->add_option("--device", o->device, "cpu or cuda")->capture_default_str();
  c->add_option("--threads", o->threads, "CPU threads; 0: all cores")->capture_default_str();
  add_gpus_option(*c, &o->gpus);
  c->add_flag("--profile", o->profile, "a table of time, bytes and flops by op, each beside its floor");
  c->add_option("--tune", o->tune, "first measure the matrix products and write the table's source to this file (CUDA)");
  c->callback([o] { bench(*o); });
}

}  // namespace sixteen
