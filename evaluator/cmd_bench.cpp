// sixteen-eval bench: token-forwards a second of scoring, against the machine's own matrix rate, on random tokens.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "evaluator/commands.h"
#include "evaluator/eval_config.h"
#include "formats/error.h"
#include "formats/sha256.h"
#include "model/console.h"
#include "model/peak.h"
#include "model/session.h"

namespace sixteen {
namespace {

struct BenchOptions {
  std::string config, device = "cpu";
  int threads = 0;
  int64_t repeats = 5, windows = 8;
  Console console;
};

void bench(const BenchOptions& o) {
  ConfigFile file(o.config);
  file.check_sections({"model", "train", "pack", "eval"});
  const ModelConfig model = read_model_config(file.section("model"), o.config);
  EvalConfig eval = read_eval_config(file.section("eval"), o.config);
  validate(&eval, model, Scoring::kSliding, o.config);
  auto table = std::make_shared<ParamTable>(model);
  Session session(make_device(o.device, o.threads), model, table);
  ParamStore store(table);
  initialise(model, 1, &store);
  session.set_weights(store);
  const double peak = measure_peak_flops(session.device());
  nlohmann::ordered_json json{{"device", session.device().name()}, {"gemm_flops", peak}};
  o.console.say(table->parameters(), " parameters on ", session.device().name(), "; our matrix product ", format_count(peak), "flop/s");
  std::vector<int32_t> ids(static_cast<size_t>(o.windows * eval.window));
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>((i * 2654435761u >> 7) % static_cast<uint64_t>(model.vocab));
  for (const int64_t tail : {eval.window, eval.stride}) {
    std::vector<int32_t> targets(static_cast<size_t>(o.windows * tail));
    for (size_t i = 0; i < targets.size(); ++i) targets[i] = static_cast<int32_t>((i * 2246822519u >> 5) % static_cast<uint64_t>(model.vocab));
    std::vector<float> nll(targets.size());
    double best = 1e30;
    for (int64_t r = 0; r <= o.repeats; ++r) {  // the first compiles and is not timed
      const auto start = std::chrono::steady_clock::now();
      session.score(ids, targets, o.windows, eval.window, tail, nll);
      if (r > 0) best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    const BuildOptions built{.mode = Mode::kScore, .windows = o.windows, .seq = eval.window, .tail = tail, .hash = {}};
    const double flops = graph_cost(build_model(model, *table, built).graph).flops / best;
    const double rate = static_cast<double>(ids.size()) / best;
    const std::string hash = to_hex(sha256(std::as_bytes(std::span(nll)))).substr(0, 16);
    o.console.say("windows of ", eval.window, ", ", tail, " targets each: ", format_count(rate), " token-forwards/s, ", format_count(flops),
                  "flop/s = ", static_cast<int>(100 * flops / peak), " % of our product, hash ", hash);
    json[tail == eval.window ? "plain" : "sliding"] = {{"token_forwards_per_second", rate}, {"flops", flops}, {"share_of_gemm", flops / peak}, {"hash", hash}};
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
  c->callback([o] { bench(*o); });
}

}  // namespace sixteen
