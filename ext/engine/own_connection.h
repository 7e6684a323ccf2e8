// Connections that the extension opens for itself: to the host's database, where that is permitted,
// and to databases in memory.
#pragma once

#include <string>

#include "ext/engine/sqlite.h"
#include "ext/engine/wal_index.h"

namespace walmanager {

// True on the calling thread while OpenOwnConnection() runs there: a process-wide load must not
// manage that connection. Other extensions that load themselves into every connection do see it.
bool OpeningOwnConnection();
Result<OwnedDb> OpenOwnConnection(const std::string& path, int flags, const char* vfs);
// A database in memory, without a mutex. Its clock and its temporary files are those of SQLite's
// own VFS where there is one: the host's default VFS may be code that a thread of the extension
// must not run.
Result<OwnedDb> OpenInMemory();

// Whether own connections may be opened to the database behind a schema of the host's, which is in
// WAL mode. In the thread that uses the host's connection. The answer is of the moment.
struct OwnPermission {
  const char* vfs = nullptr;             // to open them with; nullptr: they may not be
  const volatile void* index = nullptr;  // the host's wal-index; own connections must have the same
  std::string because;                   // why they may not be
};
OwnPermission MayOpenOwn(sqlite3* host, const char* schema, const WalFile& log);

// How the host wants its connection to behave at the last close; own connections follow it.
struct CloseBehaviour {
  bool checkpoint = true;    // SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE is off
  bool persist_wal = false;  // SQLITE_FCNTL_PERSIST_WAL
};

CloseBehaviour CloseBehaviourOf(sqlite3* db, const char* schema);

}  // namespace walmanager
