// The -wal file as one connection has it open, through SQLite's own file object, and whether it is
// the log that the connection's wal-index counts.
//
// A connection opens the database and its log by path, but it shares the wal-index with all
// connections of the process to the same database. Where the -wal file was deleted or replaced
// since, a connection that is opened now has another log than its wal-index describes: copying,
// writing or cutting that log would destroy the database.
// Thread rules: those of the connection.
#pragma once

#include "ext/engine/sqlite.h"
#include "ext/engine/wal_index.h"

namespace walmanager {

// The log of a connection in WAL mode; nullptr where it has none.
sqlite3_file* LogFile(sqlite3* db);

enum class LogMatch {
  kSame,        // the file holds what the wal-index counts
  kOther,       // it does not
  kEmpty,       // the wal-index counts nothing, and the file has no header that tells
  kUnknown,     // for the moment the wal-index cannot be read
  kUnreadable,  // the system cannot read the file
};
// Compares `log` with the wal-index that `database` has mapped. Two reads, of 32 and 24 bytes. The
// answer stays true while no connection can start the log over, that is, while the caller holds the
// write lock or a read mark of 1 or more. Otherwise a log that starts over meanwhile is compared
// again.
LogMatch MatchLog(const WalFile& database, sqlite3_file* log);

// Why own connections are not used where the files differ.
inline constexpr char kFilesReplaced[] =
    "the -wal file at its path is not the one that this process uses: the files were deleted or "
    "replaced while the database was open";

}  // namespace walmanager
