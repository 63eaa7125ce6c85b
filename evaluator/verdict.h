// What `verify` found: evidence for and against each condition of docs/LEGALITY.md, and what nobody looked at.
//
// A check ends in one call: pass(), fault() or skip(). Bites: a condition without a fault is not proven; one without any pass is
// not even checked, and text, JSON and HTML say so in the same words. Never report a check that did not run as passed.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

namespace sixteen {

enum class Condition : uint8_t {
  kIntegrity,  // files, digests and totals are what they claim to be
  kC1,         // strict causal dependence
  kC2,         // a full normalised distribution, fixed before the target
  kC3,         // score before update
  kC4,         // one pass, every target once, one order
  kBytes,      // the denominator
  kTime,       // 600 s + 600 s
};
inline constexpr int kConditionCount = static_cast<int>(Condition::kTime) + 1;
const char* condition_name(Condition condition);  // "C1"
const char* condition_text(Condition condition);  // "depends on earlier tokens only"

// In which order all components together are causal (legality: D1, D6). Strong: stream order. Weak: the declared order of scoring,
// another than the stream's. Cyclic: no order at all, which no decoder could follow.
enum class EventOrder : uint8_t { kUnknown, kStrong, kWeak, kCyclic };
const char* event_order_name(EventOrder order);

struct Evidence {
  enum class Result : uint8_t { kPass, kFault, kSkipped };
  Condition condition = Condition::kIntegrity;
  Result result = Result::kSkipped;
  std::string check;          // its name: "tail replaced", "chain"
  std::string detail;         // figures, or what is wrong and where; of a skipped one: what to give
  int64_t first_target = -1;  // of a fault: the first target it was seen at, -1: none
};

class Verdict {
 public:
  explicit Verdict(std::string subject) : subject_(std::move(subject)) {}

  void pass(Condition condition, const std::string& check, const std::string& detail);
  void fault(Condition condition, const std::string& check, const std::string& detail, int64_t first_target = -1);
  void skip(Condition condition, const std::string& check, const std::string& what_to_give);
  void fact(const std::string& name, const std::string& value) { facts_.emplace_back(name, value); }
  void set_order(EventOrder order) { order_ = order; }
  void set_score(double bpb) { bpb_ = bpb; }
  void set_curve(std::vector<double> bpb_of_chunks) { curve_ = std::move(bpb_of_chunks); }

  const std::vector<Evidence>& evidence() const { return evidence_; }
  bool violated(Condition condition) const;
  bool checked(Condition condition) const;     // some check of it ran
  bool legal() const;                          // something was checked and nothing is at fault: exit code 0
  // "LEGAL", "NOT LEGAL: C1, C3", or "NO VIOLATION FOUND, not checked: C2".
  std::string headline() const;

  std::string text() const;                    // some lines to paste into a pull request
  nlohmann::json json() const;
  void write_html(const std::string& path) const;  // self-contained; atomic

 private:
  std::string subject_;
  EventOrder order_ = EventOrder::kUnknown;
  double bpb_ = std::numeric_limits<double>::quiet_NaN();
  std::vector<double> curve_;
  std::vector<std::pair<std::string, std::string>> facts_;
  std::vector<Evidence> evidence_;
};

}  // namespace sixteen
