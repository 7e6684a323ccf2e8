// What is promised of commits on any machine: with all processors free, with one of two kept busy,
// and on one processor alone. The promises and the verdicts on them are one table.
#pragma once

#include "tests/bench/options.h"
#include "tests/bench/report.h"

namespace walmanager::bench {

// Adds rows to the tables `commits` and `machines`. Where the options name processors, under that
// condition alone, which the caller has made.
void RunMachinesBench(const Options& options, Report& report);

}  // namespace walmanager::bench
