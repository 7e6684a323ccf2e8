// The conversation workload, with and without the extension.
#pragma once

#include "tests/bench/options.h"
#include "tests/bench/report.h"

namespace walmanager::bench {

// Adds the table `conversation`.
void RunConversationBench(const Options& options, Report& report);
// Reads of one row by 100 clients at the same time, which have a figure to reach.
void RunPointReadBench(const Options& options, Report& report);

}  // namespace walmanager::bench
