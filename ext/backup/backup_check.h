// Whether a backup may be restored: what quick_check finds in it.
//
// A schema that names a collation or function of some host's cannot be checked in a connection of
// ours. Then all that needs none of them is: the other tables in whole, and of the rest the pages.
// Thread rules: in the thread of the host's statement.
#pragma once

#include <string>

#include "ext/core/base/result.h"
#include "ext/engine/sqlite.h"

namespace walmanager {

// Why the main database of `backup`, a connection for this alone, could not be checked in whole, in
// the engine's words; empty: it was. Errors: it is empty, or a check found something, or failed.
Result<std::string> CheckBackup(sqlite3* backup);

}  // namespace walmanager
