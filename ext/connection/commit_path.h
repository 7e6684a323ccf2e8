// What follows a commit to a log on one connection: the commit is counted in the database's control
// file, and the database decides whether a checkpoint is due.
//
// Made for one call, on the stack: it holds only references. The rule that is easy to break: the
// commit has succeeded, so no error from here may reach the program.
// Thread rules: in the thread that commits, under its connection's mutex. Committed() runs within
// the WAL hook, LookForUnhooked() within the trace callback. Neither runs SQL on the host's handle,
// except for a checkpoint that is due and, without a wal-index, PRAGMA page_size once.
#pragma once

#include <cstdint>

#include "ext/connection/managed_logs.h"
#include "ext/connection/running_statement.h"
#include "ext/connection/statement_meter.h"
#include "ext/connection/wal_hook.h"

struct sqlite3;

namespace walmanager {

class CommitPath {
 public:
  CommitPath(sqlite3* db, RunningStatement& statement, WalHook& hook, ManagedLogs& logs,
             StatementMeter& meter)
      : db_(db), statement_(statement), hook_(hook), logs_(logs), meter_(meter) {}

  // The WAL hook was called.
  void Committed(const char* schema, int frames);
  // A write that returns rows commits without the hook when the program leaves it after a row.
  // Counts what such statements have committed, and runs a checkpoint that is due, but only on own
  // connections.
  void LookForUnhooked();

 private:
  void MakeReady(ManagedLog& log);
  // What the trace callback noted about the statement before its commit.
  struct Seen {
    bool start = false;    // the start of the statement that committed, which is timed
    bool made_up = false;  // SQLite calls the hook late, for a commit that did not call it
    bool trace_lost() const { return !start && !made_up; }
  };
  Seen SeenBefore(const ManagedLog& log);
  [[gnu::cold]] void CommitsWith(ManagedLog& log);
  void Count(ManagedLog& log, const ControlRegion::Commit& commit, Seen seen);
  WalIndex LookWithoutIndex(ManagedLog& log, int frames);
  // By how many frames the log has grown since any process last looked.
  static std::uint64_t CountFrames(ManagedLog& log, const LogEnd& end);

  sqlite3* const db_;
  RunningStatement& statement_;
  WalHook& hook_;
  ManagedLogs& logs_;
  StatementMeter& meter_;
};

}  // namespace walmanager
