// Each profile of wal_configure against SQLite's defaults, on the work that it is for.
#pragma once

#include "tests/bench/options.h"
#include "tests/bench/report.h"

namespace walmanager::bench {

// Adds the table `profiles`.
void RunProfilesBench(const Options& options, Report& report);

}  // namespace walmanager::bench
