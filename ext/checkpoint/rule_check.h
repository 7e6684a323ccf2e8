// Whether SQLite accepts the conditions of rules. Code that includes this need not include SQLite.
#pragma once

#include <vector>

#include "ext/core/base/result.h"
#include "ext/core/policy/strategy.h"

namespace walmanager {

// An error names the first rule with a wrong condition, and says what a condition may be.
Status CheckConditions(const std::vector<Rule>& rules);

}  // namespace walmanager
