// See significance.h.
#include "packer/significance.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numbers>
#include <numeric>
#include <sstream>

#include "formats/error.h"
#include "formats/file.h"
#include "model/statistics.h"
#include "packer/record_folder.h"

namespace sixteen {
namespace {

constexpr double kRecordNats = 0.005;
constexpr double kReadmeP = 0.01, kPracticeP = 0.25;
constexpr size_t kMostRuns = 20;  // of an exact permutation test: 2^20 subsets

Runs parse_numbers(const std::string& text, const std::string& name) {
  Runs runs{.name = name, .bpb = {}, .by_seed = {}};
  std::string words = text;
  std::replace(words.begin(), words.end(), ',', ' ');
  std::istringstream list(words);
  for (std::string word; list >> word;) {
    char* end = nullptr;
    const double value = std::strtod(word.c_str(), &end);
    if (*end != 0 || !(value > 0) || !(value < 100)) fail(name, ": expected bits a byte, found ", word, "; give numbers with commas, a record folder or a submission.json");
    runs.bpb.push_back(value);
  }
  if (runs.bpb.empty()) fail(name, ": no number in it");
  return runs;
}

Runs from_submission(const std::string& path) {
  const SubmissionJson submission = read_submission(path);
  Runs runs{.name = path, .bpb = {}, .by_seed = submission.seed_bpb};
  for (const auto& [seed, bpb] : submission.seed_bpb) runs.bpb.push_back(bpb);
  if (runs.bpb.empty() && submission.val_bpb) runs.bpb.push_back(*submission.val_bpb);
  if (runs.bpb.empty()) fail(path, ": no val_bpb in it");
  return runs;
}

// P of a difference of means at least as large when the runs' names are shuffled: exact.
double permutation_p(const std::vector<double>& now, const std::vector<double>& before, double delta) {
  if (now.size() + before.size() > kMostRuns) return -1;
  std::vector<double> all(now);
  for (const double value : before) all.push_back(value - delta);
  const double seen = std::accumulate(now.begin(), now.end(), 0.0);
  int64_t subsets = 0, as_low = 0;
  for (uint32_t mask = 0; mask < 1u << all.size(); ++mask) {
    if (static_cast<size_t>(__builtin_popcount(mask)) != now.size()) continue;
    double sum = 0;
    for (size_t i = 0; i < all.size(); ++i) sum += (mask >> i & 1) != 0 ? all[i] : 0;
    ++subsets;
    as_low += sum <= seen + 1e-12 ? 1 : 0;
  }
  return static_cast<double>(as_low) / static_cast<double>(subsets);
}

int64_t runs_needed(const Sample& a, const Sample& b, double delta) {
  for (int64_t n = 2; n <= 1000; ++n) {
    if (welch_test({n, a.mean, a.deviation}, {n, b.mean, b.deviation}, delta).p < kReadmeP) return n;
  }
  return 0;
}

std::string six(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6f", value);
  return text;
}

std::string p_text(double p) { return p < 0 ? "not possible" : p < 1e-4 ? "< 0.0001" : six(p).substr(0, 6); }

}  // namespace

Runs read_runs(const std::string& source) {
  namespace fs = std::filesystem;
  if (fs::is_directory(source)) {
    Runs runs{.name = source, .bpb = {}, .by_seed = {}};
    for (const RecordLog& log : read_logs(source)) {
      runs.bpb.push_back(log.scores.back().bpb);
      if (log.seed) runs.by_seed[*log.seed] = runs.bpb.back();
    }
    if (runs.bpb.empty() && is_record_folder(source)) return from_submission(source + "/submission.json");
    if (runs.bpb.empty()) fail(source, ": no log with a score in it");
    return runs;
  }
  if (fs::path(source).extension() == ".json") return from_submission(source);
  if (fs::is_regular_file(source)) return parse_numbers(read_text_file(source), source);
  return parse_numbers(source, source);
}

Significance compare(const Runs& now, const Runs& before, double delta) {
  if (now.bpb.size() < 2 || before.bpb.size() < 2) {
    fail(now.bpb.size() < 2 ? now.name : before.name, ": a test needs two runs or more on either side, found ", std::min(now.bpb.size(), before.bpb.size()));
  }
  const Sample a = describe(now.bpb), b = describe(before.bpb);
  const TestResult welch = welch_test(a, b, delta);
  std::vector<double> differences, against;
  for (const auto& [seed, bpb] : now.by_seed) {
    if (const auto other = before.by_seed.find(seed); other != before.by_seed.end()) differences.push_back(other->second - bpb);
  }
  for (const double bpb : now.bpb) against.push_back(b.mean - bpb);
  return {.delta = delta,
          .welch_t = welch.t,
          .welch_df = welch.df,
          .welch_p = welch.p,
          .paired_p = differences.size() >= 2 ? one_sample_test(describe(differences), delta).p : -1,
          .one_sample_p = one_sample_test(describe(against), delta).p,
          .permutation_p = permutation_p(now.bpb, before.bpb, delta),
          .runs_needed = runs_needed(a, b, delta)};
}

nlohmann::json report_significance(const Runs& now, const Runs& before, double bytes_per_token, const Console& console) {
  const Sample a = describe(now.bpb), b = describe(before.bpb);
  nlohmann::json json{{"runs", a.n}, {"baseline_runs", b.n}, {"mean_bpb", a.mean}, {"baseline_mean_bpb", b.mean}, {"bytes_per_token", bytes_per_token}};
  console.say(now.name, ": ", a.n, " runs, ", six(a.mean), " +- ", six(a.deviation), " bits a byte (sample deviation)");
  console.say(before.name, ": ", b.n, " runs, ", six(b.mean), " +- ", six(b.deviation));
  console.say("difference ", six(b.mean - a.mean), " bits a byte = ", six((b.mean - a.mean) * std::numbers::ln2), " nats a byte = ",
              six((b.mean - a.mean) * std::numbers::ln2 * bytes_per_token), " nats a token (", bytes_per_token, " bytes a token)");
  const std::tuple<const char*, const char*, double> units[] = {{"byte", "0.005 nats a byte", kRecordNats / std::numbers::ln2},
                                                                {"token", "0.005 nats a token", kRecordNats / std::numbers::ln2 / bytes_per_token},
                                                                {"none", "any difference", 0.0}};
  for (const auto& [key, name, delta] : units) {
    const Significance s = compare(now, before, delta);
    const bool readme = s.welch_p < kReadmeP, practice = s.welch_p < kPracticeP;
    console.say("more than ", name, " (", six(delta), " bits a byte): Welch t ", six(s.welch_t), ", df ", six(s.welch_df), ", p ", p_text(s.welch_p),
                "; paired p ", p_text(s.paired_p), "; one-sample p ", p_text(s.one_sample_p), "; permutation p ", p_text(s.permutation_p), "; p < 0.01 needs ",
                s.runs_needed > 0 ? std::to_string(s.runs_needed) : "more than 1000", " runs a side");
    json["tests"][key] = {{"delta_bpb", s.delta},         {"welch_t", s.welch_t}, {"welch_df", s.welch_df},           {"welch_p", s.welch_p},
                          {"paired_p", s.paired_p},       {"one_sample_p", s.one_sample_p}, {"permutation_p", s.permutation_p}, {"runs_needed", s.runs_needed},
                          {"readme_bar", readme && delta > 0}};
    if (delta > 0) {
      console.say("  README's bar (", name, ", p < 0.01): ", readme ? "reached" : "not reached");
    } else {
      console.say("  the leaderboard's practice (any difference, p < 0.25): ", practice ? "reached" : "not reached");
      json["practice_bar"] = practice;
    }
  }
  return json;
}

}  // namespace sixteen
