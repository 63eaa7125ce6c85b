// The checks of scorer_checks.h for what no change of the text shows: validation text in the artifact, calibration on it, other files
// (legality 4.6).
//
// Bites: the twin set is only as good as its likeness: another export, other lengths of documents or another topic is a difference
// too. A trace names what was opened, not what was read out of it, and a file can be copied to an allowed place beforehand.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "evaluator/file_trace.h"
#include "evaluator/scorer_checks.h"
#include "formats/error.h"
#include "model/statistics.h"

namespace sixteen {
namespace {

constexpr int64_t kShortestDocument = 16;  // targets; a mean over fewer is noise
constexpr double kTwinP = 1e-4;            // one-sided; an honest program gets there in one of 10,000 runs
constexpr double kScanFloor = 7, kScanRatio = 2;  // a run of documents so many deviations below the twin, twice as far as its own worst
constexpr size_t kMostDocuments = 2000;    // the scan is quadratic
constexpr const char* kSystemFolders[] = {"/usr/", "/lib/", "/lib64/", "/bin/", "/etc/", "/proc/", "/sys/", "/dev/"};

struct Documents {
  std::vector<double> nats;     // mean of each document's targets but BOS
  std::vector<int64_t> starts;  // of those documents
};

Documents score_documents(ScorerBench* bench, std::span<const uint16_t> tokens, const char* name) {
  const ScorerScore score = bench->run(tokens, name);
  std::vector<int64_t> starts = document_starts(tokens, bench->bos);
  starts.push_back(static_cast<int64_t>(tokens.size()));
  Documents documents;
  for (size_t d = 0; d + 1 < starts.size() && documents.nats.size() < kMostDocuments; ++d) {
    double sum = 0;
    int64_t count = 0;
    for (int64_t t = starts[d] + 1; t < starts[d + 1] && t <= static_cast<int64_t>(score.nll.size()); ++t) {
      const double nll = score.nll[static_cast<size_t>(t) - 1];
      if (!std::isnan(nll)) sum += nll, ++count;
    }
    if (count < kShortestDocument) continue;
    documents.nats.push_back(sum / static_cast<double>(count));
    documents.starts.push_back(starts[d]);
  }
  return documents;
}

// The cheapest run of neighbouring documents: how many deviations below the twin's mean, and its first document.
struct Scan {
  double deviations = 0;
  size_t first = 0, count = 0;
};
Scan scan(const std::vector<double>& nats, const Sample& twin) {
  Scan best;
  for (size_t a = 0; a < nats.size(); ++a) {
    double sum = 0;
    for (size_t b = a; b < nats.size(); ++b) {
      sum += (twin.mean - nats[b]) / twin.deviation;
      const double value = sum / std::sqrt(static_cast<double>(b - a + 1));
      if (value > best.deviations) best = {value, a, b - a + 1};
    }
  }
  return best;
}

bool starts_with(const std::string& path, const std::string& prefix) {
  if (path.compare(0, prefix.size(), prefix) != 0) return false;
  return prefix.back() == '/' || path.size() == prefix.size() || path[prefix.size()] == '/';
}

}  // namespace

void check_twin(ScorerBench* bench, std::span<const uint16_t> official, std::span<const uint16_t> twin, Verdict* verdict) {
  const std::string name = "twin set";
  const Documents ours = score_documents(bench, official, "the validation text"), theirs = score_documents(bench, twin, "the twin set");
  if (ours.nats.size() < 5 || theirs.nats.size() < 5) {
    return verdict->skip(Condition::kC1, name, joined("needs 5 documents of ", kShortestDocument, " targets on either side, found ", ours.nats.size(),
                                                    " and ", theirs.nats.size()));
  }
  const Sample a = describe(ours.nats), b = describe(theirs.nats);
  if (b.deviation == 0) return verdict->skip(Condition::kC1, name, "every document of it scores the same; give real text");
  const TestResult test = welch_test(a, b, 0);
  const Scan cheapest = scan(ours.nats, b), own = scan(theirs.nats, b);
  const std::string seen = joined(a.n, " documents ", a.mean, " nats a token, twin's ", b.n, " ", b.mean, " (p ", test.p, "); cheapest run ",
                                cheapest.deviations, " deviations, twin's ", own.deviations);
  const bool run = cheapest.deviations > kScanFloor && cheapest.deviations > kScanRatio * own.deviations;
  if (test.p >= kTwinP && !run) return verdict->pass(Condition::kC1, name, seen);
  verdict->fault(Condition::kC1, name,
                 joined("validation text scores too well: ", seen, "; ", cheapest.count, " documents from token ", ours.starts[cheapest.first],
                      " on: stored text, or parameters fitted to it"),
                 ours.starts[cheapest.first] + 1);
}

void check_files(const ScorerBench& bench, const std::vector<std::string>& allowed, Verdict* verdict) {
  const std::string name = "opened files";
  const int fd = memfd_create("trace", MFD_CLOEXEC);
  if (fd < 0) fail("verify: cannot make a file in memory for the trace");
  Scorer::Options options = bench.start;
  options.trace_fd = fd;
  Scorer scorer(options);
  const bool same = scorer.score(bench.text).nll == bench.base.nll;
  scorer.end();
  const std::vector<OpenedFile> files = read_trace(fd);
  close(fd);
  std::vector<std::string> prefixes(std::begin(kSystemFolders), std::end(kSystemFolders));
  for (const std::string& path : allowed) prefixes.push_back(std::filesystem::weakly_canonical(path).string());
  std::string strange;
  int64_t count = 0, made = 0;
  for (const OpenedFile& file : files) {
    made += file.created ? 1 : 0;
    const auto covers = [&](const std::string& prefix) { return starts_with(file.path, prefix); };
    if (file.created || std::any_of(prefixes.begin(), prefixes.end(), covers)) continue;
    if (++count <= 5) strange += (strange.empty() ? "" : ", ") + file.path;
  }
  if (files.empty()) return verdict->skip(Condition::kC1, name, "this system does not allow a trace (ptrace)");
  if (!same && bench.noise == 0) return verdict->fault(Condition::kC1, name, "the program scores otherwise when it is traced");
  if (count > 0) {
    return verdict->fault(Condition::kC1, name, joined("it opens ", count, " that are neither artifact nor allowed: ", strange,
                                                     count > 5 ? ", ..." : "", " (see --allow)"));
  }
  verdict->pass(Condition::kC1, name, joined(files.size(), " opened: the system's, the allowed ones, and ", made, " of its own making"));
}

}  // namespace sixteen
