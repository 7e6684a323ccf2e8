// The time that the extension adds to a commit when no checkpoint is due.
#pragma once

#include "tests/bench/options.h"
#include "tests/bench/report.h"

namespace walmanager::bench {

// Adds the table `hook` and a target.
void RunHookBench(const Options& options, Report& report);

}  // namespace walmanager::bench
