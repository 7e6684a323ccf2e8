// Commits of one row by one writer: SQLite's autocheckpoint against strategies of the extension.
#pragma once

#include "tests/bench/options.h"
#include "tests/bench/report.h"

namespace walmanager::bench {

// Adds the tables `commits` and `commit_ratios`, and targets for the default strategy.
void RunCommitBench(const Options& options, Report& report);

}  // namespace walmanager::bench
