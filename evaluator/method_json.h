// A scoring method as JSON: every setting that can move a bit of a score, for a ledger's first record and back.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "evaluator/score_run.h"

namespace sixteen {

nlohmann::json method_to_json(const ScoreMethod& method);
// Exactly the keys that method_to_json() writes; throws Error (where, key) otherwise. Not validated against a model.
ScoreMethod method_from_json(const nlohmann::json& json, const std::string& where);

}  // namespace sixteen
