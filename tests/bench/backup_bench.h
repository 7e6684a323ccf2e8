// The time of a backup, compared with a plain copy of the file, and what it costs a writer.
#pragma once

#include "tests/bench/options.h"
#include "tests/bench/report.h"

namespace walmanager::bench {

void RunBackupBench(const Options& options, Report& report);

}  // namespace walmanager::bench
