// The conversation workload, with and without the extension.
#pragma once

#include "tests/bench/options.h"
#include "tests/bench/report.h"

namespace walmanager::bench {

// Adds the table `conversation`.
void RunConversationBench(const Options& options, Report& report);

}  // namespace walmanager::bench
