// What the trace of a connection knows about the statement that runs, for the commit at its end.
//
// In the first cache lines of ConnectionEvents, since every statement writes it.
// Thread rules: in the thread that uses the connection.
#pragma once

#include <cstdint>

namespace walmanager {

struct RunningStatement {
  std::uint64_t start_ns = 0;
  std::uint64_t serial = 0;     // number of the statement on its connection; 0: none was seen
  bool traced = false;          // our trace callback has been called at least once
  bool may_commit = false;      // it writes, or ends a transaction
  bool wants_database = false;  // it needs that no own connection has the database open
  // A write that returns rows has begun since the last call of the WAL hook. Left half-way, it
  // commits without the hook, and SQLite calls the hook when the next statement ends.
  bool hook_is_owed = false;
  bool lock_was_refused = false;  // a lock of SQLite's, since the last statement ended
  bool may_need_all = false;      // as WatchedFile::Enter() was told
  bool opened_log = false;        // a log is to be looked for when the next statement begins
  std::uintptr_t thread = 0;      // as WatchedFile::ThisThread() names it
};

}  // namespace walmanager
