// See verify_records.h.
// Bites: targets between `sealed_` and `highest_` are scored and not sealed: no update may know them. Ranges of a weak order are not
// sealed by a limit but by count, so the walk keeps both.
#include "evaluator/verify_records.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "formats/error.h"

namespace sixteen {
namespace {

constexpr size_t kMostFaults = 20;  // of one ledger; after that a reader has seen enough

template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream line;
  line.precision(17);
  (line << ... << parts);
  return line.str();
}

}  // namespace

RecordWalk::RecordWalk(const VerifyOptions& options, LedgerCase* ledger, Verdict* verdict)
    : options_(options), ledger_(*ledger), verdict_(verdict), times_(ledger->tokens.size(), 0) {}

void RecordWalk::fault(Condition condition, const char* check, const std::string& detail, int64_t target) {
  if (++faults_ <= kMostFaults) {
    verdict_->fault(condition, check, text("record ", index_, " (offset ", ledger_.ledger.records[index_].offset, "): ", detail), target);
  }
}

bool RecordWalk::walk(const Json& start) {
  start_ = expected_ = start;
  const std::vector<LedgerRecord>& records = ledger_.ledger.records;
  for (index_ = 0; index_ < records.size(); ++index_) {
    try {
      visit(records[index_]);
    } catch (const Json::exception& error) {
      fault(Condition::kIntegrity, "records", text("a ", records[index_].kind, " record that does not say what it must: ", error.what()));
      return false;
    }
  }
  index_ = records.size() - 1;
  conclude();
  return true;
}

void RecordWalk::visit(const LedgerRecord& record) {
  const Json& r = record.body;
  if (ledger_.complete) {
    fault(Condition::kC4, "one run", "there is a record behind the final one");
  } else if (record.kind == "open") {
    if (index_ != 0) fault(Condition::kC4, "one run", "a second run begins in the same ledger");
  } else if (record.kind == "score") {
    score(r);
  } else if (record.kind == "seal") {
    seal(r);
  } else if (record.kind == "state") {
    state(r);
  } else if (record.kind == "update") {
    update(r);
  } else if (record.kind == "read") {
    read(r);
  } else if (record.kind == "clock") {
    clock(r);
  } else if (record.kind == "final") {
    final_record(r);
  } else {
    fault(Condition::kIntegrity, "records", "unknown kind \"" + record.kind + "\"");
  }
}

void RecordWalk::cover(const Json& ranges, ScoredChunk* c) {
  const int64_t targets = static_cast<int64_t>(times_.size()) - 1;
  size_t counted = 0;
  for (const Json& range : ranges) {
    const int64_t first = range.at(0), count = range.at(1), end = first + count;
    if (first < 1 || count < 1 || end - 1 > targets || end < first) {
      fault(Condition::kC4, "targets", text("targets ", first, " to ", end - 1, " of a stream with targets 1 to ", targets));
      continue;
    }
    if (counted == 0) c->first_target = first;
    counted += static_cast<size_t>(count);
    const auto seen = std::find_if(times_.begin() + first, times_.begin() + end, [](uint8_t n) { return n > 0; });
    if (seen != times_.begin() + end) fault(Condition::kC4, "scored once", "a target is scored again", seen - times_.begin());
    if (first <= highest_ && seen == times_.begin() + end) ascending_ = false;
    for (int64_t t = first; t < end; ++t) {
      distinct_ += times_[t] == 0;
      repeated_ += times_[t] > 0;
      if (times_[t] < 255) ++times_[t];
    }
    highest_ = std::max(highest_, end - 1);
    c->last_target = std::max(c->last_target, end - 1);
  }
  if (counted != c->count) fault(Condition::kC4, "targets", text("ranges of ", counted, " targets, but ", c->count, " losses"));
}

