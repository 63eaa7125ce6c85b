// See budget_report.h.
#include "packer/budget_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "formats/file.h"
#include "model/svg.h"

namespace sixteen {
namespace {

template <class... Values>
std::string line(const char* format, Values... values) {
  char text[200];
  std::snprintf(text, sizeof(text), format, values...);
  return text;
}

std::string row(const std::vector<std::string>& cells, const char* tag = "td") {
  std::string text = "<tr>";
  for (const std::string& cell : cells) text += std::string("<") + tag + ">" + escape_html(cell) + "</" + tag + ">";
  return text + "</tr>\n";
}

// The points lie at equal steps of bytes, except that those beyond the curves' ends are missing.
std::string trade_off(const BudgetResult& budget, const char* unit) {
  std::vector<double> errors;
  for (const BudgetPoint& p : budget.curve) errors.push_back(p.error);
  Chart chart(0, *std::ranges::max_element(errors) * 1.05,
              std::string("estimated ") + unit + " over bytes with code, " +
                  fixed(budget.curve.front().total_bytes, 0) + " to " + fixed(budget.curve.back().total_bytes, 0));
  chart.line(errors, "thick");
  std::string text = chart.svg() + "<table>" + row({"bytes with code", unit}, "th");
  for (const BudgetPoint& p : budget.curve) text += row({fixed(p.total_bytes, 0), line("%.4e", p.error)});
  return text + "</table>\n";
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

void write_budget_report(const std::string& path, const std::string& artifact, const BudgetResult& budget,
                         uint64_t code_bytes, uint64_t target_bytes) {
  const char* unit = budget.in_nats ? "nats a token" : "error";
  std::string page = open_html("The size of " + artifact);
  page += "<p>Artifact " + std::to_string(budget.rounds.back().artifact_bytes) + " bytes and code " +
          std::to_string(code_bytes) + " of " + std::to_string(target_bytes) +
          ".</p>\n<h2>Trade-off, as estimated</h2>\n" + trade_off(budget, unit);
  page +=
      "<h2>Rounds</h2>\n<table>" + row({"round", "artifact bytes", "estimated " + std::string(unit), "moved"}, "th");
  for (size_t i = 0; i < budget.rounds.size(); ++i) {
    const BudgetRound& r = budget.rounds[i];
    page += row({std::to_string(i + 1), std::to_string(r.artifact_bytes), line("%.5e", r.error), r.what});
  }
  page += "</table>\n<h2>Classes</h2>\n<table>" +
          row({"class", "weights", "bits", "clip was, deviations", "clip", "step, deviations", "bits a weight", unit},
              "th");
  for (const BudgetClass& c : budget.classes) {
    page += row({c.name, fixed(c.numel, 0), std::to_string(c.rule.bits), fixed(c.sigmas_before, 3),
                 fixed(c.rule.clip_sigmas, 3), fixed(c.rule.clip_sigmas / code_limit(c.rule.bits), 4),
                 fixed(c.coded_bits, 3), line("%.3e", c.error)});
  }
  write_file(path, page + "</table>\n</body></html>\n");
}

}  // namespace sixteen
