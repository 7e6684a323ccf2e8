// What many databases in one process, many connections to one database, and processes and
// connections that live for a moment cost.
#pragma once

#include "tests/bench/options.h"
#include "tests/bench/report.h"

namespace walmanager::bench {

// Adds the tables `scale` and `connections`. Raises this process's limit of descriptors.
void RunScaleBench(const Options& options, Report& report);

}  // namespace walmanager::bench