void RecordWalk::check_losses(const Json& r, const ScoredChunk& c) {
  const std::span<const float> nll = std::span(ledger_.nll).subspan(c.first_nll, c.count);
  const std::string found = to_hex(sha256(std::as_bytes(nll)));
  if (r.at("nll_sha256") != found) {
    fault(Condition::kIntegrity, "losses", text(nll_path(ledger_.folder), ": bytes ", 4 * c.first_nll, " to ", 4 * (c.first_nll + c.count) - 1,
                                                ": expected SHA-256 ", r.at("nll_sha256").dump(), ", found ", found), c.first_target);
    return;
  }
  double nats = 0;
  int64_t bytes = 0;
  size_t i = 0;
  for (const Json& range : r.at("ranges")) {
    const int64_t first = range.at(0), count = range.at(1);
    for (int64_t t = first; t < first + count && i < nll.size(); ++t, ++i) {
      if (!(nll[i] >= -1e-4f) || !std::isfinite(nll[i])) {  // a softmax in fp32 may round a certainty to a little below 0
        fault(Condition::kC2, "losses", text("a loss of ", nll[i], " nats: a probability above 1, or none"), t);
        return;
      }
      nats += nll[i];
      bytes += ledger_.tables.bytes(ledger_.tokens[t], ledger_.tokens[t - 1]);
    }
  }
  exact_.add(nll);
  if (nats != c.nats) fault(Condition::kIntegrity, "sums", text("nats: expected ", nats, ", found ", c.nats), c.first_target);
  if (bytes != c.bytes) fault(Condition::kBytes, "sums", text("bytes: expected ", bytes, ", found ", c.bytes), c.first_target);
}

void RecordWalk::score(const Json& r) {
  ScoredChunk c{.chunk = r.at("chunk"), .first_nll = r.at("first_nll"), .count = r.at("count"), .state = r.at("state"),
                .nats = r.at("nats"), .bytes = r.at("bytes")};
  if (c.first_nll != nlls_ || c.count > ledger_.nll.size() - std::min(nlls_, ledger_.nll.size())) {
    fault(Condition::kIntegrity, "losses", text("losses ", c.first_nll, " to ", c.first_nll + c.count, " of a file of ", ledger_.nll.size(),
                                                ", expected from ", nlls_, " on"));
    return;
  }
  if (c.chunk != static_cast<int64_t>(ledger_.chunks.size())) {
    fault(Condition::kC4, "chunks", text("expected chunk ", ledger_.chunks.size(), ", found ", c.chunk));
  }
  cover(r.at("ranges"), &c);
  check_losses(r, c);
  if (!state_record_ || c.state != *state_record_ || r.at("weights") != digests_.at("weights")) {
    fault(Condition::kC3, "linked digests", "scored with another state than the last one recorded", c.first_target);
  }
  if (!expected_.is_null()) fault(Condition::kC3, "linked digests", "scored between an update and the state it leaves", c.first_target);
  if (open_read_ > c.last_target) {
    fault(Condition::kC1, "reads", text("tokens up to ", open_read_ - 1, " were read before targets up to ", c.last_target, " were scored"), c.last_target + 1);
  }
  open_read_ = -1;
  nlls_ += c.count;
  nats_ += c.nats;
  bytes_ += c.bytes;
  unsealed_.push_back(index_);
  ledger_.chunks.push_back(c);
}

void RecordWalk::seal(const Json& r) {
  std::string texts;
  for (const size_t record : unsealed_) texts += ledger_.ledger.records[record].text;
  if (r.at("seal") != seals_ || r.at("scores") != Json(unsealed_) || r.at("through") != highest_ || r.at("sha256") != text_digest(texts)) {
    fault(Condition::kC3, "seals", text("a seal that is not of the scores before it: expected seal ", seals_, " of records ", Json(unsealed_).dump(), " through ", highest_));
  }
  ++seals_;
  sealed_ = highest_;
  unsealed_.clear();
}

