// The per-op table that `bench --profile` of both programs prints and puts into its JSON object.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "graph/profile.h"
#include "model/console.h"

namespace sixteen {

// One line an op (count, ms, bytes, flops, GB/s, TFLOP/s, share of its own floor, share of the step), the sum of all, and what
// of `step_seconds` no op covers: launches, transfers, the host; negative where the replayed step is faster than its parts.
void say_profile(const Console& console, const std::string& title, const std::vector<OpTime>& ops, double step_seconds);
// {"ops": [...], "all_ops": {...}, "step_ms": ..., "uncovered_ms": ...}; keys of an op: op, count, ms, bytes, flops,
// gb_per_s, tflop_per_s, floor_ms, share_of_floor, share_of_step.
nlohmann::json profile_json(const std::vector<OpTime>& ops, double step_seconds);

}  // namespace sixteen
