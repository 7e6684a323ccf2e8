// Whether SQLite accepts the conditions of rules, for code that does not know SQLite.
#pragma once

#include <vector>

#include "ext/core/base/result.h"
#include "ext/core/policy/strategy.h"

namespace walmanager {

// An error names the first rule whose condition is not one, and what a condition may be.
Status CheckConditions(const std::vector<Rule>& rules);

}  // namespace walmanager
