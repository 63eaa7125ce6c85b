// See bundle.h: what runs say, and the folder. Its texts are bundle_text.cpp.
#include "packer/bundle.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sstream>

#include <unistd.h>

#include "formats/error.h"
#include "formats/file.h"
#include "formats/json.h"
#include "formats/sha256.h"

namespace sixteen {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// Of the log's last line about training steps.
void read_train_log(BundleRun* run, const std::string& where) {
  std::istringstream lines(run->train_log);
  int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.empty()) continue;
    const Json json = parse_json_object(line, where + ": line " + std::to_string(number));
    if (!json.contains("train_seconds") || !json.contains("step")) continue;
    run->steps = json.at("step").get<int64_t>();
    run->train_s = json.at("train_seconds").get<double>();
  }
  if (run->steps.value_or(0) > 0) run->step_ms = 1000 * *run->train_s / static_cast<double>(*run->steps);
}

void copy(const std::string& from, const fs::path& to) { write_file(to.string(), read_text_file(from)); }

void fill_folder(const BundleOptions& o, const fs::path& folder) {
  copy(o.artifact, folder / fs::path(o.artifact).filename());
  copy(o.source, folder / "evaluator.sh");
  if (!o.settings.empty()) copy(o.settings, folder / "eval.toml");
  if (!o.tokenizer.empty()) copy(o.tokenizer, folder / fs::path(o.tokenizer).filename());
  for (const BundleRun& run : o.runs) write_file((folder / ("train_seed" + std::to_string(run.seed) + ".log")).string(), bundle_log(o, run));
  write_file((folder / "submission.json").string(), submission_json(o).dump(2) + "\n");
  write_file((folder / "README.md").string(), bundle_readme(o));
}

}  // namespace

BundleRun read_bundle_run(int64_t seed, const std::string& score, const std::string& log) {
  BundleRun run;
  run.seed = seed;
  run.score_json = read_text_file(score);
  while (!run.score_json.empty() && run.score_json.back() == '\n') run.score_json.pop_back();
  run.score_json.erase(0, run.score_json.rfind('\n') + 1);  // the object is the last line, whatever came before
  const Json json = parse_json_object(run.score_json, score);
  try {
    run.bpb = json.at("bpb");
    run.loss = json.at("loss");
    run.eval_s = json.at("seconds");
    run.targets = json.at("targets");
    run.unscored = json.at("unscored_targets").get<int64_t>() + json.at("dropped_targets").get<int64_t>();
    run.artifact_bytes = json.at("model_bytes");
    run.artifact_sha256 = json.at("model_sha256");
    run.method = json.at("method");
    run.training = json.at("ttt_steps").get<int64_t>() > 0;
    run.tap_in = json.contains("tap_in");
  } catch (const Json::exception& e) {
    fail(score, ": is not what 'sixteen-eval score --json' prints: ", e.what());
  }
  if (!log.empty()) {
    run.train_log = read_text_file(log);
    read_train_log(&run, log);
  }
  return run;
}

BundleSizes bundle_sizes(const BundleOptions& o) {
  BundleSizes sizes;
  sizes.code = fs::file_size(o.source) + (o.settings.empty() ? 0 : fs::file_size(o.settings));
  for (const BundleRun& run : o.runs) sizes.model = std::max(sizes.model, static_cast<uint64_t>(run.artifact_bytes));
  return sizes;
}

void write_bundle(const BundleOptions& o, const std::string& folder, uint64_t limit) {
  const std::string digest = to_hex(sha256(MappedFile(o.artifact).bytes()));
  const auto of_artifact = [&](const BundleRun& run) { return run.artifact_sha256 == digest; };
  if (std::none_of(o.runs.begin(), o.runs.end(), of_artifact)) {
    fail(o.artifact, ": SHA-256 ", digest, ", but no --score is of it; the first is of ", o.runs.front().artifact_sha256);
  }
  const BundleSizes sizes = bundle_sizes(o);
  if (sizes.total() > limit) {
    fail(o.artifact, ": ", sizes.model, " bytes of artifact and ", sizes.code, " of code are ", sizes.total() - limit, " over the limit of ", limit);
  }
  if (fs::exists(folder)) fail(folder, ": exists already; give a new folder");
  const fs::path temporary = folder + ".tmp-" + std::to_string(getpid());
  std::error_code error;
  if (!fs::create_directories(temporary, error)) fail(temporary.string(), ": cannot make the folder: ", error.message());
  try {
    fill_folder(o, temporary);
    fs::rename(temporary, folder, error);
    if (error) fail(folder, ": cannot make the folder: ", error.message());
  } catch (...) {
    fs::remove_all(temporary, error);
    throw;
  }
}

}  // namespace sixteen
