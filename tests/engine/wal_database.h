// A database in WAL mode in a directory of its own, with one connection of the program's that runs
// no checkpoint by itself, for tests of the parts that need SQLite.
//
// The rule that is easy to break: no test opens the database's files by itself. POSIX drops all
// locks that a process has on a file when the process closes any descriptor of it, so contents are
// read through SQLite's own file objects.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "ext/checkpoint/host_connection.h"
#include "ext/core/control/control_region.h"
#include "ext/core/format/file_id.h"
#include "ext/engine/sqlite.h"
#include "ext/engine/wal_index.h"
#include "ext/system/control_in_use.h"

namespace walmanager {

class WalDatabase {
 public:
  WalDatabase();
  ~WalDatabase();
  WalDatabase(const WalDatabase&) = delete;
  WalDatabase& operator=(const WalDatabase&) = delete;

  const std::string& path() const { return path_; }
  std::string wal_path() const { return path_ + "-wal"; }
  std::string control_path() const { return path_ + "-walmanager"; }
  FileId id() const;
  sqlite3* db() const { return db_.get(); }
  WalFile log() const;
  HostConnection host() const { return {db_.get(), "main", log()}; }
  // The wal-index as the program's connection sees it.
  WalIndex Look() const;

  void Run(const std::string& sql) const { Run(db_.get(), sql); }
  static void Run(sqlite3* db, const std::string& sql);
  // The first column of the first row as a number; -1 where there is none.
  std::int64_t Number(const std::string& sql) const { return Number(db_.get(), sql); }
  static std::int64_t Number(sqlite3* db, const std::string& sql);
  // One transaction that adds rows to table t, each on a page of its own.
  void Commit(int rows) const;
  std::int64_t Rows() const { return Number("SELECT count(*) FROM t"); }
  // Writes a log of `rows` pages, moves it to the database and starts the log over: the -wal file
  // keeps its size, and the log in it is short.
  void MakeShortLogInLongFile(int rows) const;

  // Another connection of the program's.
  OwnedDb Open() const;
  // The same with a read transaction that lasts until it closes.
  OwnedDb OpenReader() const;

  std::int64_t wal_bytes() const;
  // The rows that a copy of the database file has, first alone, then with a copy of the -wal file
  // that SQLite recovers as after a crash; -1 where the copy cannot be read.
  std::int64_t RowsWithoutLog() const { return RowsInCopy(/*with_log=*/false); }
  std::int64_t RowsAfterRecovery() const { return RowsInCopy(/*with_log=*/true); }

 private:
  std::int64_t RowsInCopy(bool with_log) const;

  std::string directory_, path_;
  OwnedDb db_;
};

// The control file of `database`, which is made, as the parts of a process use it.
std::unique_ptr<ControlInUse> MakeControl(const WalDatabase& database);
// Private memory in its place.
std::unique_ptr<ControlInUse> MakePrivateControl();

// Writes a setting, or selects a strategy, for all who read `region`.
void ChangeSetting(ControlRegion& region, Setting setting, std::int64_t value);
void SelectStrategy(ControlRegion& region, const std::string& name);
// The same for a strategy `mine` of one rule, whose condition is not checked: another program may
// write a wrong one, too.
void SelectRule(ControlRegion& region, const std::string& condition);

// Asks `condition` again and again for up to ten seconds; whether it came true.
template <typename Condition>
bool WaitUntil(Condition condition) {
  for (int tries = 0; tries < 10'000; ++tries) {
    if (condition()) return true;
    sqlite3_sleep(1);
  }
  return false;
}

}  // namespace walmanager
