// sixteen-train run: options and help; the run itself is trainer.cpp. --dry-run tells what a run would take.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "formats/error.h"
#include "graph/plan.h"
#include "model/launcher.h"
#include "model/number_checks.h"
#include "trainer/commands.h"
#include "trainer/trainer.h"

namespace sixteen {
namespace {

struct RunCommand {
  RunOptions run;
  std::string config;
  std::optional<double> budget_seconds, reserve_seconds;
  std::optional<int64_t> steps, seed;
  bool dry_run = false;
  int gpus = 0;
};

void load_config(RunCommand* o) {
  ConfigFile file(o->config);
  file.check_sections({"model", "train", "pack", "eval"});
  o->run.model = read_model_config(file.section("model"), o->config);
  o->run.train = read_train_config(file.section("train"), o->config);
  Section pack = file.section("pack");  // the packer's; its other keys are the packer's to check
  o->run.calibration = read_calibration(&pack, o->run.model.rope.train_len, o->config);
  TrainConfig& train = o->run.train;
  train.budget_seconds = o->budget_seconds.value_or(train.budget_seconds);
  train.reserve_seconds = o->reserve_seconds.value_or(train.reserve_seconds);
  train.steps = o->steps.value_or(train.steps);
  train.seed = o->seed.value_or(train.seed);
  validate(train, "command line");
}

void dry_run(const RunCommand& o) {
  const ModelConfig& model = o.run.model;
  const TrainConfig& train = o.run.train;
  const ParamTable table(model);
  nlohmann::ordered_json json{{"parameters", table.parameters()}};
  int64_t arena = 0;
  for (const bool looping : {false, true}) {
    if (looping && model.loop.extra_passes == 0) continue;
    const ModelGraph graph =
        build_model(model, table, {.windows = train.micro_windows, .seq = train.seq_len, .looping = looping});
    const Plan plan = plan_memory(graph.graph);
    arena = std::max(arena, plan.arena_bytes);
    const std::string key = looping ? "loop_on" : "loop_off";
    json[key] = {{"nodes", graph.graph.nodes().size()},
                 {"flops_per_token", train_flops_per_token(model, train.seq_len, looping)},
                 {"arena_bytes", plan.arena_bytes},
                 {"arena_bytes_without_sharing", plan.sum_bytes}};
    o.run.console.say(looping ? "loop on:  " : "loop off: ", graph.graph.nodes().size(), " nodes, ",
                      format_count(train_flops_per_token(model, train.seq_len, looping)), "flop a token, arena ",
                      format_count(static_cast<double>(plan.arena_bytes)), "B (",
                      format_count(static_cast<double>(plan.sum_bytes)), "B without sharing)");
  }
  const int64_t copies = train.optim.ema_decay > 0 ? 5 : 4;  // weights, gradients, two moments, average
  const int64_t state = copies * table.flat_size() * static_cast<int64_t>(sizeof(float));
  json["state_bytes"] = state;
  json["arena_bytes"] = arena;
  json["tokens_per_step"] = train.windows_per_step * train.seq_len;
  o.run.console.say(table.parameters(), " parameters; ", format_count(static_cast<double>(state)),
                    "B of weights and optimiser state; ", train.windows_per_step * train.seq_len, " tokens a step");
  o.run.console.result(json);
}

void run(RunCommand& o) {
  load_config(&o);
  if (o.dry_run) return dry_run(o);
  if (o.run.data.empty()) throw UsageError("--data is required: the folder with *_train_*.bin");
  if (o.run.out.empty()) throw UsageError("--out is required: the checkpoint to write");
  if (!o.run.val.empty() && o.run.tokenizer.empty()) throw UsageError("--val needs --tokenizer to count the bytes");
  if (o.gpus > 1) StepShare(o.run.train, 0, o.gpus);  // refuses before anything is started
  o.run.world = launch_or_join(o.gpus, &o.run.console);
  Trainer trainer(o.run);
  const RunResult r = trainer.run();
  o.run.console.say("wrote ", o.run.out);
  nlohmann::ordered_json json{{"parameters", r.parameters},
                              {"steps", r.steps},
                              {"train_seconds", r.train_seconds},
                              {"tokens_per_second", r.tokens_per_second},
                              {"loss", r.loss}};
  if (!o.run.val.empty()) {
    json["val_bpb_raw"] = r.val_bpb_raw;
    json["val_bpb"] = r.val_bpb;
  }
  json["weights"] = r.selected;
  json["checkpoint"] = o.run.out;
  o.run.console.result(json);
}

}  // namespace

void add_run_command(CLI::App& app) {
  auto o = std::make_shared<RunCommand>();
  CLI::App* c = app.add_subcommand("run", "Train a model: token shards -> checkpoint");
  add_console_options(*c, &o->run.console);
  c->add_option("--config", o->config, "TOML file with [model] and [train]")->required();
  c->add_option("--data", o->run.data, "folder with the training shards (*_train_*.bin)");
  c->add_option("--val", o->run.val, "pattern of validation shards, quoted; none: no validation");
  c->add_option("--tokenizer", o->run.tokenizer, "SentencePiece model of the shards; counts bytes for bpb");
  c->add_option("--out", o->run.out, "checkpoint to write (.safetensors); OUT.state holds what --resume needs");
  c->add_option("--hessians", o->run.hessians,
                "write what 'sixteen-pack pack --hessians' needs, a search with --target-bytes too: measured on the training data "
                  "as [pack] calib_* and sensitivity_windows say, within --reserve-seconds");
  c->add_option("--log", o->run.log, "log as JSON lines (default: OUT.log.jsonl)");
  c->add_flag("--resume", o->run.resume, "go on from OUT.state");
  c->add_option("--budget-seconds", o->budget_seconds, "training time; overrides [train] budget_seconds");
  c->add_option("--reserve-seconds", o->reserve_seconds,
                "part of the budget left for packing; overrides reserve_seconds");
  c->add_option("--steps", o->steps, "upper bound of steps; overrides [train] steps");
  c->add_option("--seed", o->seed, "of the initial weights; overrides [train] seed");
  c->add_option("--device", o->run.device, "cpu or cuda")->capture_default_str();
  c->add_option("--threads", o->run.threads, "CPU threads; 0: all cores")
      ->check(kNonNegative)
      ->capture_default_str();
  add_gpus_option(*c, &o->gpus);
  c->add_flag("--dry-run", o->dry_run, "print parameters, memory plan and flops a token, train nothing");
  c->callback([o] { run(*o); });
}

}  // namespace sixteen
