// What happens on one connection of the host's, as SQLite announces it: a statement begins, returns
// a row or ends (the trace, https://www.sqlite.org/c3ref/c_trace.html), a commit to a log (the WAL
// hook), the close. Owns what follows it: the logs, the hook, the statement meter.
//
// On the path of every statement, so: where it is known and nothing is due, no allocation, no
// system call and no SQL, and few cache lines. All parts are inside of this object for that reason.
// The rule that is easy to break: a callback runs inside of a call of the host's, and SQL on its
// handle calls the trace again; only a PRAGMA that reads no table runs there, in LookAndPlace().
// Thread rules: everything runs in the thread that uses the connection, under its mutex where it
// has one. In a child that was forked after the load nothing may be called but belongs_here().
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "ext/connection/application_checkpoint.h"
#include "ext/connection/managed_logs.h"
#include "ext/connection/running_statement.h"
#include "ext/connection/statement_meter.h"
#include "ext/connection/wal_hook.h"
#include "ext/core/text/statement_text.h"
#include "ext/system/registry.h"

struct sqlite3;
struct sqlite3_stmt;

namespace walmanager {

class ConnectionEvents {
 public:
  ConnectionEvents(sqlite3* db, Registry* registry) : db_(db), registry_(registry) {}
  ConnectionEvents(const ConnectionEvents&) = delete;
  ConnectionEvents& operator=(const ConnectionEvents&) = delete;

  bool belongs_here() const { return &Registry::Get() == registry_; }
  // Begins to follow. On an open connection the hook is placed now; on one that is being opened,
  // where SQLite sets its own after us, at the first statement.
  enum class At { kOpenConnection, kOpening };
  void Start(At at);
  // Whether our trace stands, which is also published. `take`: takes the slot where another trace
  // has it. Runs SQL.
  TraceState ProbeTrace(bool take);

  ManagedLogs& logs() { return logs_; }
  const ManagedLogs& logs() const { return logs_; }
  WalHook& hook() { return hook_; }
  const WalHook& hook() const { return hook_; }
  StatementMeter& meter() { return meter_; }

 private:
  // --- the callbacks
  [[gnu::hot]] static int OnTrace(unsigned event, void* self, void* stmt, void* sql);
  static int OnWal(void* self, sqlite3* db, const char* schema, int frames);
  static int OnFirstCommit(void* self);

  // What every statement runs stands together, in few bytes: where many connections take turns,
  // most of the cost is to fetch the code. So all that is seldom is cold.
  [[gnu::hot]] void BeforeStatement(sqlite3_stmt* stmt, const char* sql);
  // Whether SQLite announces a statement of this extension, a trigger, or a statement that runs
  // within another one.
  [[gnu::cold]] bool IsPartOfAnother(sqlite3_stmt* stmt, const char* sql);
  // What the statement before has left to be done.
  [[gnu::cold]] void CatchUp();
  // Does what is to be done before a statement of this kind runs.
  [[gnu::cold]] void Foresee(StatementKind kind, sqlite3_stmt* stmt, const char* sql);
  void BeforeClose();

  void PlaceTrace();
  // The control file or a setting has changed: statements are measured there, or no more.
  [[gnu::cold]] void FollowMain();
  bool MainHasChanged() const {
    return followed_bindings_ != logs_.bindings() ||
           followed_settings_->load(std::memory_order_relaxed) != metered_settings_ ||
           followed_control_->load(std::memory_order_acquire) != followed_generation_;
  }
  // Once a second.
  [[gnu::cold]] void LookForControls();
  // Hands the plans that are wanted to the background thread.
  [[gnu::cold]] void HandOverPlans();
  // Keeps what a program asks for by PRAGMA page_size or auto_vacuum: SQLite may ignore it.
  void KeepLayoutWish(const char* sql);
  void BeginCheckpoint(sqlite3_stmt* stmt, const char* sql);

  // What every statement needs stands first and together, up to the first members of the hook:
  // among many connections it is found far from the processor.
  alignas(64) sqlite3* const db_;
  Registry* const registry_;
  // Where a change of what FollowMain() has followed shows; valid as long as followed_bindings_ is
  // the number of bindings.
  const std::atomic<std::uint64_t>* followed_control_ = nullptr;
  const std::atomic<std::uint64_t>* followed_settings_ = nullptr;
  std::uint64_t followed_generation_ = 0;
  std::uint64_t metered_settings_ = 0;  // the generation that the meter follows
  std::uint32_t followed_bindings_ = 0;
  bool trace_was_called_ = false;  // since ProbeTrace() has set this false
  bool may_have_profile_ = false;  // of an older interface, beside our trace
  std::unique_ptr<ApplicationCheckpoint> application_checkpoint_;  // that runs now
  RunningStatement statement_;
  std::uint64_t next_control_look_ns_ = 0;
  WalHook hook_{db_, logs_, OnWal, this};
  std::uint64_t next_plans_ns_ = 0;
  unsigned trace_mask_ = 0;
  StatementMeter meter_{db_};
  ManagedLogs logs_{db_, registry_, meter_};  // goes before the meter, whose places it takes away
};

}  // namespace walmanager
