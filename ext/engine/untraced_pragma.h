// The value of a PRAGMA of the host's connection, asked so that a trace of the program sees
// nothing. Only for a PRAGMA whose value is one integer that SQLite reads when it prepares the
// PRAGMA, such as wal_autocheckpoint and synchronous. In the thread that uses the connection.
#pragma once

#include <optional>
#include <string>

#include "ext/engine/sqlite.h"

namespace walmanager {

// As QueryText(db, "PRAGMA " + pragma). EXPLAIN shows the value without a run, and SQLite traces
// runs. Where EXPLAIN does not show it, the PRAGMA runs.
Result<std::optional<std::string>> AskUntraced(sqlite3* db, const std::string& pragma);

}  // namespace walmanager
