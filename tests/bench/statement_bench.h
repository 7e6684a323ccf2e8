// The cost of measuring a statement: nanoseconds per execution and per row, by itself and beside
// another thread, and the time to read query_performance.
#pragma once

#include "tests/bench/options.h"
#include "tests/bench/report.h"

namespace walmanager::bench {

void RunStatementBench(const Options& options, Report& report);

}  // namespace walmanager::bench
