// What a process, or a connection in a process that lives on, costs that lives for a moment.
#pragma once

#include "tests/bench/options.h"
#include "tests/bench/report.h"

namespace walmanager::bench {

// Adds the table `short_lives`.
void RunShortLivesBench(const Options& options, Report& report);

}  // namespace walmanager::bench
