// See verdict.h.
#include "evaluator/verdict.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "model/svg.h"
#include "formats/check.h"
#include "formats/file.h"

namespace sixteen {
namespace {

using Result = Evidence::Result;

constexpr Condition kFour[] = {Condition::kC1, Condition::kC2, Condition::kC3, Condition::kC4};

const char* result_word(Result result) {
  switch (result) {
    case Result::kPass: return "pass";
    case Result::kFault: return "FAULT";
    case Result::kSkipped: return "not checked";
  }
  CHECK(false);
}

std::string state_word(const Verdict& verdict, Condition condition) {
  return verdict.violated(condition) ? "FAULT" : verdict.checked(condition) ? "pass" : "not checked";
}

std::string padded(std::string text, size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

void append(std::string* list, const char* name) { *list += (list->empty() ? "" : ", ") + std::string(name); }

std::string where(const Evidence& e) {
  return e.first_target < 0 ? std::string() : " (first at target " + std::to_string(e.first_target) + ")";
}

}  // namespace

const char* condition_name(Condition condition) {
  switch (condition) {
    case Condition::kIntegrity: return "integrity";
    case Condition::kC1: return "C1";
    case Condition::kC2: return "C2";
    case Condition::kC3: return "C3";
    case Condition::kC4: return "C4";
    case Condition::kBytes: return "bytes";
    case Condition::kTime: return "time";
  }
  CHECK(false);
}

const char* condition_text(Condition condition) {
  switch (condition) {
    case Condition::kIntegrity: return "files, digests and totals are what they claim to be";
    case Condition::kC1: return "depends on earlier tokens alone";
    case Condition::kC2: return "full normalised distribution, blind to the target";
    case Condition::kC3: return "scored before learned from";
    case Condition::kC4: return "every target once, one pass, one order";
    case Condition::kBytes: return "bytes of the same targets";
    case Condition::kTime: return "600 s of training, 600 s of evaluation";
  }
  CHECK(false);
}

const char* event_order_name(EventOrder order) {
  switch (order) {
    case EventOrder::kUnknown: return "unknown";
    case EventOrder::kStrong: return "strong";
    case EventOrder::kWeak: return "weak";
    case EventOrder::kCyclic: return "cyclic";
  }
  CHECK(false);
}

void Verdict::pass(Condition condition, const std::string& check, const std::string& detail) {
  evidence_.push_back({condition, Result::kPass, check, detail});
}

void Verdict::fault(Condition condition, const std::string& check, const std::string& detail, int64_t first_target) {
  evidence_.push_back({condition, Result::kFault, check, detail, first_target});
}

void Verdict::skip(Condition condition, const std::string& check, const std::string& what_to_give) {
  evidence_.push_back({condition, Result::kSkipped, check, what_to_give});
}

bool Verdict::violated(Condition condition) const {
  return std::any_of(evidence_.begin(), evidence_.end(),
                     [&](const Evidence& e) { return e.condition == condition && e.result == Result::kFault; });
}

bool Verdict::checked(Condition condition) const {
  return std::any_of(evidence_.begin(), evidence_.end(),
                     [&](const Evidence& e) { return e.condition == condition && e.result != Result::kSkipped; });
}

bool Verdict::legal() const {
  const auto any = [&](Result result) {
    return std::any_of(evidence_.begin(), evidence_.end(), [&](const Evidence& e) { return e.result == result; });
  };
  return any(Result::kPass) && !any(Result::kFault);
}

std::string Verdict::headline() const {
  std::string bad, open;
  for (int i = 0; i < kConditionCount; ++i) {
    if (violated(static_cast<Condition>(i))) append(&bad, condition_name(static_cast<Condition>(i)));
  }
  for (const Condition condition : kFour) {
    if (!checked(condition)) append(&open, condition_name(condition));
  }
  if (!bad.empty()) return "NOT LEGAL: " + bad;
  return open.empty() ? "LEGAL" : "NO VIOLATION FOUND, not checked: " + open;
}

std::string Verdict::text() const {
  std::string out = "sixteen verify " SIXTEEN_VERSION ": " + headline() + "\n" + padded("subject", 10) + subject_ + "\n";
  if (std::isfinite(bpb_)) out += padded("score", 10) + fixed(bpb_, 8) + " bits per byte\n";
  out += padded("order", 10) + event_order_name(order_) + "\n";
  for (int i = 0; i < kConditionCount; ++i) {
    const Condition condition = static_cast<Condition>(i);
    out += padded(condition_name(condition), 10) + padded(state_word(*this, condition), 12) + condition_text(condition) + "\n";
    for (const Evidence& e : evidence_) {
      if (e.condition != condition) continue;
      out += "  " + padded(result_word(e.result), 12) + e.check + ": " + e.detail + where(e) + "\n";
    }
  }
  return out;
}

nlohmann::json Verdict::json() const {
  nlohmann::json conditions, list = nlohmann::json::array();
  for (int i = 0; i < kConditionCount; ++i) {
    conditions[condition_name(static_cast<Condition>(i))] = state_word(*this, static_cast<Condition>(i));
  }
  for (const Evidence& e : evidence_) {
    nlohmann::json entry{{"condition", condition_name(e.condition)}, {"result", result_word(e.result)}, {"check", e.check}, {"detail", e.detail}};
    if (e.first_target >= 0) entry["first_target"] = e.first_target;
    list.push_back(entry);
  }
  nlohmann::json facts = nlohmann::json::object();
  for (const auto& [name, value] : facts_) facts[name] = value;
  return {{"subject", subject_}, {"legal", legal()},    {"headline", headline()}, {"order", event_order_name(order_)},
          {"bpb", bpb_},         {"conditions", conditions}, {"evidence", list},       {"facts", facts}};
}

void Verdict::write_html(const std::string& path) const {
  const auto row = [](const std::string& a, const std::string& b) {
    return "<tr><td>" + escape_html(a) + "</td><td>" + escape_html(b) + "</td></tr>";
  };
  const auto mark = [](const std::string& word) {
    return "<span class='" + std::string(word == "pass" ? "good" : word == "FAULT" ? "bad" : "open") + "'>" + word + "</span>";
  };
  std::string html = open_html(headline()) + "<table>" + row("subject", subject_) + row("order", event_order_name(order_));
  if (std::isfinite(bpb_)) html += row("bits per byte", fixed(bpb_, 8));
  for (const auto& [name, value] : facts_) html += row(name, value);
  html += "</table><h2>Conditions</h2><table>";
  for (int i = 0; i < kConditionCount; ++i) {
    const Condition condition = static_cast<Condition>(i);
    html += "<tr><td>" + std::string(condition_name(condition)) + "</td><td>" + condition_text(condition) + "</td><td>" +
            mark(state_word(*this, condition)) + "</td></tr>";
  }
  html += "</table>";
  if (!curve_.empty()) {
    const auto [low, high] = std::minmax_element(curve_.begin(), curve_.end());
    Chart chart(std::floor(*low * 10) / 10, std::ceil(*high * 10 + 0.01) / 10, "bits per byte of each chunk, in the order of scoring");
    chart.line(curve_, curve_.size() > 200 ? "thin" : "thick");
    html += "<h2>Score along the text</h2>" + chart.svg();
  }
  for (const bool skipped : {false, true}) {
    html += skipped ? "</table><h2>What was not checked</h2><table>" : "<h2>What was checked</h2><table>";
    for (const Evidence& e : evidence_) {
      if ((e.result == Result::kSkipped) != skipped) continue;
      html += "<tr><td>" + std::string(condition_name(e.condition)) + "</td><td>" + mark(result_word(e.result)) + "</td><td>" +
              escape_html(e.check) + "</td><td>" + escape_html(e.detail + where(e)) + "</td></tr>";
    }
  }
  write_file(path, html + "</table></html>\n");
}

}  // namespace sixteen
