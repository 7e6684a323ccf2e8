// Connections that the extension opens for itself: to the host's database, where that is permitted,
// and to databases in memory.
#pragma once

#include <string>

#include "ext/engine/sqlite.h"
#include "ext/engine/wal_index.h"

namespace walmanager {

// True on the calling thread while OpenOwnConnection() runs there: a process-wide load of ours must
// not manage it. Other extensions of the process that load by themselves do see it.
bool OpeningOwnConnection();
Result<OwnedDb> OpenOwnConnection(const std::string& path, int flags, const char* vfs);
// A database in memory, without a mutex. Its clock and its temporary files are those of SQLite's
// own VFS where there is one: a default of the host's may be code that a thread of ours shall not
// run.
Result<OwnedDb> OpenInMemory();

// Whether connections of ours may be opened on the database behind a schema of the host's, which is
// in WAL mode. In the thread that uses the host's connection; true for the moment.
struct OwnPermission {
  const char* vfs = nullptr;             // to open them with; nullptr: they may not be
  const volatile void* index = nullptr;  // the wal-index of the host's: ours must have the same
  std::string because;                   // why they may not be
};
OwnPermission MayOpenOwn(sqlite3* host, const char* schema, const WalFile& log);

// Behaviour at the last close that the host asked of its own connection and ours must follow.
struct CloseBehaviour {
  bool checkpoint = true;    // SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE is off
  bool persist_wal = false;  // SQLITE_FCNTL_PERSIST_WAL
};

CloseBehaviour CloseBehaviourOf(sqlite3* db, const char* schema);

}  // namespace walmanager
