// wal_backup(): a copy of a database, as it is at one moment, while others read and write.
//
// The copy comes from one read transaction, begun before the first page is read, on a connection of
// ours; so no commit of anybody's makes it start over, and the log cannot be started over while it
// goes on: that growth is told and can be bounded. Where no connection of ours may be (a VFS of the
// host's, a key, locking_mode=EXCLUSIVE, read-only, in memory), the host's own handle is read in
// the same way; outside of WAL mode that holds no transaction, since it would lock out who commits:
// there a commit of others makes the copy start over, as SQLite's own.
// Thread rules: in the thread of the host's statement.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ext/connection/connection.h"
#include "ext/core/base/result.h"

namespace walmanager {

struct BackupOptions {
  bool overwrite = false;
  bool verify = true;
  int pages_per_step = 1000;
  std::int64_t pause_ms = 0;  // between steps
  std::optional<std::int64_t> max_wal_growth_bytes;
};

struct CopyReport {
  std::string path;  // from the root
  std::int64_t pages = 0, bytes = 0;
  std::uint64_t duration_ns = 0;
  bool verified = false;
  std::string unverified_because;     // why a backup that was restored could not be; empty: it was
  std::int64_t wal_growth_bytes = 0;  // of the -wal file beyond its size at the start, at most
};

// Copies `schema` into a new file at `path`: a plain database with journal_mode=DELETE, synced.
// After an error there is nothing at `path` that was not there before. Errors name no function.
Result<CopyReport> Backup(Connection& connection, const Schema& schema, const std::string& path,
                          const BackupOptions& options);

}  // namespace walmanager
