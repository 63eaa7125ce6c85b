// What a budget search found, for people (tables on the console, a page with its charts) and programs (JSON).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "packer/budget.h"

namespace sixteen {

void say_budget(const BudgetResult& budget, const Console& console);
nlohmann::json budget_json(const BudgetResult& budget);

// HTML: the trade-off as a chart and as a table, the rounds, the classes. target_bytes: of artifact and code. Atomic.
void write_budget_report(const std::string& path, const std::string& artifact, const BudgetResult& budget,
                         uint64_t code_bytes, uint64_t target_bytes);

}  // namespace sixteen
