// See ledger.h. What is written when, and how a run that was cut off finds its place again.
#include "evaluator/ledger.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "evaluator/exact_sum.h"
#include "evaluator/method_json.h"
#include "evaluator/state_writer.h"
#include "formats/check.h"
#include "formats/error.h"
#include "model/process_clock.h"

namespace sixteen {
namespace {

using Json = nlohmann::json;
using Clock = LedgerRecorder::Clock;

Json build_identity() {
  const MappedFile program("/proc/self/exe");
  return {{"version", SIXTEEN_VERSION}, {"sha256", to_hex(sha256(program.bytes()))}};
}

void make_folder(const std::string& folder) {
  if (mkdir(folder.c_str(), 0777) == 0) return;
  const int reason = errno;
  if (reason == EEXIST) fail(folder, ": exists already; give a new folder, or --resume-ledger to go on with a run");
  fail(folder, ": cannot create: ", std::strerror(reason));
}

}  // namespace

struct LedgerRecorder::Impl {
  std::string folder;
  bool resume;
  int64_t snapshots;
  ScoredFiles files;
  Clock::time_point started, phase_began = started;

  ScoreRun* run = nullptr;
  std::unique_ptr<LedgerFile> ledger{};
  std::unique_ptr<AppendFile> nll_file{};
  Ledger old{};                    // of a run that is gone on with; records [next, end) are still to be met again
  size_t next = 0, appended = 0;
  std::vector<float> old_nll{};    // the losses that old records vouch for
  size_t nlls = 0;                 // losses so far
  ExactSum exact{};
  Json digests{};                  // of the state that scores now
  StateWriter states{};
  size_t state_record = 0, seals = 0, old_seals = 0;
  double seconds_before = 0;       // of the runs before this one
  std::map<std::string, double> seconds{{"load", 0}, {"score", 0}, {"update", 0}, {"ledger", 0}};

  std::string left() const {
    if (old.records.empty() && appended == 0) return folder + " holds no record yet: remove it";
    return folder + " holds the scores of " + std::to_string(std::max(seals, old_seals)) + " of " + std::to_string(run->chunks().size()) +
           " chunks; the same command with --resume-ledger goes on from there";
  }

  // What fails here leaves a good beginning behind.
  template <class Write>
  void writing(Write write) {
    try {
      write();
    } catch (const Error& e) {
      fail(e.what(), "; ", left());
    }
  }

  // Appends the record, or meets it again among the old ones. Returns its index in the file.
  size_t emit(const Json& body) {
    while (next < old.records.size() && old.records[next].kind == "clock") ++next;
    if (next == old.records.size()) {
      writing([&] { ledger->append(body); });
      return old.records.size() + appended++;
    }
    const LedgerRecord& expected = old.records[next];
    if (record_text(body) != expected.text) {
      fail(ledger_path(folder), ": offset ", expected.offset, ": the run does not come out the same again: expected ", expected.text,
           ", found ", record_text(body));
    }
    return next++;
  }

  void spend(const char* phase) {
    const Clock::time_point now = Clock::now();
    seconds[phase] += std::chrono::duration<double>(now - phase_began).count();
    phase_began = now;
  }

  void clock(const char* phase) {
    Json body{{"kind", "clock"}, {"phase", phase}, {"utc", utc_now("%Y-%m-%dT%H:%M:%SZ")}, {"seconds", seconds}, {"ranks", run->session().device().ranks().size()}};
    body["seconds"]["total"] = seconds_before + std::chrono::duration<double>(Clock::now() - started).count();
    writing([&] { ledger->append(body); });
    ++appended;
  }

  Json open_record() const {
    const EvalConfig& c = run->method().config;
    const int64_t targets = static_cast<int64_t>(run->tokens().size()) - 1;
    return {{"kind", "open"},
            {"artifact", files.artifact},
            {"data", files.data},
            {"tokenizer", files.tokenizer},
            {"method", method_to_json(run->method())},
            {"order", "stream"},
            {"tokens", targets + 1},
            {"targets", c.drop_tail ? targets / c.window * c.window : targets},
            {"chunks", run->chunks().size()},
            {"leaf_bytes", kLeafBytes},
            {"build", build_identity()},
            {"device", run->session().device().name()}};
  }

