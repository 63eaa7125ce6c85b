// sixteen-pack pack: checkpoint -> artifact, with calibration, a size limit and a read-back.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "formats/error.h"
#include "formats/file.h"
#include "model/launcher.h"
#include "model/number_checks.h"
#include "model/sensitivity.h"
#include "model/shuffled_loader.h"
#include "packer/budget.h"
#include "packer/budget_report.h"
#include "packer/code_size.h"
#include "packer/commands.h"
#include "packer/pack.h"

namespace sixteen {
namespace {

struct PackCommand {
  std::string input, output, config, calib, hessians, hessians_out, report, codec, quantizer, device = "cpu";
  std::vector<std::string> code;
  int64_t target_bytes = -1;
  int matrix_bits = 0, embedding_bits = 0, level = -1, threads = 0, gpus = 0;
  bool nearest = false, over_budget = false, keep_clips = false, search_bits = false;
  Console console;
  bool searches() const { return target_bytes >= 0 && !keep_clips && !over_budget; }
};

// What a checkpoint is quantised against.
struct Measured {
  Hessians hessians;
  Sensitivities sensitivities;
  std::unique_ptr<Session> session;  // of the checkpoint's weights; null without --calib
};

PackConfig load_config(const PackCommand& o, const ModelConfig& model) {
  PackConfig config;
  config.calibration.seq_len = model.rope.train_len;
  if (!o.config.empty()) {
    ConfigFile file(o.config);
    file.check_sections({"model", "train", "pack", "eval"});
    config = read_pack_config(file.section("pack"), model.rope.train_len, o.config);
  }
  if (!config.rules.empty() && (o.matrix_bits > 0 || o.embedding_bits > 0)) {
    fail("--bits, --embedding-bits: ", o.config,
         " has [[pack.rules]], which say how many bits each tensor gets; change those");
  }
  if (o.matrix_bits > 0) config.matrix.bits = o.matrix_bits;
  if (o.embedding_bits > 0) config.embedding.bits = o.embedding_bits;
  if (!o.quantizer.empty()) {
    config.rules = rules_of(config);
    const Quantiser wanted = o.quantizer == "tcq" ? Quantiser::kTcq : Quantiser::kGptq;
    for (PackRule& rule : config.rules) {
      if (rule.bits > 0 && takes_hessian(rule.quantiser)) rule.quantiser = wanted;
    }
  }
  if (!o.codec.empty()) {
    config.stream.codec = parse_codec(o.codec);
    config.stream.level = default_level(config.stream.codec);
  }
  if (o.level >= 0) config.stream.level = o.level;
  if (!o.codec.empty() || o.level >= 0) config.codecs.clear();  // the command line is about all streams
  if (o.target_bytes >= 0) config.target_bytes = o.target_bytes;
  config.threads = o.threads;
  validate(config, "command line");
  return config;
}

void check_usage(const PackCommand& o, bool calibrate) {
  if (!o.calib.empty() && !o.hessians.empty() && !o.searches()) {
    throw UsageError("--calib and --hessians: give one of them (both serve a search with --target-bytes)");
  }
  if (calibrate && o.calib.empty() && o.hessians.empty()) {
    throw UsageError(
        "--hessians or --calib is required: what the training run collected, or shards to calibrate GPTQ on (or "
        "--nearest to round without)");
  }
  if (!o.hessians_out.empty() && (!calibrate || o.calib.empty() || !o.hessians.empty())) {
    throw UsageError("--hessians-out: needs --calib, rules that say gptq, and no --hessians");
  }
  if (o.gpus > 1 && (!calibrate || !o.hessians.empty())) {
    throw UsageError("--gpus is for --calib: nothing else is shared out");
  }
  if (!o.report.empty() && !o.searches()) throw UsageError("--report: shows a search; give --target-bytes");
  if (o.search_bits && !o.searches()) throw UsageError("--search-bits: needs a search with --target-bytes");
}

Measured measure(const PackCommand& o, const Model& model, const PackConfig& config, bool calibrate,
                 const std::shared_ptr<World>& world) {
  Measured m;
  const auto session = [&](const std::shared_ptr<World>& ranks) {
    auto made = std::make_unique<Session>(make_device(o.device, o.threads, ranks), model.config, model.table);
    made->set_weights(model.store);
    return made;
  };
  if (!o.hessians.empty() && calibrate) {
    m.hessians = load_hessians(o.hessians, model.store, o.input, &m.sensitivities);
  } else if (calibrate) {
    m.hessians = collect_hessians(session(world).get(), o.calib, config.calibration, o.console);
  }
  if (world != nullptr && world->rank() != 0) return m;
  if (!o.calib.empty() && (o.searches() || !o.hessians_out.empty())) {
    m.session = session(nullptr);
    if (m.sensitivities.empty()) {
      m.sensitivities = measure_sensitivities(m.session.get(), o.calib, config.calibration, o.threads, o.console);
    }
  }
  if (!o.hessians_out.empty()) save_hessians(o.hessians_out, m.hessians, model.store, m.sensitivities);
  return m;
}

// Mean loss of the first windows of the training order.
double calibration_loss(Session* session, const PackCommand& o, const PackConfig& config) {
  const int64_t seq = config.calibration.seq_len;
  ShuffledLoader loader(glob_files(o.calib), 0, 1, seq, session->config().vocab);
  Progress progress(o.console, "loss", static_cast<uint64_t>(config.check_windows), "windows");
  std::vector<int32_t> ids(seq), targets(seq);
  std::vector<float> nll(seq);
  double sum = 0;
  for (int64_t w = 0; w < config.check_windows; ++w) {
    loader.next_batch(1, ids.data(), targets.data());
    session->score(ids, targets, 1, seq, seq, nll);
    for (const float value : nll) sum += value;
    progress.update(static_cast<uint64_t>(w + 1));
    stop_if_interrupted();
  }
  progress.finish();
  return sum / static_cast<double>(config.check_windows * seq);
}

void say_codecs_without_streams(const PackConfig& config, const Artifact& artifact, const Console& console) {
  for (const auto& [name, stream] : config.codecs) {
    if (std::ranges::find(artifact.streams, name, &StreamInfo::name) == artifact.streams.end()) {
      console.say("note: [pack.codecs.", name, "] is for a stream that this artifact does not have");
    }
  }
}

void pack(PackCommand& o) {
  install_interrupt_handler();
  const Model model = load_checkpoint(o.input);
  PackConfig config = load_config(o, model.config);
  // The search has coded with it; on large matrices trying the others takes a minute, for some hundred bytes at best.
  if (o.searches() && config.stream.codec == Codec::kAuto) config.stream = kOwnCodec;
  const bool calibrate =
      !o.nearest && needs_hessians(config, model.config, *model.table, o.config.empty() ? o.input : o.config);
  check_usage(o, calibrate);
  const std::shared_ptr<World> world = launch_or_join(o.gpus, &o.console);
  const bool writes = world == nullptr || world->rank() == 0;
  const uint64_t code_bytes = total_bytes(count_files(o.code));
  if (writes && !o.report.empty()) const OutputFile probe(o.report);
  if (writes) const OutputFile probe(o.output);  // an unwritable place is better known before the calibration
  Measured measured = measure(o, model, config, calibrate, world);
  if (!writes) return;
  BudgetResult budget;
  Artifact artifact;
  if (o.searches()) {
    budget = solve_budget(model, measured.hessians, measured.sensitivities, config,
                          {.code_bytes = code_bytes, .search_bits = o.search_bits}, o.console);
    artifact = std::move(budget.artifact);
    say_budget(budget, o.console);
  } else {
    artifact = quantise_model(model, measured.hessians, config, o.console);
    o.console.say("coding with ", codec_name(config.stream.codec),
                  default_level(config.stream.codec) > 0 ? " level " + std::to_string(config.stream.level) : "",
                  config.codecs.empty() ? "" : " and the streams' own codecs", " ...");
  }
  const PackReport report = write_verified(&artifact, o.output, code_bytes, config, o.over_budget);
  say_codecs_without_streams(config, artifact, o.console);
  const uint64_t total = report.artifact_bytes + report.code_bytes;
  o.console.say("wrote ", o.output, ": ", report.artifact_bytes, " bytes, read back and compared; with ",
                report.code_bytes, " bytes of code ", total, " of ", config.target_bytes);
  if (!o.report.empty()) {
    write_budget_report(o.report, o.output, budget, code_bytes, static_cast<uint64_t>(config.target_bytes));
  }
  nlohmann::json result = {{"artifact", o.output},
                           {"artifact_bytes", report.artifact_bytes},
                           {"code_bytes", report.code_bytes},
                           {"total_bytes", total},
                           {"target_bytes", config.target_bytes},
                           {"parameters", model.table->parameters()},
                           {"sha256", to_hex(report.digest)}};
  if (o.searches()) result["budget"] = budget_json(budget);
  if (o.searches() && measured.session != nullptr) {
    const double before = calibration_loss(measured.session.get(), o, config);
    measured.session->set_weights(unpack(artifact, o.output).store);
    const double after = calibration_loss(measured.session.get(), o, config);
    o.console.say("calibration loss over ", config.check_windows, " windows: ", before, " before, ", after,
                  " packed, +", after - before, " nats a token");
    result.update({{"loss_before", before}, {"loss_after", after}});
  }
  o.console.result(result);
}

}  // namespace

void add_pack_command(CLI::App& app) {
  auto o = std::make_shared<PackCommand>();
  CLI::App* c = app.add_subcommand("pack", "Quantise and code a checkpoint: M.safetensors -> M.s16");
  add_console_options(*c, &o->console);
  c->add_option("checkpoint", o->input, "checkpoint of sixteen-train (.safetensors)")->required();
  c->add_option("-o,--out", o->output, "artifact to write (.s16)")->required();
  c->add_option("--config", o->config, "TOML file with [pack]; without it the defaults of PR 1584");
  c->add_option("--hessians", o->hessians, "what 'sixteen-train run --hessians' collected within the training time");
  c->add_option("--calib", o->calib,
                "pattern of training shards to calibrate on instead, quoted; neither is needed when no rule says gptq. "
                "A search measures on them what errors cost, and the loss before and after");
  c->add_option("--hessians-out", o->hessians_out,
                "with --calib: keep what was measured for later packs of this checkpoint (--hessians)");
  c->add_option("--bits", o->matrix_bits, "of matrices; overrides [pack] matrix_bits (6)")->check(CLI::Range(2, 8));
  c->add_option("--embedding-bits", o->embedding_bits, "of the token embedding; overrides embedding_bits (8)")
      ->check(CLI::Range(2, 8));
  c->add_option("--quantizer", o->quantizer, "of what the rules quantise against Hessians: gptq or tcq (the same bits with a quarter less error)")
      ->check(CLI::IsMember({"gptq", "tcq"}));
  c->add_option("--codec", o->codec,
                "auto, sixteen, stored, brotli, zstd or xz, of all streams; overrides [pack] codec (auto: each "
                "stream's smallest) and [pack.codecs]");
  c->add_option("--level", o->level, "of the codec; default: its strongest")->check(kNonNegative);
  c->add_option("--target-bytes", o->target_bytes,
                "search the clips with which artifact and code land just under so many bytes and lose least; "
                "without it the rules' clips are used and [pack] target_bytes (16000000) is a limit")
      ->check(kPositive);
  c->add_flag("--search-bits", o->search_bits, "with --target-bytes: bits of every class too, 4 to 8");
  c->add_option("--report", o->report, "with --target-bytes: write the trade-off, rounds and classes (HTML)");
  c->add_flag("--keep-clips", o->keep_clips, "with --target-bytes: only a limit, nothing is searched");
  c->add_option("--code", o->code, "files and folders of code that count against the limit");
  c->add_flag("--nearest", o->nearest, "round to nearest where the rules say gptq, without calibration");
  c->add_flag("--over-budget", o->over_budget, "write the artifact even above the limit");
  c->add_option("--device", o->device, "of the calibration, cpu or cuda")->capture_default_str();
  c->add_option("--threads", o->threads, "CPU threads of a rank; 0: all cores, shared by the ranks")
      ->check(kNonNegative)
      ->capture_default_str();
  add_gpus_option(*c, &o->gpus);
  c->callback([o] { pack(*o); });
}

}  // namespace sixteen
