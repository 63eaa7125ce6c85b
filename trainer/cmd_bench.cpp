// sixteen-train bench: ms a step, tokens/s and the share of the machine's matrix rate, loop off and on, on random tokens.
// Rates and shares are those of forward and backward; the optimiser, whose time does not grow with the tokens, stands beside.
//
// Peers in the same run: our own square product (peak.h) and OpenBLAS's sgemm of the same, best of several. The last column
// is a hash of the losses, so that a fast wrong answer shows.
// Bites: the peers come last, so that nothing stands between the process's start and its first step; profiling runs ops on
// gradients and weights that move on, so it comes after the hashes.
#include <cblas.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "formats/error.h"
#include "model/console.h"
#include "model/launcher.h"
#include "model/peak.h"
#include "model/process_clock.h"
#include "model/profile_report.h"
#include "trainer/commands.h"
#include "trainer/device_setup.h"
#include "trainer/step_bench.h"
#include "trainer/train_config.h"

namespace sixteen {
namespace {

struct BenchOptions {
  std::string config, device = "cpu";
  int threads = 0;
  int64_t steps = 5, windows = 0;
  bool profile = false, tune = false, against_one = false;
  int gpus = 0;
  Console console;
};

using Clock = std::chrono::steady_clock;

// Best rate of OpenBLAS's sgemm on 1024 x 1024 x 1024, flops a second.
double openblas_flops() {
  constexpr int kSize = 1024;
  std::vector<float> a(kSize * kSize), b(kSize * kSize), c(kSize * kSize);
  for (size_t i = 0; i < a.size(); ++i) {
    a[i] = static_cast<float>((i * 2654435761u) % 2001) / 1000.0f - 1.0f;
    b[i] = static_cast<float>((i * 2246822519u) % 1999) / 1000.0f - 1.0f;
  }
  double best = 1e30;
  const auto begin = Clock::now();
  while (seconds_since(begin) < 0.3) {
    const auto start = Clock::now();
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, kSize, kSize, kSize, 1, a.data(), kSize, b.data(), kSize, 0, c.data(), kSize);
    best = std::min(best, seconds_since(start));
  }
  return 2.0 * kSize * kSize * kSize / best;
}

// What one graph's timing says: beside the rates that are known only at the end.
nlohmann::ordered_json report(const BenchOptions& o, const char* name, const StepTiming& t, double tokens, double flops_per_token, double peak,
                              double peer) {
  const double rate = tokens / t.seconds * flops_per_token;
  o.console.say(name, ": ", format_count(1000 * t.seconds), " ms + ", format_count(1000 * t.optimiser_seconds), " ms optimiser a step, ",
                format_count(tokens / t.seconds), " tokens/s, ", format_count(rate), "flop/s = ", static_cast<int>(100 * rate / peak),
                " % of our product", peer > 0 ? ", " + std::to_string(static_cast<int>(100 * rate / peer)) + " % of OpenBLAS's" : "",
                ", hash ", t.hash);
  o.console.say("  whole steps: ", format_count(1000 * t.whole_seconds), " ms, ", format_count(tokens / t.whole_seconds), " tokens/s");
  return {{"ms_per_step", 1000 * t.seconds},
          {"whole_step_ms", 1000 * t.whole_seconds},
          {"whole_tokens_per_second", tokens / t.whole_seconds},
          {"optimiser_ms", 1000 * t.optimiser_seconds},
          {"tokens_per_second", tokens / t.seconds},
          {"flops", rate},
          {"share_of_gemm", rate / peak},
          {"hash", t.hash}};
}

// The whole step of this rank: every micro-batch and the optimiser.
nlohmann::json profile(const BenchOptions& o, StepBench* bench, const TrainConfig& train, bool looping, const StepTiming& t,
                       const MachineRates& rates) {
  std::vector<OpTime> ops;
  const BuildOptions program = bench->session().train_options(train.micro_windows, train.seq_len, looping);
  add_op_times(&ops, bench->session().profile(program, rates), bench->passes());
  add_op_times(&ops, bench->optimizer().profile(rates));
  const double seconds = t.seconds + t.optimiser_seconds;
  say_profile(o.console, looping ? "op, loop on" : "op, loop off", ops, seconds);
  return profile_json(ops, seconds);
}

// What several ranks are for: the exchange that is not hidden, and the rate against one of them doing the same steps alone.
nlohmann::ordered_json report_ranks(const BenchOptions& o, const char* name, const StepTiming& t, int ranks, int64_t wire_bytes, double alone) {
  o.console.say("  ", name, ", ", ranks, " ranks: ", format_count(static_cast<double>(wire_bytes)), "B sent by a rank a step, ",
                format_count(1e6 * t.exchange_seconds), " us of it not hidden",
                alone > 0 ? ", " + format_count(alone / t.whole_seconds) + " x one rank" : "");
  nlohmann::ordered_json json{{"ranks", ranks}, {"wire_bytes", wire_bytes}, {"unhidden_us", 1e6 * t.exchange_seconds}};
  if (alone > 0) json["scaling"] = alone / t.whole_seconds;
  return json;
}

std::vector<bool> loops(const ModelConfig& model) { return model.loop.extra_passes == 0 ? std::vector{false} : std::vector{false, true}; }

// Seconds of whole steps that rank 0 takes alone, on a device of its own, while the others wait.
std::map<bool, double> time_alone(const BenchOptions& o, const ModelConfig& model, const std::shared_ptr<const ParamTable>& table,
                                  const TrainConfig& train, Communicator& ranks) {
  std::map<bool, double> seconds;
  if (o.against_one && ranks.rank() == 0) {
    const std::shared_ptr<Device> device = make_device(o.device, o.threads);
    use_measured_products(device.get(), o.console);
    StepBench bench(device, model, table, train);
    for (const bool looping : loops(model)) seconds[looping] = bench.time(looping, o.steps).whole_seconds;
  }
  ranks.barrier();
  return seconds;
}

TrainConfig bench_config(Section section, const BenchOptions& o, int ranks) {
  TrainConfig train = read_train_config(section, o.config);
  if (o.windows > 0) {
    train.micro_windows = o.windows;
    train.windows_per_step = o.windows * ranks;
    train.virtual_ranks = ranks;
  }
  return train;
}

void bench(BenchOptions& o) {
  ConfigFile file(o.config);
  file.check_sections({"model", "train", "pack", "eval"});
  const ModelConfig model = read_model_config(file.section("model"), o.config);
  if (o.gpus > 1) StepShare(bench_config(file.section("train"), o, o.gpus), 0, o.gpus);  // refuses before anything is started
  if (o.tune && o.gpus > 1) throw UsageError("--tune: measure on one card first, without --gpus");
  const std::shared_ptr<World> world = launch_or_join(o.gpus, &o.console);
  const int ranks = world != nullptr ? world->size() : 1;
  const TrainConfig train = bench_config(file.section("train"), o, ranks);
  auto table = std::make_shared<ParamTable>(model);
  const std::shared_ptr<Device> device = make_device(o.device, o.threads, world);
  if (o.tune) tune_products(device, model, table, train, o.console);
  else use_measured_products(device.get(), o.console);
  std::map<bool, double> alone = time_alone(o, model, table, train, device->ranks());
  const double device_seconds = process_seconds();
  StepBench steps(device, model, table, train);
  o.console.say(table->parameters(), " parameters on ", device->name());
  const double weights_seconds = process_seconds();
  std::map<bool, StepTiming> timings;
  for (const bool looping : loops(model)) {
    timings[looping] = steps.time(looping, o.steps);
    if (looping) continue;
    o.console.say("first step done ", format_count(timings[false].first_seconds), " s after the process began (device ",
                  format_count(device_seconds), ", weights ", format_count(weights_seconds - device_seconds), ", step ",
                  format_count(timings[false].first_seconds - weights_seconds), ")");
  }
  const MachineRates rates = measure_rates(*device);
  nlohmann::ordered_json json{{"device", device->name()},
                              {"parameters", table->parameters()},
                              {"device_seconds", device_seconds},
                              {"weights_seconds", weights_seconds},
                              {"first_step_seconds", timings[false].first_seconds},
                              {"gemm_flops", rates.flops},
                              {"stream_bytes_per_second", rates.bytes}};
  o.console.say("our matrix product ", format_count(rates.flops), "flop/s, our stream ", format_count(rates.bytes), "B/s");
  double peer = 0;
  if (o.device == "cpu") {
    peer = openblas_flops();
    json["openblas_flops"] = peer;
    o.console.say("OpenBLAS sgemm (", openblas_get_corename(), ", ", openblas_get_num_threads(), " threads) ", format_count(peer), "flop/s");
  }
  for (const auto& [looping, timing] : timings) {
    const double tokens = static_cast<double>(train.windows_per_step * train.seq_len);
    const double flops = train_flops_per_token(model, train.seq_len, looping);
    const char* name = looping ? "loop on" : "loop off";
    const char* key = looping ? "loop_on" : "loop_off";
    json[key] = report(o, name, timing, tokens, flops, rates.flops * ranks, peer);
    if (ranks > 1) json[key].update(report_ranks(o, name, timing, ranks, steps.optimizer().wire_bytes(), alone[looping]));
  }
  if (o.profile) {
    for (const auto& [looping, timing] : timings) {
      json[looping ? "loop_on" : "loop_off"]["profile"] = profile(o, &steps, train, looping, timing, rates);
    }
  }
  o.console.result(json);
}

}  // namespace

void add_bench_command(CLI::App& app) {
  auto o = std::make_shared<BenchOptions>();
  CLI::App* c = app.add_subcommand("bench", "Time training steps of a config on random tokens");
  add_console_options(*c, &o->console);
  c->add_option("--config", o->config, "TOML file with [model] and [train]")->required();
  c->add_option("--device", o->device, "cpu or cuda")->capture_default_str();
  c->add_option("--threads", o->threads, "CPU threads; 0: all cores")->capture_default_str();
  c->add_option("--steps", o->steps, "timed steps; the best counts")->capture_default_str();
  c->add_option("--windows", o->windows, "windows of a pass, one pass a rank and step; default: the config's");
  add_gpus_option(*c, &o->gpus);
  c->add_flag("--against-one", o->against_one, "with several ranks: first time the same steps on one of them alone");
  c->add_flag("--profile", o->profile, "a table of time, bytes and flops by op, each beside its floor");
  c->add_flag("--tune", o->tune, "first measure the fastest matrix products and write them to this machine's cache (CUDA)");
  c->callback([o] { bench(*o); });
}

}  // namespace sixteen