void RecordWalk::state(const Json& r) {
  const Json& found = r.at("digests");
  if (expected_.is_null()) {
    fault(Condition::kC3, "linked digests", "the state changes without an update");
  } else if (found != expected_) {
    const bool first = !state_record_;
    fault(first ? Condition::kC1 : Condition::kC3, first ? "initial state" : "linked digests",
          text(first ? "before the first score: expected the artifact's weights and zeros " : "expected what the update left ", expected_.dump(), ", found ", found.dump()));
  }
  if (r.at("chunk") != static_cast<int64_t>(ledger_.chunks.size())) {
    fault(Condition::kC3, "linked digests", text("a state of chunk ", r.at("chunk").dump(), ", expected ", ledger_.chunks.size()));
  }
  digests_ = found;
  expected_ = Json();
  state_record_ = index_;
}

void RecordWalk::update(const Json& r) {
  ++updates_;
  const int64_t seal = r.at("seal");
  if (seal < 0 || seal >= seals_) fault(Condition::kC3, "updates", text("refers to seal ", seal, ", but ", seals_, " are there"));
  for (const Json& range : r.at("ranges")) {
    const int64_t first = range.at(0), count = range.at(1), targets = static_cast<int64_t>(times_.size()) - 1;
    if (first < 1 || count < 1 || first + count - 1 > targets) {
      fault(Condition::kC3, "updates", text("trains on targets ", first, " to ", first + count - 1, " of ", targets));
      continue;
    }
    const auto begin = times_.begin() + first, end = begin + count;
    const auto open = std::find(begin, end, 0);
    if (open != end) {
      fault(Condition::kC3, "updates", text("trains on targets ", first, " to ", first + count - 1, " that are not scored yet"), open - times_.begin());
    } else if (!unsealed_.empty() && first + count - 1 > sealed_) {
      fault(Condition::kC3, "updates", "trains on targets that are scored and not sealed", std::max(first, sealed_ + 1));
    }
  }
  if (r.at("before") != digests_) fault(Condition::kC3, "linked digests", "does not start from the last state");
  if (!expected_.is_null()) fault(Condition::kC3, "linked digests", "two updates without a state between them");
  if (r.at("chunk") != static_cast<int64_t>(ledger_.chunks.size()) - 1) fault(Condition::kC3, "updates", text("of chunk ", r.at("chunk").dump()));
  expected_ = r.at("after");
}

void RecordWalk::read(const Json& r) {
  ++reads_;
  const int64_t begin = r.at("range").at(0), end = r.at("range").at(1);
  if (begin < 0 || end < begin || end > static_cast<int64_t>(ledger_.tokens.size())) {
    fault(Condition::kC1, "reads", text("tokens ", begin, " to ", end, " of ", ledger_.tokens.size()));
    return;
  }
  open_read_ = std::max(open_read_, end);
  if (!r.contains("cache")) return;
  const auto from = std::min(read_hashed_, end);
  read_hash_.update(std::as_bytes(std::span(ledger_.tokens).subspan(static_cast<size_t>(from), static_cast<size_t>(end - from))));
  read_hashed_ = std::max(read_hashed_, end);
  if (begin != 0 || r.at("cache") != to_hex(read_hash_.so_far())) {
    fault(Condition::kC1, "reads", text("the cache is not made of tokens 0 to ", end - 1, " alone"));
  }
  if (!digests_.is_null()) digests_["cache"] = r.at("cache");
}

void RecordWalk::clock(const Json& r) {
  const Json& seconds = r.at("seconds");
  const double total = seconds.at("total");
  double parts = 0;
  for (const auto& [phase, value] : seconds.items()) {
    const double time = value;
    if (!(time >= 0)) fault(Condition::kTime, "clocks", text(phase, ": ", time, " s"));
    if (phase != "total") parts += time;
  }
  if (total < total_s_) fault(Condition::kTime, "clocks", text("the clock goes back from ", total_s_, " s to ", total, " s"));
  if (parts > total * 1.01 + 0.1) fault(Condition::kTime, "clocks", text("phases of ", parts, " s within ", total, " s"));
  total_s_ = std::max(total_s_, total);
}

