// The texts of a submission folder (bundle.h): submission.json with the union of the fields of recent records (legality 6.2), README.md
// (6.4), and logs with the lines that readers of records look for (6.3).
#include <cinttypes>
#include <cstdio>
#include <filesystem>

#include "model/statistics.h"
#include "packer/bundle.h"

namespace sixteen {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kLimitS = 600;

template <class... Values>
std::string format(const char* pattern, Values... values) {
  char text[512];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

// Of a figure that every run has; nothing otherwise.
template <class Get>
std::optional<Sample> sample_of(const std::vector<BundleRun>& runs, Get get) {
  std::vector<double> values;
  for (const BundleRun& run : runs) {
    const std::optional<double> value = get(run);
    if (!value) return std::nullopt;
    values.push_back(*value);
  }
  return describe(values);
}

double largest(const std::vector<BundleRun>& runs, double (*get)(const BundleRun&)) {
  double most = 0;
  for (const BundleRun& run : runs) most = std::max(most, get(run));
  return most;
}

Json seed_row(const BundleRun& run) {
  Json row{{"val_bpb", run.bpb}, {"val_loss", run.loss}, {"artifact_bytes", run.artifact_bytes}};
  if (run.steps) row["steps"] = *run.steps;
  if (run.step_ms) row["step_avg_ms"] = *run.step_ms;
  if (run.train_s) row["train_time_s"] = *run.train_s;
  row["eval_time_s"] = run.eval_s;
  row["val_tokens"] = run.targets + run.unscored;
  row["target_tokens"] = run.targets;
  row["artifact_sha256"] = run.artifact_sha256;
  return row;
}

Json compliance(const BundleOptions& o) {
  Json json = Json::object();
  bool full = true, cache = false, training = false, timed = true;
  for (const BundleRun& run : o.runs) {
    full = full && run.unscored == 0;
    cache = cache || run.tap_in;
    training = training || run.training;
    timed = timed && run.train_s.has_value();
  }
  if (timed) json["train_under_600s"] = largest(o.runs, [](const BundleRun& r) { return *r.train_s; }) <= kLimitS;
  json["eval_under_600s"] = largest(o.runs, [](const BundleRun& r) { return r.eval_s; }) <= kLimitS;
  json["artifact_under_16mb"] = bundle_sizes(o).total() <= 16000000;
  json["three_seeds"] = o.runs.size() >= 3;
  json["full_validation_targets"] = full;
  json["no_ngram_cache"] = !cache;
  json["no_slot"] = true;                        // the program has none
  if (training) json["score_first_ttt"] = true;  // nor another order
  return json;
}

}  // namespace

Json submission_json(const BundleOptions& o) {
  const auto& runs = o.runs;
  const auto bpb = *sample_of(runs, [](const BundleRun& r) { return std::optional(r.bpb); });
  const auto loss = *sample_of(runs, [](const BundleRun& r) { return std::optional(r.loss); });
  const auto bytes =
      *sample_of(runs, [](const BundleRun& r) { return std::optional(static_cast<double>(r.artifact_bytes)); });
  const BundleSizes sizes = bundle_sizes(o);
  Json json{{"author", o.author}, {"github_id", o.github_id}, {"name", o.name},
            {"blurb", o.blurb},   {"date", o.date},           {"track", o.track}};
  json.update({{"val_bpb", bpb.mean}, {"val_loss", loss.mean}});
  if (runs.size() > 1) json.update({{"val_bpb_std", bpb.deviation}, {"val_loss_std", loss.deviation}});
  json["seeds"] = Json::array();
  json["seed_results"] = Json::object();
  for (const BundleRun& run : runs) {
    json["seeds"].push_back(run.seed);
    json["seed_results"][std::to_string(run.seed)] = seed_row(run);
  }
  json.update({{"artifact_bytes_mean", bytes.mean},
               {"artifact_bytes_max", sizes.total()},
               {"bytes_total", sizes.total()},
               {"bytes_code", sizes.code},
               {"bytes_model", sizes.model}});
  if (const auto s = sample_of(runs, [](const BundleRun& r) { return r.train_s; })) json["train_time_s_mean"] = s->mean;
  if (const auto s = sample_of(runs, [](const BundleRun& r) { return r.step_ms; })) json["step_avg_ms_mean"] = s->mean;
  json["eval_time_s_mean"] = sample_of(runs, [](const BundleRun& r) { return std::optional(r.eval_s); })->mean;
  if (!o.hardware.empty()) json["hardware"] = o.hardware;
  json["technique_summary"] = runs.front().method;
  json["compliance"] = compliance(o);
  json["software"] = "sixteen " SIXTEEN_VERSION;
  return json;
}

std::string bundle_log(const BundleOptions& o, const BundleRun& run) {
  const BundleSizes sizes = bundle_sizes(o);
  const uint64_t model = static_cast<uint64_t>(run.artifact_bytes);
  std::string text = format("seed: %" PRId64 "\nval_tokens: %" PRId64 "\n", run.seed, run.targets);
  if (run.steps && run.train_s && run.step_ms) {
    text += format("step:%" PRId64 "/%" PRId64 " train_time:%.0fms step_avg:%.4fms\n", *run.steps, *run.steps,
                   1000 * *run.train_s, *run.step_ms);
  }
  text += format("Serialized model s16: %" PRIu64 " bytes\nCode size: %" PRIu64
                 " bytes\nTotal submission size s16: %" PRIu64 " bytes\n",
                 model, sizes.code, model + sizes.code);
  text += format("final_s16_exact val_loss:%.8f val_bpb:%.8f eval_time:%.0fms\ntotal_eval_time:%.3fs\n", run.loss,
                 run.bpb, 1000 * run.eval_s, run.eval_s);
  text += "\nsixteen-eval score --json\n" + run.score_json + "\n";
  if (!run.train_log.empty()) text += "\nsixteen-train run\n" + run.train_log;
  return text;
}

namespace {

// The flags of `score` that its words stand for (evaluator/scoring.cpp); numbers are in eval.toml.
std::string flags_of(const std::string& method) {
  std::string flags;
  for (const auto& [words, flag] : {std::pair{"sliding windows", " --sliding"},
                                    {"score-first training", " --ttt"},
                                    {"hash embedding", " --hash-embed"}}) {
    if (method.find(words) != std::string::npos) flags += flag;
  }
  return flags;
}

std::string results_table(const BundleOptions& o) {
  std::string text =
      "| seed | val_bpb | val_loss | artifact, bytes | steps | training, s | evaluation, s |\n| --- | --- | --- | --- "
      "| --- | --- | --- |\n";
  for (const BundleRun& run : o.runs) {
    const std::string steps = run.steps ? std::to_string(*run.steps) : "-",
                      train = run.train_s ? format("%.1f", *run.train_s) : "-";
    text += format("| %" PRId64 " | %.8f | %.8f | %" PRId64 " | %s | %s | %.1f |\n", run.seed, run.bpb, run.loss,
                   run.artifact_bytes, steps.c_str(), train.c_str(), run.eval_s);
  }
  const auto bpb = *sample_of(o.runs, [](const BundleRun& r) { return std::optional(r.bpb); });
  if (o.runs.size() > 1) text += format("\nMean %.8f, sample standard deviation %.8f.\n", bpb.mean, bpb.deviation);
  return text;
}

}  // namespace

std::string bundle_readme(const BundleOptions& o) {
  const BundleSizes sizes = bundle_sizes(o);
  const BundleRun& first = o.runs.front();
  const auto bpb = *sample_of(o.runs, [](const BundleRun& r) { return std::optional(r.bpb); });
  const std::string artifact = std::filesystem::path(o.artifact).filename().string();
  std::string text = "# " + o.name + format(": %.4f bits per byte\n\n", bpb.mean);
  if (!o.blurb.empty()) text += o.blurb + "\n\n";
  text += results_table(o) + "\nMethod: " + first.method + ".\n\n";
  if (!o.summary.empty()) text += o.summary + (o.summary.back() == '\n' ? "\n" : "\n\n");
  text += "## Size\n\n" + format("Largest artifact %" PRIu64 " bytes, code %" PRIu64
                                 " bytes (`evaluator.sh`%s), together %" PRIu64 " of 16,000,000.\n\n",
                                 sizes.model, sizes.code, o.settings.empty() ? "" : ", `eval.toml`", sizes.total());
  text +=
      "## To score it again\n\nDebian 12 or Ubuntu 24.04 with g++, cmake, pkg-config, libcli11-dev, "
      "libtomlplusplus-dev, nlohmann-json3-dev, libbrotli-dev, libzstd-dev,\n"
      "liblzma-dev, libssl-dev, libsentencepiece-dev, libopenblas-dev, liblapacke-dev; for CUDA, 12.4 or newer and "
      "`-DSIXTEEN_CUDA=ON`.\n\n"
      "    sh evaluator.sh src && cmake -S src -B src/build && cmake --build src/build -j --target sixteen-eval\n"
      "    src/build/bin/sixteen-eval score " +
      artifact + " --data 'fineweb_val_*.bin' --tokenizer " +
      (o.tokenizer.empty() ? "TOKENIZER.model" : std::filesystem::path(o.tokenizer).filename().string()) +
      (o.settings.empty() ? "" : " --config eval.toml") + flags_of(first.method) + "\n\n";
  text +=
      "## Legality\n\n"
      "Scores depend on the artifact and on earlier tokens (C1), are a log-softmax over the whole vocabulary (C2), "
      "come before any training on\n"
      "their targets (C3), one pass in the stream's order (C4).\n";
  for (const BundleRun& run : o.runs) {
    if (run.tap_in)
      return text +
             "An online n-gram cache over evaluation tokens (Tap-In) is on; whether that is allowed is disputed.\n";
  }
  return text;
}

}  // namespace sixteen
