// Whether a function is called by a statement of the program, not by the schema of a database,
// which can come from an untrusted source. SQLite refuses DIRECTONLY functions in views, triggers
// and DEFAULT clauses, but some versions, such as 3.40.1, allow them in a CHECK constraint.
//
// The call must be in the text of a statement that is inside sqlite3_step(), or of a TEMP view or
// trigger. Only the program can make those; no database file contains them.
// Threads: called inside a function that runs on the connection.
#pragma once

#include <string>

#include "ext/connection/connection.h"

namespace walmanager {

bool IsCalledAtTopLevel(Connection& connection, const std::string& function);

}  // namespace walmanager
