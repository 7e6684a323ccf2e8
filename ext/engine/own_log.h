// The -wal file as an own connection has it open, and the rule that such a connection begins
// nothing on a log that its wal-index does not count (log_file.h says why).
// Thread rules: those of the connection.
#pragma once

#include "ext/engine/sqlite.h"
#include "ext/engine/wal_index.h"

namespace walmanager {

// Plain memory: all zeros is a connection that has no log yet.
struct OwnLog {
  sqlite3_file* file;  // nullptr while the connection has none
  const char* path;    // as SQLite gave it; lives as long as the connection
  bool seen;           // it was once seen to be the log that the wal-index counts
  bool differs;        // the last look says that it is another

  // Call it before the connection reads or copies from the log. SQLITE_OK: it is the log that the
  // wal-index of `database` counts. SQLITE_BUSY: that cannot be known for the moment. Otherwise
  // SQLITE_CANTOPEN.
  int BeforeReading(const WalFile& database);
  // Call it before the connection writes to the log, cuts it off or deletes it: then an empty log
  // must also be known to be the right one.
  int BeforeWriting(const WalFile& database);

 private:
  int Look(const WalFile& database, bool* empty);
  int Refuse();
};

}  // namespace walmanager
