// One variant under one load for a number of commits, from a fresh and synced copy of a template,
// in a process of its own.
//
// A latency is that of sqlite3_step and sqlite3_reset of an autocommit INSERT, from when it was
// begun: a writer that is late for its pace catches up, and its waiting for the pace is in no
// latency. A writer that SQLite answers SQLITE_BUSY, after 5 seconds of busy_timeout, tries again;
// that is counted, and its commit lasts from the first try on.
//
// Size of the log, bytes written and checkpoints are those of the whole segment: with its warm-up,
// and the bytes also with the close of the database, so that no variant gains by leaving work to
// it.
#pragma once

#include <string>

#include "tests/bench/measured.h"
#include "tests/bench/scenario.h"

namespace walmanager::bench {

// `template_path` is MakeTemplate's; the copy is made, and removed, in `directory`.
Measured RunSegment(const Scenario& scenario, const Variant& variant,
                    const std::string& template_path, const std::string& directory);

}  // namespace walmanager::bench
