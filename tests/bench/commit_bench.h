// Commits under a load: SQLite's autocheckpoint against strategies of the extension.
#pragma once

#include <vector>

#include "tests/bench/options.h"
#include "tests/bench/report.h"
#include "tests/bench/scenario.h"

namespace walmanager::bench {

// Runs each scenario with each variant: SQLite, the strategies that promise something, or those of
// the options, or all built-in ones. Adds rows to the tables `commits`, `commit_ratios` and
// `checkpoints`, and a target for each promise.
void RunCommitBench(const std::vector<Scenario>& scenarios, const Options& options, Report& report);

}  // namespace walmanager::bench
