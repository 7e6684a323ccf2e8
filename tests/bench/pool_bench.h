// What read_pool() gains: statements run at the same time, compared with one after the other.
#pragma once

#include "tests/bench/options.h"
#include "tests/bench/report.h"

namespace walmanager::bench {

void RunPoolBench(const Options& options, Report& report);

}  // namespace walmanager::bench
