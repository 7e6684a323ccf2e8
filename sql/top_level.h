// Whether a function is called by the statement that the host runs, and not by the schema of a
// database that somebody has made: SQLite refuses functions that are DIRECTONLY in views, triggers
// and DEFAULT clauses, but in versions such as 3.40.1 not in a CHECK constraint.
//
// A statement of the host's that is inside sqlite3_step() must have the call in its own text, or a
// TEMP view or trigger must: those are the host's own, and no file brings them.
// Thread rules: inside a function that runs on `db`.
#pragma once

#include <string>

#include "ext/connection/connection.h"

namespace walmanager {

bool IsCalledAtTopLevel(Connection& connection, const std::string& function);

}  // namespace walmanager
