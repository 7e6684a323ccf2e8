// How long it takes to load the extension.
#pragma once

#include "tests/bench/options.h"
#include "tests/bench/report.h"

namespace walmanager::bench {

// Adds the table `load` and a target. Runs before anything else in this process has loaded the
// extension, else the first load is no first load.
void RunLoadBench(const Options& options, Report& report);

}  // namespace walmanager::bench