void RecordWalk::final_record(const Json& r) {
  ledger_.complete = true;
  const auto expect = [&](Condition condition, const char* key, auto expected) {
    if (r.at(key) != expected) fault(condition, "totals", text(key, ": expected ", expected, ", found ", r.at(key).dump()));
  };
  expect(Condition::kIntegrity, "targets", static_cast<int64_t>(nlls_));
  expect(Condition::kBytes, "bytes", bytes_);
  expect(Condition::kIntegrity, "nats", nats_);
  expect(Condition::kIntegrity, "nats_exact", exact_.value());
  const ScoreSum sum{nats_, static_cast<int64_t>(nlls_), bytes_};
  expect(Condition::kIntegrity, "bpb", sum.bpb());
  verdict_->set_score(sum.bpb());
}

void RecordWalk::conclude() {
  const Json& open = ledger_.ledger.records.front().body;
  const int64_t targets = static_cast<int64_t>(times_.size()) - 1, declared = open.at("targets");
  const EvalConfig& c = ledger_.method.config;
  const int64_t allowed = c.drop_tail ? targets / c.window * c.window : targets;
  if (declared != allowed) fault(Condition::kC4, "targets", text("declares ", declared, " targets, the stream has ", allowed));
  if (!ledger_.complete) {
    fault(Condition::kC4, "complete", text("the run is not over: it ends with this record, after ", distinct_, " of ", declared, " targets; what is there was checked"));
  } else {
    const auto missing = std::find(times_.begin() + 1, times_.begin() + 1 + std::clamp<int64_t>(declared, 0, targets), 0);
    if (distinct_ != declared) fault(Condition::kC4, "scored once", text(declared - distinct_, " targets are never scored"), missing - times_.begin());
  }
  if (nlls_ < ledger_.nll.size()) {
    fault(Condition::kIntegrity, "losses", text(nll_path(ledger_.folder), ": ", 4 * ledger_.nll.size(), " bytes, but records for ", 4 * nlls_));
  }
  if (!expected_.is_null()) fault(Condition::kC3, "linked digests", "an update whose state was never recorded");
  verdict_->set_order(ascending_ ? EventOrder::kStrong : EventOrder::kWeak);
  std::vector<double> curve;
  for (const ScoredChunk& chunk : ledger_.chunks) curve.push_back(ScoreSum{chunk.nats, 1, std::max<int64_t>(chunk.bytes, 1)}.bpb());
  verdict_->set_curve(curve);
  const auto pass = [&](Condition condition, const char* check, const std::string& detail) {
    if (!verdict_->violated(condition)) verdict_->pass(condition, check, detail);
  };
  pass(Condition::kIntegrity, "records", text(ledger_.ledger.records.size(), " records: chain, files, digests of ", nlls_, " losses, sums and totals"));
  pass(Condition::kC1, "order and reads", text(ascending_ ? "scored in stream order" : "scored in another order than the stream's", ", ", reads_, " reads within what was scored, start from the artifact's weights"));
  pass(Condition::kC3, "seals and updates", text(seals_, " seals, ", updates_, " updates on sealed targets alone, digests linked"));
  pass(Condition::kC4, "coverage", text(distinct_, " targets, each scored once, one run"));
  pass(Condition::kBytes, "tables", text(bytes_, " bytes by the tokenizer's tables"));
  if (options_.limit_s <= 0) {
    verdict_->skip(Condition::kTime, "evaluation clock", text(total_s_, " s; not judged"));
  } else if (total_s_ > options_.limit_s) {
    fault(Condition::kTime, "evaluation clock", text(total_s_, " s on ", open.at("device").get<std::string>(), ", allowed are ", options_.limit_s));
  } else {
    pass(Condition::kTime, "evaluation clock", text(total_s_, " s of ", options_.limit_s));
  }
  verdict_->skip(Condition::kTime, "training clock", "the ledger is of the evaluation; the training log has it");
}

}  // namespace sixteen
