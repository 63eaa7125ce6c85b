// See budget_report.h.
#include "packer/budget_report.h"

#include <cstdio>
#include <nlohmann/json.hpp>

namespace sixteen {
namespace {

template <class... Values>
std::string line(const char* format, Values... values) {
  char text[200];
  std::snprintf(text, sizeof(text), format, values...);
  return text;
}

}  // namespace

void say_budget(const BudgetResult& budget, const Console& console) {
  const char* unit = budget.in_nats ? "nats" : "error";
  console.say(line("%-20s %11s %4s %9s %9s %9s %8s %12s", "class", "weights", "bits", "clip was", "clip", "step",
                   "bits/w", unit));
  for (const BudgetClass& c : budget.classes) {
    console.say(line("%-20s %11.0f %4d %9.3f %9.3f %9.4f %8.3f %12.3e", c.name.c_str(), c.numel, c.rule.bits,
                     c.sigmas_before, c.rule.clip_sigmas, c.rule.clip_sigmas / code_limit(c.rule.bits), c.coded_bits,
                     c.error));
  }
  console.say("trade-off as estimated: bytes with code, ", unit);
  for (const BudgetPoint& p : budget.curve) console.say(line("%13.0f %12.4e", p.total_bytes, p.error));
  if (!budget.in_nats) {
    console.say(
        "note: without sensitivities (--calib, or Hessians that carry them) all clips were changed by one factor");
  }
  if (budget.all_fits) console.say("note: this is the least error that these bits allow; more bytes would not help");
}

nlohmann::json budget_json(const BudgetResult& budget) {
  nlohmann::json json = {{"in_nats", budget.in_nats}, {"all_fits", budget.all_fits}};
  for (const BudgetClass& c : budget.classes) {
    json["classes"].push_back({{"name", c.name},
                               {"weights", c.numel},
                               {"bits", c.rule.bits},
                               {"clip_sigmas_before", c.sigmas_before},
                               {"clip_sigmas", c.rule.clip_sigmas},
                               {"bits_a_weight", c.coded_bits},
                               {"error", c.error}});
  }
  for (const BudgetRound& r : budget.rounds) {
    json["rounds"].push_back({{"artifact_bytes", r.artifact_bytes}, {"error", r.error}, {"what", r.what}});
  }
  for (const BudgetPoint& p : budget.curve)
    json["curve"].push_back({{"total_bytes", p.total_bytes}, {"error", p.error}});
  return json;
}

}  // namespace sixteen