  // The state that `chunk` will be scored with; now and then as a file too.
  void state(int64_t chunk) {
    Json body{{"kind", "state"}, {"chunk", chunk}, {"digests", digests}};
    const int64_t every = (static_cast<int64_t>(run->chunks().size()) + snapshots) / (snapshots + 1);
    if (chunk > 0 && snapshots > 0 && chunk % every == 0) {
      const std::string path = state_path(folder, chunk);
      body["snapshot"] = path.substr(folder.size() + 1);
      if (access(path.c_str(), F_OK) != 0 || next >= old.records.size()) writing([&] { states.write(run, path); });
    }
    state_record = emit(body);
  }

  void check_same_run(const Json& body) const {
    const std::string path = ledger_path(folder);
    if (!old.fault.empty() && !old.torn) fail(path, ": ", old.fault);
    if (old.records.empty() || old.records[0].kind != "open") fail(path, ": holds no run; start it without --resume-ledger");
    if (old.records.back().kind == "final") fail(path, ": the run is complete; there is nothing to go on with");
    const Json& was = old.records[0].body;
    for (const auto& [key, value] : body.items()) {
      const Json expected = was.value(key, Json());
      if (expected != value) fail(path, ": belongs to another run: ", key, ": expected ", expected.dump(), ", found ", value.dump());
    }
  }

  // Where to go on: training needs a state file (or starts over), of which a killed run may lack the last; other runs go on behind
  // their last seal. Sets `next`.
  int64_t find_place() {
    const bool training = run->method().scoring == Scoring::kTraining;
    int64_t chunk = 0;
    next = 0;
    for (size_t i = 0; i < old.records.size(); ++i) {
      const LedgerRecord& record = old.records[i];
      if (record.kind != (training ? "state" : "seal")) continue;
      const int64_t of = record.body.at("chunk");
      if (training && (!record.body.contains("snapshot") || access(state_path(folder, of).c_str(), F_OK) != 0)) continue;
      chunk = of + (training ? 0 : 1);
      next = i + 1;
      if (training) digests = record.body.at("digests");
    }
    return chunk;
  }

  // What the records before `next` have scored.
  void take_over(ScoreSum* sum) {
    for (size_t i = 0; i < next; ++i) {
      const LedgerRecord& record = old.records[i];
      if (record.kind == "state") state_record = i;
      if (record.kind == "seal") ++seals;
      if (record.kind == "read") run->tap_in()->read_until(record.body.at("range").at(1));
      if (record.kind == "read") digests["cache"] = record.body.at("cache");
      if (record.kind != "score") continue;
      sum->add({record.body.at("nats"), record.body.at("count"), record.body.at("bytes")});
      nlls += record.body.at("count").get<size_t>();
    }
    exact.add(std::span(old_nll).first(nlls));
  }

  int64_t go_on(ScoreSum* sum, std::vector<float>* nll) {
    old = read_ledger(ledger_path(folder));
    check_same_run(open_record());
    size_t vouched = 0;
    for (const LedgerRecord& record : old.records) {
      if (record.kind == "score") vouched += record.body.at("count").get<size_t>();
      if (record.kind == "seal") ++old_seals;
      if (record.kind != "clock") continue;
      seconds_before = record.body.at("seconds").at("total");
      for (auto& [phase, time] : seconds) time = record.body.at("seconds").at(phase);
    }
    nll_file = std::make_unique<AppendFile>(nll_path(folder), vouched * sizeof(float));
    const MappedFile losses(nll_path(folder));
    old_nll.resize(vouched);
    if (vouched > 0) std::memcpy(old_nll.data(), losses.bytes().data(), vouched * sizeof(float));
    ledger = std::make_unique<LedgerFile>(ledger_path(folder), old);
    const int64_t chunk = find_place();
    take_over(sum);
    if (chunk > 0 && run->method().scoring == Scoring::kTraining) {
      restore_state(state_path(folder, chunk), digests, run);
    }
    if (nll != nullptr) nll->assign(old_nll.begin(), old_nll.begin() + static_cast<std::ptrdiff_t>(nlls));
    return chunk;
  }

