// See profile_report.h.
#include "model/profile_report.h"

#include <cstdio>
#include <nlohmann/json.hpp>

namespace sixteen {
namespace {

std::string op_line(const OpTime& t, double step_seconds) {
  char text[256];
  std::snprintf(text, sizeof text, "%-46s %6lld %10.3f %9s %9s %7.0f %8.3f %6.0f %% %6.1f %%", t.op.c_str(),
                static_cast<long long>(t.count), 1e3 * t.seconds, format_count(t.bytes).c_str(), format_count(t.flops).c_str(),
                1e-9 * t.bytes / t.seconds, 1e-12 * t.flops / t.seconds, 100 * t.floor_seconds / t.seconds,
                100 * t.seconds / step_seconds);
  return text;
}

nlohmann::json op_json(const OpTime& t, double step_seconds) {
  return {{"op", t.op},
          {"count", t.count},
          {"ms", 1e3 * t.seconds},
          {"bytes", t.bytes},
          {"flops", t.flops},
          {"gb_per_s", 1e-9 * t.bytes / t.seconds},
          {"tflop_per_s", 1e-12 * t.flops / t.seconds},
          {"floor_ms", 1e3 * t.floor_seconds},
          {"share_of_floor", t.floor_seconds / t.seconds},
          {"share_of_step", t.seconds / step_seconds}};
}

}  // namespace

void say_profile(const Console& console, const std::string& title, const std::vector<OpTime>& ops, double step_seconds) {
  char head[256];
  std::snprintf(head, sizeof head, "%-46s %6s %10s %9s %9s %7s %8s %8s %8s", title.c_str(), "count", "ms", "bytes", "flops", "GB/s",
                "TFLOP/s", "of floor", "of step");
  console.say(head);
  for (const OpTime& time : ops) console.say(op_line(time, step_seconds));
  const OpTime all = sum_of(ops);
  console.say(op_line(all, step_seconds));
  char rest[256];
  std::snprintf(rest, sizeof rest, "%-46s %6s %10.3f %54s %6.1f %%", "not in ops", "", 1e3 * (step_seconds - all.seconds), "",
                100 * (step_seconds - all.seconds) / step_seconds);
  console.say(rest);
  std::snprintf(rest, sizeof rest, "%-46s %6s %10.3f", "step", "", 1e3 * step_seconds);
  console.say(rest);
}

nlohmann::json profile_json(const std::vector<OpTime>& ops, double step_seconds) {
  nlohmann::json rows = nlohmann::json::array();
  for (const OpTime& time : ops) rows.push_back(op_json(time, step_seconds));
  const OpTime all = sum_of(ops);
  return {{"ops", rows},
          {"all_ops", op_json(all, step_seconds)},
          {"step_ms", 1e3 * step_seconds},
          {"uncovered_ms", 1e3 * (step_seconds - all.seconds)}};
}

}  // namespace sixteen
