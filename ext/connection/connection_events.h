// What happens on one connection of the host, as SQLite announces it: a statement begins, returns a
// row or ends (the trace, https://www.sqlite.org/c3ref/c_trace.html), a commit to a log (the WAL
// hook), the close. Owns the parts that follow these events: the logs, the hook, the statement
// meter.
//
// On the path of every statement. So where a statement is known and nothing is due, there is no
// allocation, no system call and no SQL, and few cache lines are touched. For that reason all parts
// are members of this object.
// The rule that is easy to break: a callback runs inside a call of the host, and SQL on its handle
// calls the trace again. Only two statements that read no table run there: a PRAGMA in
// LookAndPlace(), and EXPLAIN in QueryLease where reader_lease_ms is set.
// Thread rules: everything runs in the thread that uses the connection, under its mutex where it
// has one. In a child that was forked after the load, only belongs_here() may be called.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "ext/connection/application_checkpoint.h"
#include "ext/connection/managed_logs.h"
#include "ext/connection/plan_hand_over.h"
#include "ext/connection/query_lease.h"
#include "ext/connection/running_statement.h"
#include "ext/connection/statement_meter.h"
#include "ext/connection/trace_slot.h"
#include "ext/connection/wal_hook.h"
#include "ext/core/text/statement_text.h"
#include "ext/engine/cancellable.h"
#include "ext/system/registry.h"

struct sqlite3;
struct sqlite3_stmt;

namespace walmanager {

class ConnectionEvents {
 public:
  ConnectionEvents(sqlite3* db, Registry* registry) : db_(db), registry_(registry) {}
  ~ConnectionEvents();
  ConnectionEvents(const ConnectionEvents&) = delete;
  ConnectionEvents& operator=(const ConnectionEvents&) = delete;

  bool belongs_here() const { return &Registry::Get() == registry_; }
  // Begins to follow the connection. On an open connection the hook is placed now. On a connection
  // that is being opened SQLite sets its own hook after this, so it is placed at the first
  // statement.
  enum class At { kOpenConnection, kOpening };
  void Start(At at);
  // Whether our trace stands. Publishes that, too. `take`: takes the slot where another trace has
  // it. Runs SQL.
  TraceState ProbeTrace(bool take);

  ManagedLogs& logs() { return logs_; }
  const ManagedLogs& logs() const { return logs_; }
  WalHook& hook() { return hook_; }
  const WalHook& hook() const { return hook_; }
  StatementMeter& meter() { return meter_; }
  // While it lives, the extension runs statements on the connection. What these run, as dbstat
  // does, is not measured either.
  class OwnStatements {
   public:
    explicit OwnStatements(ConnectionEvents& events) : events_(events) {
      ++events_.own_statements_;
    }
    ~OwnStatements() { --events_.own_statements_; }
    OwnStatements(const OwnStatements&) = delete;
    OwnStatements& operator=(const OwnStatements&) = delete;

   private:
    ConnectionEvents& events_;
  };
  // The statement that began last reads a table of this extension or calls a function of it.
  void UsesExtension() {
    if (lease_) lease_->Withdraw(LeaseObstacle::kUsesExtension);
    meter_.UsesExtension();
  }

 private:
  // --- the callbacks
  [[gnu::hot]] static int OnTrace(unsigned event, void* self, void* stmt, void* sql);
  static int OnWal(void* self, sqlite3* db, const char* schema, int frames);
  static int OnFirstCommit(void* self);

  // The code that every statement runs is kept together and small: where many connections take
  // turns, most of the cost is to fetch it. So code that seldom runs is cold.
  [[gnu::hot]] void BeforeStatement(sqlite3_stmt* stmt, const char* sql);
  [[gnu::hot]] void AfterStatement(sqlite3_stmt* stmt);
  // Whether SQLite announces a statement of this extension, a trigger, or a statement that runs
  // within another one.
  [[gnu::cold]] bool IsPartOfAnother(sqlite3_stmt* stmt, const char* sql);
  // Does what an earlier event has left to be done before the next statement.
  [[gnu::cold]] void CatchUp();
  // Prepares for a statement of this kind, which is about to run.
  [[gnu::cold]] void Foresee(StatementKind kind, sqlite3_stmt* stmt, const char* sql);
  void BeforeClose();

  // Statements run in this thread from now on. `may_need_all`: as WatchedFile::Enter().
  [[gnu::cold]] void EnterFiles(bool may_need_all);
  // A statement has ended at `now_ns` in which a lock was refused. nullptr and 0: its end was not
  // seen.
  [[gnu::cold]] void EndLockWaits(sqlite3_stmt* stmt, std::uint64_t now_ns);
  // SQLite has announced a statement, and BeforeStatement() has done its part.
  [[gnu::cold]] void OfferQuery(sqlite3_stmt* stmt);
  // Another thread wants to interrupt a statement of this connection, or has done so.
  [[gnu::cold]] void FollowCancel(bool has_ended);
  // The connection has an id now, by which others may name it.
  void MakeCancellable();
  // The setting reader_lease_ms of `main` is `lease_ms` now.
  void FollowLease(std::int64_t lease_ms, const ManagedLog& main);
  void PlaceTrace();
  // The control file or a setting has changed: measures statements there, or stops measuring.
  [[gnu::cold]] void FollowMain();
  // Acquire: pairs with ControlInUse::Replace(), so FollowMain() finds the new file. The settings
  // it reads by their own protocol (control_region.h): here relaxed is enough.
  bool MainHasChanged() const {
    return followed_bindings_ != logs_.bindings() ||
           followed_settings_->load(std::memory_order_relaxed) != metered_settings_ ||
           followed_control_->load(std::memory_order_acquire) != followed_generation_;
  }
  // Once a second.
  [[gnu::cold]] void LookForControls();
  // Remembers what a program asks for by PRAGMA page_size or auto_vacuum, which SQLite may ignore.
  void KeepLayoutWish(const char* sql);
  void BeginCheckpoint(sqlite3_stmt* stmt, const char* sql);

  // What every statement needs comes first and together, up to the first members of the hook. Where
  // there are many connections, it must be fetched from far memory.
  alignas(64) sqlite3* const db_;
  Registry* const registry_;
  // The words that change when FollowMain() is to be called again. Valid while followed_bindings_
  // is the number of bindings.
  const std::atomic<std::uint64_t>* followed_control_ = nullptr;
  const std::atomic<std::uint64_t>* followed_settings_ = nullptr;
  std::uint64_t followed_generation_ = 0;
  std::uint64_t metered_settings_ = 0;  // the generation that the meter follows
  std::uint32_t followed_bindings_ = 0;
  Cancellable::Word cancel_word_{0};
  TraceSlot trace_;
  std::unique_ptr<ApplicationCheckpoint> application_checkpoint_;  // that runs now
  std::unique_ptr<QueryLease> lease_;  // nullptr: reader_lease_ms is off
  std::shared_ptr<Cancellable> cancellable_;
  RunningStatement statement_;
  std::uint64_t next_control_look_ns_ = 0;
  WalHook hook_{db_, logs_, OnWal, this};
  int own_statements_ = 0;
  StatementMeter meter_{db_};
  LockMeter locks_{meter_, statement_};
  // Destroyed before the meters: clears their places.
  ManagedLogs logs_{db_, registry_, meter_, locks_};
  PlanHandOver plans_{db_, logs_, hook_, meter_.plan_wishes()};
};

}  // namespace walmanager
