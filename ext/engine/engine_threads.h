// Whether a thread of the extension may call this SQLite: the one answer for the whole project.
#pragma once

namespace walmanager {

// False where the engine was built without mutexes (SQLITE_THREADSAFE=0) or was started
// single-threaded (SQLITE_CONFIG_SINGLETHREAD): then all of the process's connections are used by
// one thread, and the extension never starts a thread. Constant once it is known. Any thread.
bool EngineHasThreads();

}  // namespace walmanager
