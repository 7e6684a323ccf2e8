// Whether a backup may be restored: what quick_check finds in it.
//
// A schema may name a collation or function of the host that the checking connection does not have.
// Then quick_check runs on each table that needs none of them, and of the other tables the pages
// are checked.
// Thread rules: in the thread of the host's statement.
#pragma once

#include <string>

#include "ext/core/base/result.h"
#include "ext/engine/sqlite.h"

namespace walmanager {

// Returns, in the engine's words, why the main database of `backup` could not be checked as a
// whole; empty: it was. `backup` is a connection for this check alone. Errors: the database is
// empty, or a check found something or failed.
Result<std::string> CheckBackup(sqlite3* backup);

}  // namespace walmanager
