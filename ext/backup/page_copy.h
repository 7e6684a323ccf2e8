// Copies a database page by page through SQLite's backup interface, for wal_backup() and
// wal_restore(): in the host's thread, to be seen in connection_metrics, and ended by an interrupt.
//
// The caller holds a read transaction on the source, so that no commit makes the copy start over
// (https://www.sqlite.org/backup.html). Thread rules: all in the thread of the host's statement.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "ext/core/base/result.h"
#include "ext/core/control/connection_entry.h"
#include "ext/database/database.h"
#include "ext/engine/host_interrupt.h"
#include "ext/engine/sqlite.h"

namespace walmanager {

// A row of role `backup` in connection_metrics, as long as this lives.
class ShownCopy {
 public:
  ShownCopy(const Database& database, const char* application);
  ~ShownCopy();
  ShownCopy(const ShownCopy&) = delete;
  ShownCopy& operator=(const ShownCopy&) = delete;
  void Transaction(TransactionState state);
  void Progress(std::int64_t done, std::int64_t total);

 private:
  layout::ConnectionInfo* info();
  std::shared_ptr<ControlFile> control_;
  std::size_t slab_;
};

struct PageCopy {
  sqlite3* to;  // its main database
  sqlite3* from;
  const char* schema;  // of `from`
  int pages_per_step = 1000;
  std::int64_t pause_ms = 0;  // between steps
  HostInterrupt* interrupt = nullptr;
  ShownCopy* shown = nullptr;  // nullptr: it is not
  // After each step; its error ends the copy.
  std::function<Status()> watch = nullptr;
};
// Returns the number of pages in the copy. After an error `to` is unchanged, if it has a journal.
Result<std::int64_t> CopyPages(const PageCopy& copy);

// The answer of `sql`, which must have one; an error where there is none.
Result<std::string> Answer(sqlite3* db, const std::string& sql);
// The statement that checks the main database, or one table of it.
std::string QuickCheck(const std::string& table);
// Empty, or what quick_check says first, of the whole or of one table. Errors: it could not be run.
Result<std::string> FirstFinding(sqlite3* db, const std::string& table = "");
// Begins a read transaction that ends with the statement. `schema` with quotes.
Result<OwnedStmt> HoldSnapshot(sqlite3* db, const std::string& schema);

inline Error Interrupted() { return Error{"interrupted", ErrorCode::kInterrupt}; }

}  // namespace walmanager
