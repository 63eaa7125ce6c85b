// The golden evaluation of PR 1584 under its own name.
#pragma once

#include "tests/support/golden_eval.h"

namespace sixteen::testing {

using Golden1584 = GoldenEval;

}  // namespace sixteen::testing
