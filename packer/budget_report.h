// What a budget search found, for people (tables on the console) and programs (JSON).
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "packer/budget.h"

namespace sixteen {

void say_budget(const BudgetResult& budget, const Console& console);
nlohmann::json budget_json(const BudgetResult& budget);

}  // namespace sixteen