  void keep_nll(std::span<const float> nll) {
    for (const float loss : nll) {
      if (!std::isfinite(loss)) fail("the loss is ", loss, ": the weights overflow; was the training run sound?");
    }
    exact.add(nll);
    if (nlls + nll.size() > old_nll.size()) {
      writing([&] {
        nll_file->append(nll.data(), nll.size_bytes());
        nll_file->sync();
      });
    } else if (std::memcmp(nll.data(), old_nll.data() + nlls, nll.size_bytes()) != 0) {
      fail(nll_path(folder), ": offset ", nlls * sizeof(float), ": the run does not come out the same again");
    }
    nlls += nll.size();
  }
};

LedgerRecorder::LedgerRecorder(const std::string& folder, bool resume, int64_t snapshots, ScoredFiles files, Clock::time_point started)
    : impl_(new Impl{.folder = folder, .resume = resume, .snapshots = snapshots, .files = std::move(files), .started = started}) {
  if (!resume) make_folder(folder);
}
LedgerRecorder::~LedgerRecorder() = default;

std::string LedgerRecorder::left() const { return impl_->left(); }

int64_t LedgerRecorder::begin(ScoreRun* run, ScoreSum* sum, std::vector<float>* nll) {
  Impl& i = *impl_;
  i.run = run;
  i.digests = common_digests(run);
  i.spend("load");
  const int64_t chunk = i.resume ? i.go_on(sum, nll) : 0;
  announce_place(run, chunk);
  if (!i.resume) {
    i.nll_file = std::make_unique<AppendFile>(nll_path(i.folder), 0);
    i.ledger = std::make_unique<LedgerFile>(ledger_path(i.folder));
  }
  if (i.resume) i.clock("resume");
  if (i.next == 0) {
    i.emit(i.open_record());
    if (!i.resume) i.clock("open");
    i.state(0);
  }
  i.writing([&] { i.ledger->sync(); });
  i.spend("ledger");
  return chunk;
}

void LedgerRecorder::scored(int64_t chunk, std::span<const float> nll, const ScoreSum& sum) {
  Impl& i = *impl_;
  i.spend("score");
  i.writing([&] { i.states.check(); });
  const Chunk& scored = i.run->chunks()[chunk];
  if (i.run->tap_in() != nullptr) {
    i.digests["cache"] = to_hex(i.run->tap_in()->read_digest());
    i.emit({{"kind", "read"}, {"chunk", chunk}, {"component", "tap-in"}, {"range", {0, i.run->tap_in()->read_end()}}, {"cache", i.digests["cache"]}});
  }
  const size_t first = i.nlls;
  i.keep_nll(nll);
  const Json score{{"kind", "score"},    {"chunk", chunk},     {"ranges", target_ranges(scored.windows)},
                   {"count", nll.size()}, {"first_nll", first}, {"nll_sha256", to_hex(sha256(std::as_bytes(nll)))},
                   {"nats", sum.nll},     {"bytes", sum.bytes}, {"state", i.state_record},
                   {"weights", i.digests["weights"]}};
  const size_t record = i.emit(score);
  const int64_t through = scored.windows.back().first_target() + scored.windows.back().scored - 1;
  i.emit({{"kind", "seal"}, {"chunk", chunk}, {"seal", i.seals}, {"scores", Json::array({record})}, {"through", through},
          {"sha256", text_digest(record_text(score))}});
  ++i.seals;
  i.spend("ledger");
}

void LedgerRecorder::trained(int64_t chunk, std::span<const TttStep> steps) {
  Impl& i = *impl_;
  i.spend("update");
  if (!steps.empty()) {
    Json before = i.digests, losses = Json::array(), norms = Json::array();
    i.digests = common_digests(i.run);
    for (const TttStep& step : steps) {
      losses.push_back(step.loss);
      norms.push_back(step.grad_norm);
    }
    i.emit({{"kind", "update"},
            {"chunk", chunk},
            {"seal", i.seals - 1},
            {"ranges", trained_ranges(i.run->chunks()[chunk].train_starts, i.run->method().config.window)},
            {"epochs", i.run->method().config.ttt.epochs},
            {"lr", steps.front().lr},
            {"losses", losses},
            {"grad_norms", norms},
            {"before", before},
            {"after", i.digests}});
    i.state(chunk + 1);
  }
  i.spend("ledger");
  if (i.next < i.old.records.size()) return;
  i.clock("chunk");
  i.writing([&] { i.ledger->sync(); });
}

void LedgerRecorder::finish(const ScoreSum& sum) {
  Impl& i = *impl_;
  i.writing([&] { i.states.wait(); });
  i.spend("ledger");
  i.clock("end");
  i.emit({{"kind", "final"}, {"targets", sum.targets}, {"bytes", sum.bytes}, {"nats", sum.nll}, {"nats_exact", i.exact.value()}, {"bpb", sum.bpb()}});
  i.writing([&] { i.ledger->sync(); });
}

}  // namespace sixteen
