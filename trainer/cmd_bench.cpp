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
#include "formats/sha256.h"
#include "model/console.h"
#include "model/optim.h"
#include "model/peak.h"
#include "model/process_clock.h"
#include "model/profile_report.h"
#include "trainer/commands.h"
#include "trainer/device_setup.h"
#include "trainer/train_config.h"

namespace sixteen {
namespace {

struct BenchOptions {
  std::string config, device = "cpu";
  int threads = 0;
  int64_t steps = 5, windows = 0;
  bool profile = false, tune = false;
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

struct Timing {
  double seconds = 1e30, optimiser_seconds = 1e30;  // best of each; seconds: forward and backward
  double first_seconds = 0;                         // from the process's start to the end of the first step
  std::string hash;                                 // of the losses
};

Timing time_steps(Session* session, Optimizer* optimizer, const TrainConfig& train, bool looping, int64_t steps) {
  const size_t rows = static_cast<size_t>(train.micro_windows * train.seq_len);
  std::vector<int32_t> ids(rows), targets(rows);
  const std::vector<float> weight(rows, 1.0f / static_cast<float>(train.windows_per_step * train.seq_len));
  for (size_t i = 0; i < rows; ++i) {
    ids[i] = static_cast<int32_t>((i * 2654435761u >> 7) % static_cast<uint64_t>(session->config().vocab));
    targets[i] = static_cast<int32_t>((i * 2246822519u >> 5) % static_cast<uint64_t>(session->config().vocab));
  }
  Timing timing;
  std::vector<double> losses;
  for (int64_t s = 0; s < steps + 1; ++s) {  // the first step compiles and is not timed
    const auto start = Clock::now();
    session->zero_grads();
    double loss = 0;
    for (int64_t done = 0; done < train.windows_per_step; done += train.micro_windows) {
      loss += session->train(ids, targets, weight, train.micro_windows, train.seq_len, looping);
    }
    const double seconds = seconds_since(start);
    optimizer->step({.lr_scale = 0.1, .momentum = 0.9});
    losses.push_back(loss);
    if (s == 0) timing.first_seconds = process_seconds();
    if (s == 0) continue;
    timing.seconds = std::min(timing.seconds, seconds);
    timing.optimiser_seconds = std::min(timing.optimiser_seconds, seconds_since(start) - seconds);
  }
  timing.hash = to_hex(sha256(std::as_bytes(std::span(losses)))).substr(0, 16);
  return timing;
}

// What one graph's timing says: beside the rates that are known only at the end.
nlohmann::ordered_json report(const BenchOptions& o, const char* name, const Timing& t, double tokens, double flops_per_token, double peak,
                              double peer) {
  const double rate = tokens / t.seconds * flops_per_token;
  o.console.say(name, ": ", format_count(1000 * t.seconds), " ms + ", format_count(1000 * t.optimiser_seconds), " ms optimiser a step, ",
                format_count(tokens / t.seconds), " tokens/s, ", format_count(rate), "flop/s = ", static_cast<int>(100 * rate / peak),
                " % of our product", peer > 0 ? ", " + std::to_string(static_cast<int>(100 * rate / peer)) + " % of OpenBLAS's" : "",
                ", hash ", t.hash);
  return {{"ms_per_step", 1000 * t.seconds},
          {"optimiser_ms", 1000 * t.optimiser_seconds},
          {"tokens_per_second", tokens / t.seconds},
          {"flops", rate},
          {"share_of_gemm", rate / peak},
          {"hash", t.hash}};
}

// The whole step: every micro-batch and the optimiser.
nlohmann::json profile(const BenchOptions& o, Session* session, Optimizer* optimizer, const TrainConfig& train, bool looping,
                       const Timing& t, const MachineRates& rates) {
  std::vector<OpTime> ops;
  const BuildOptions program = session->train_options(train.micro_windows, train.seq_len, looping);
  add_op_times(&ops, session->profile(program, rates), train.windows_per_step / train.micro_windows);
  add_op_times(&ops, optimizer->profile(rates));
  const double seconds = t.seconds + t.optimiser_seconds;
  say_profile(o.console, looping ? "op, loop on" : "op, loop off", ops, seconds);
  return profile_json(ops, seconds);
}

void bench(const BenchOptions& o) {
  ConfigFile file(o.config);
  file.check_sections({"model", "train", "pack", "eval"});
  const ModelConfig model = read_model_config(file.section("model"), o.config);
  TrainConfig train = read_train_config(file.section("train"), o.config);
  if (o.windows > 0) train.windows_per_step = train.micro_windows = o.windows;
  auto table = std::make_shared<ParamTable>(model);
  const std::shared_ptr<Device> device = make_device(o.device, o.threads);
  if (o.tune) tune_products(device, model, table, train, o.console);
  else use_measured_products(device.get(), o.console);
  const double device_seconds = process_seconds();
  Session session(device, model, table);
  ParamStore store(table);
  initialise(model, static_cast<uint64_t>(train.seed), &store);
  session.set_weights(store);
  Optimizer optimizer(&session, train.optim);
  reserve_training(&session, train, "use fewer windows a pass ([train] micro_windows or --windows)");
  o.console.say(table->parameters(), " parameters on ", device->name());
  const double weights_seconds = process_seconds();
  std::map<bool, Timing> timings;
  for (const bool looping : {false, true}) {
    if (looping && model.loop.extra_passes == 0) continue;
    timings[looping] = time_steps(&session, &optimizer, train, looping, o.steps);
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
    json[looping ? "loop_on" : "loop_off"] = report(o, looping ? "loop on" : "loop off", timing, tokens, flops, rates.flops, peer);
  }
  if (o.profile) {
    for (const auto& [looping, timing] : timings) {
      json[looping ? "loop_on" : "loop_off"]["profile"] = profile(o, &session, &optimizer, train, looping, timing, rates);
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
  c->add_option("--windows", o->windows, "windows of a step, in one pass; default: the config's");
  c->add_flag("--profile", o->profile, "a table of time, bytes and flops by op, each beside its floor");
  c->add_flag("--tune", o->tune, "first measure the fastest matrix products and write them to this machine's cache (CUDA)");
  c->callback([o] { bench(*o); });
}

}  // namespace sixteen
