// sixteen-pack bundle: a submission folder from an artifact and what scoring and training have printed. What is in it: bundle.h.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "formats/error.h"
#include "formats/file.h"
#include "model/console.h"
#include "model/number_checks.h"
#include "model/process_clock.h"
#include "packer/bundle.h"
#include "packer/commands.h"

namespace sixteen {
namespace {

struct BundleCommand {
  BundleOptions bundle;
  std::vector<int64_t> seeds;
  std::vector<std::string> scores, logs;
  std::string out, summary;
  int64_t target_bytes = 16000000;
  Console console;
};

// What the build has made beside this program.
std::string built_archive() {
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe");
  const std::string path = (program.parent_path().parent_path() / "share/sixteen/evaluator.sh").string();
  if (!std::filesystem::is_regular_file(path))
    fail(path, ": the counted sources are not there; build the target counted_source, or give --source");
  return path;
}

void run(BundleCommand& o) {
  if (o.scores.size() != o.seeds.size()) throw UsageError("give one --score for each --seed, in the same order");
  if (!o.logs.empty() && o.logs.size() != o.seeds.size())
    throw UsageError("give one --log for each --seed, in the same order, or none");
  if (o.bundle.source.empty()) o.bundle.source = built_archive();
  if (o.bundle.date.empty()) o.bundle.date = utc_now("%Y-%m-%d");
  if (!o.summary.empty()) o.bundle.summary = read_text_file(o.summary);
  for (size_t i = 0; i < o.seeds.size(); ++i)
    o.bundle.runs.push_back(read_bundle_run(o.seeds[i], o.scores[i], o.logs.empty() ? "" : o.logs[i]));
  write_bundle(o.bundle, o.out, static_cast<uint64_t>(o.target_bytes));
  const BundleSizes sizes = bundle_sizes(o.bundle);
  o.console.say("wrote ", o.out, ": artifact ", sizes.model, " bytes, code ", sizes.code, ", together ", sizes.total(),
                " of ", o.target_bytes, "; now: sixteen-pack audit ", o.out);
  nlohmann::json json = submission_json(o.bundle);
  o.console.result({{"folder", o.out},
                    {"model_bytes", sizes.model},
                    {"code_bytes", sizes.code},
                    {"total_bytes", sizes.total()},
                    {"val_bpb", json.at("val_bpb")}});
}

}  // namespace

void add_bundle_command(CLI::App& app) {
  auto o = std::make_shared<BundleCommand>();
  BundleOptions& b = o->bundle;
  CLI::App* c =
      app.add_subcommand("bundle", "A submission folder: artifact, counted sources, submission.json, README.md, logs");
  add_console_options(*c, &o->console);
  c->add_option("artifact", b.artifact, "the artifact to ship (.s16), of one of the seeds")->required();
  c->add_option("-o,--out", o->out, "the new folder, records/TRACK/YYYY-MM-DD_Name")->required();
  c->add_option("--seed", o->seeds, "of each run")->required();
  c->add_option("--score", o->scores, "of each run: what 'sixteen-eval score --json' printed")->required();
  c->add_option("--log", o->logs, "of each run: the log of 'sixteen-train run'");
  c->add_option("--config", b.settings, "TOML file that 'score' was given; shipped as eval.toml and counted");
  c->add_option("--tokenizer", b.tokenizer, "SentencePiece model to ship along");
  c->add_option("--name", b.name, "title of the submission")->required();
  c->add_option("--author", b.author, "who submits")->required();
  c->add_option("--github-id", b.github_id, "the same, on GitHub")->required();
  c->add_option("--blurb", b.blurb, "one sentence");
  c->add_option("--summary", o->summary, "Markdown file with what changed and why, for README.md");
  c->add_option("--hardware", b.hardware, "that trained and scored, e.g. 8xH100 80GB SXM");
  c->add_option("--track", b.track, "track_10min_16mb or track_non_record_16mb")->capture_default_str();
  c->add_option("--date", b.date, "YYYY-MM-DD; default: today, UTC");
  c->add_option("--source", b.source,
                "counted source archive; default: what the build has made of the sources of this program");
  c->add_option("--target-bytes", o->target_bytes, "the limit, decimal bytes")->check(kPositive)->capture_default_str();
  c->callback([o] { run(*o); });
}

}  // namespace sixteen
