// A submission folder (the challenge's records/...): artifact, counted source archive, submission.json, README.md, a log a seed.
//
// Every number comes from files: what `sixteen-eval score --json` printed, the training logs, the artifact and the archive. What they
// do not say is left out, never guessed.
// Bites: logs are ours with the lines that the challenge's readers look for on top (legality 6.3); the training log follows as it is. Sizes
// count the archive and the evaluation's settings as code, and every seed's artifact against the limit, shipped or not.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace sixteen {

struct BundleRun {
  int64_t seed = 0;
  double bpb = 0, loss = 0, eval_s = 0;
  int64_t targets = 0, unscored = 0, artifact_bytes = 0;
  std::string artifact_sha256, method;
  bool training = false, tap_in = false;
  std::optional<double> train_s, step_ms;
  std::optional<int64_t> steps;
  std::string score_json, train_log;  // as they were given
};

struct BundleOptions {
  std::string artifact, source, settings, tokenizer;  // files; the last two may be empty
  std::string name, author, github_id, date, track = "track_10min_16mb", hardware, blurb,
                                             summary;  // summary: README text
  std::vector<BundleRun> runs;
};

// score: of `score --json`; log: of `sixteen-train run`, or "". Throws Error for what is not there or not readable.
BundleRun read_bundle_run(int64_t seed, const std::string& score, const std::string& log);

struct BundleSizes {
  uint64_t model = 0, code = 0;  // the largest artifact of the runs; archive and settings
  uint64_t total() const { return model + code; }
};
BundleSizes bundle_sizes(const BundleOptions& options);

nlohmann::ordered_json submission_json(const BundleOptions& options);
std::string bundle_readme(const BundleOptions& options);
std::string bundle_log(const BundleOptions& options, const BundleRun& run);

// Writes the folder, complete or not at all; it must not exist. Throws Error when the artifact is none of the runs' or the total is over
// `limit`.
void write_bundle(const BundleOptions& options, const std::string& folder, uint64_t limit);

}  // namespace sixteen
