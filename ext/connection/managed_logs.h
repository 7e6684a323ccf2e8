// The databases behind the schemas of one connection, each with the slab that the connection has in
// the database's control file.
//
// A schema with a file has an entry once the connection has committed to its log, or a table or
// function has asked about it. The entry keeps the Database alive until the schema is detached or
// the connection closes.
// The rule that is easy to break: Bind() and ForgetDetached() change what the statement meter
// points to. So both clear the meter's places first and set them again at the end.
// Thread rules: in the thread that uses the connection; begin() and end() also in any thread that
// holds the connection's mutex.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "ext/connection/lock_meter.h"
#include "ext/connection/statement_meter.h"
#include "ext/core/control/connection_entry.h"
#include "ext/database/database.h"
#include "ext/system/registry.h"

struct sqlite3;

namespace walmanager {

// One schema with a file, and what the commit path needs to know about it.
struct ManagedLog {
  std::string schema;
  std::string file;
  bool found_by_name = false;  // DatabaseFileByName() can be asked
  std::shared_ptr<Database> database;
  std::shared_ptr<ControlFile> control;
  std::uint64_t control_generation = 0;
  std::size_t slab = layout::kConnections;
  std::uint64_t statement = 0;       // serial number of the last statement that committed here
  std::uint64_t adopted = 0;         // the last wish of PRAGMA wal_autocheckpoint that was followed
  std::uint64_t log_position = 0;    // as of the last hook call
  std::optional<bool> commits_sync;  // as HostConnection
  CheckpointWish wish = CheckpointWish::kNone;  // as its database knows it
  WalIndex without_index;  // what hook and checkpoints say, where there is no wal-index
  LockWatch locks;
};

class ManagedLogs {
 public:
  ManagedLogs(sqlite3* db, Registry* registry, StatementMeter& meter, LockMeter& locks)
      : meter_(meter), locks_(locks), db_(db), registry_(registry) {}
  ~ManagedLogs();
  ManagedLogs(const ManagedLogs&) = delete;
  ManagedLogs& operator=(const ManagedLogs&) = delete;

  auto begin() { return logs_.begin(); }
  auto end() { return logs_.end(); }
  auto begin() const { return logs_.begin(); }
  auto end() const { return logs_.end(); }
  // The log of the main database; nullptr where it has no file, or has not been looked for.
  ManagedLog* main() const { return main_; }
  // Counts up with each change of what is bound. Pointers into a control file are void then.
  std::uint32_t bindings() const { return bindings_; }
  // Whether the next statement must look: a schema may be gone, the trace was shown as displaced,
  // or the log of the main database was not found yet.
  bool wants_look() const { return may_be_detached_ | shown_displaced_ | !main_; }

  // The log of a schema, made at the first call; nullptr where there is no file. `file`: what
  // sqlite3_db_filename() has just returned for the schema.
  ManagedLog* Find(const char* schema, const char* file);
  void LookForMain();
  // Binds newly attached databases, so that other processes see that this connection may read them.
  void LookForAttached();
  // Binds control files that another process has made: a connection that only reads makes none, but
  // must be visible in it.
  void LookForControls();
  // Makes the control file of a database that has become WAL since something was set for it.
  void KeepSettings();
  // A DETACH was seen, or a statement that may put another file under a schema.
  void ExpectDetach() { may_be_detached_ = true; }
  bool may_be_detached() const { return may_be_detached_; }
  void ForgetDetached();

  // Makes the control file where that is due, and claims a slab of it.
  void MakeReady(ManagedLog& log);
  void BindIfChanged(ManagedLog& log) {
    if (!log.control || log.control_generation != log.database->control_generation()) Bind(log);
  }
  // Tells the statement meter the slabs of this connection.
  void SetPlaces();

  // Whether this connection wants automatic checkpoints, as WalHook knows it. Tells the databases.
  void SetAutomatic(bool automatic);
  // This connection commits to `log` under our hook, and wants automatic checkpoints.
  void WantCheckpoints(ManagedLog& log) { SetWish(log, CheckpointWish::kWanted); }

  // Publishes the state of the trace in connection_metrics.
  void PublishTrace(TraceState state);
  // A commit was seen, but not the start of its statement: our trace has been displaced.
  void ShowDisplaced(ManagedLog& log);
  bool shown_displaced() const { return shown_displaced_; }
  void ForgetDisplaced() { shown_displaced_ = false; }
  // The name of this connection in connection_metrics and wal_readers.
  const std::string& application() const { return application_; }
  void SetApplication(const std::string& name);
  std::uint64_t id() const { return id_; }

  // As the setting lock_metrics is now (LockMeter::is_on): watches the files of all databases, or
  // gives them SQLite's own methods back.
  void FollowLockMetrics();

  // Before the database changes its mode, for which no other connection may have it open.
  void CloseOwnConnections();
  // PRAGMA synchronous has been changed.
  void ForgetSynchronous();

 private:
  void Bind(ManagedLog& log);
  void Release(ManagedLog& log);
  // Tells the log's control file, where it is not that of the main database, that this connection
  // uses it.
  static void KeepAttachment(const ManagedLog& log);
  // Describes this connection in the log's control file.
  void Introduce(ManagedLog& log);
  void SetWish(ManagedLog& log, CheckpointWish wish);
  void WatchLocks(ManagedLog& log);

  // What every statement reads comes first and together.
  std::list<ManagedLog> logs_;  // an entry keeps its address while others come and go
  ManagedLog* main_ = nullptr;
  std::uint32_t bindings_ = 1;
  bool may_be_detached_ = false;
  bool shown_displaced_ = false;  // until a statement is seen again
  bool look_for_main_ = true;
  bool automatic_ = true;

  StatementMeter& meter_;
  LockMeter& locks_;
  sqlite3* const db_;
  Registry* const registry_;
  std::uint64_t id_ = 0;  // in connection_metrics
  std::int64_t opened_ms_ = 0;
  std::string application_;
};

}  // namespace walmanager
