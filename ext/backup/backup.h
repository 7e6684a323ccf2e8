// wal_backup(): a copy of a database, as it is at one moment, while other connections read and
// write.
//
// An own connection reads the copy in one read transaction, which begins before the first page is
// read. So no commit makes the copy start over. The log cannot start over during the copy; the call
// reports this growth and can limit it. Where no own connection may be opened (a VFS of the host, a
// key, locking_mode=EXCLUSIVE, a read-only or in-memory database), the copy is read from the host's
// handle in the same way. Outside of WAL mode that handle holds no transaction, because it would
// lock out every writer: there a commit makes the copy start over, as in SQLite's own backup.
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
  std::string unverified_because;     // why a restored backup could not be verified; empty: it was
  std::int64_t wal_growth_bytes = 0;  // of the -wal file beyond its size at the start, at most
};

// Copies `schema` into a new file at `path`: a plain database with journal_mode=DELETE, synced.
// After an error there is nothing at `path` that was not there before. Errors name no function.
Result<CopyReport> Backup(Connection& connection, const Schema& schema, const std::string& path,
                          const BackupOptions& options);

}  // namespace walmanager
