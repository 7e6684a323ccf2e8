// What the extension cannot do without, and an engine built with one of the SQLITE_OMIT_ options
// does not have: its API table has a null pointer there. Asked once, before any other call.
//
// What may be missing is asked for where it is called: trace_v2, progress_handler,
// compileoption_used, blob_open and the mutexes.
#pragma once

#include <string>

#include "ext/engine/sqlite.h"

namespace walmanager {

// Says which function is missing, and with which option the engine was built; empty where none is.
std::string MissingFunction(const sqlite3_api_routines& api);

}  // namespace walmanager
