// Measures what the statements of one connection wait for SQLite's locks, and has the connection
// count what it reads and writes.
//
// LockWatch is of one database file of the connection. It is told by WatchedFile, within a call of
// SQLite, when a lock is refused and when it is had after that. A lock that is refused and not had
// when the statement ends is an error of the host, unless SQLite goes on without it. So a statement
// that meets no other one costs no clock and no call here.
// LockMeter is what the watches of a connection share.
// Thread rules: in the thread that uses the connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "ext/connection/running_statement.h"
#include "ext/core/control/lock_waits.h"
#include "ext/core/text/statement_text.h"
#include "ext/engine/watched_file.h"
#include "ext/system/control_file.h"

struct sqlite3;
struct sqlite3_stmt;

namespace walmanager {

class StatementMeter;

class LockMeter {
 public:
  LockMeter(StatementMeter& meter, RunningStatement& statement)
      : meter_(meter), statement_(statement) {}
  LockMeter(const LockMeter&) = delete;
  LockMeter& operator=(const LockMeter&) = delete;

  bool is_on() const { return is_on_; }
  // The settings lock_metrics and lock_wait_ms.
  void Set(bool on, std::uint64_t listed_ns) {
    is_on_ = on;
    listed_ns_ = listed_ns;
  }
  // What the statement that runs has waited. Forgets it.
  LockCounts TakeCounts();

  // --- for the watches
  // Whether the end of the statement that waits will not be told: another trace has the slot.
  bool misses_end() const;
  std::uint64_t listed_ns() const { return listed_ns_; }
  // The statement that began last and has not ended; 0: unknown.
  std::uint64_t QueryId() const;
  // Gives it an entry there, if it has none. Not within a method of a file: that takes long.
  // `ends`: the statement that ends now; may be nullptr.
  void MakeQueryEntry(ControlFile& control, sqlite3_stmt* ends);
  // Something is to be done when the statement ends.
  void NoteRefusal() { statement_.lock_was_refused = true; }
  // Something is to be done when the next statement begins.
  void NoteOpenedLog() { statement_.opened_log = true; }
  void Count(const LockCounts& counts) { counts_.Add(counts); }
  std::string application;

 private:
  StatementMeter& meter_;
  RunningStatement& statement_;
  bool is_on_ = false;
  std::uint64_t listed_ns_ = 0;
  LockCounts counts_;
};

class LockWatch final : public FileWatcher {
 public:
  LockWatch() = default;
  ~LockWatch() { WatchedFile::Leave(file_); }
  LockWatch(const LockWatch&) = delete;
  LockWatch& operator=(const LockWatch&) = delete;

  // Begins to watch the database file of the schema, if it may be watched and is not yet. `meter`
  // and `database_path` outlive this object.
  void Begin(sqlite3* db, const char* schema, const char* database_path, LockMeter& meter);
  // Gives the file SQLite's own methods back.
  void End() { WatchedFile::Restore(file_); }
  // The schema is gone, or the connection.
  void Leave() { WatchedFile::Leave(file_); }
  // Where the connection shows its locks, and counts. nullptr: nowhere, from now on.
  void SetPlace(ControlFile* control, std::size_t slab, std::uint64_t connection_id);

  // A statement begins in this thread; as WatchedFile::Enter().
  void Enter(sqlite3* db, const char* schema, bool may_need_all) {
    if (WatchedFile* file = file_.Get()) file->Enter(db, schema, may_need_all);
  }
  // Once in a while: another connection may have come to share the page cache.
  void LookWhetherShared(sqlite3* db) {
    if (WatchedFile* file = file_.Get()) file->LookWhetherShared(db);
  }
  // Whether a call of the extension's own uses the connection.
  void Pause(bool paused) {
    if (WatchedFile* file = file_.Get()) file->set_paused(paused);
  }
  // Statements run in another thread from now on.
  void ThreadChanged(sqlite3* db, const char* schema) {
    if (WatchedFile* file = file_.Get()) file->FindLocksAgain(db, schema);
  }
  // A statement of this kind has ended, at `now_ns`; nullptr and 0: unseen, so its wait ended when
  // it last tried.
  void StatementEnds(sqlite3_stmt* stmt, StatementKind kind, std::uint64_t now_ns);

  // --- as FileWatcher
  void Refused(LockKind lock) override;
  void Granted() override;
  void Conflicts(std::uint64_t newest) override;
  void OpenedLog() override { meter_->NoteOpenedLog(); }

 private:
  // A wait that goes on.
  struct Waiting {
    LockKind lock = LockKind::kWrite;
    std::uint64_t start_ns = 0, last_try_ns = 0;
    std::optional<LockHolder> holder;  // the first that was found
    std::uint64_t next_look_ns = 0, next_table_look_ns = 0;
    bool had_read = false;  // as LockWait::had_read
  };

  // Begins to wait, or goes on. False where no wait is measured.
  bool Wait(LockKind lock, std::uint64_t now_ns);
  // Finds the holder, and finds it again once in a while: it may be another one by then.
  void LookForHolder(std::uint64_t now_ns);
  // The process that the system's lock table names, where no connection shows the lock.
  void LookInLockTable(std::uint64_t now_ns);
  void TakeHolder(const LockHolder& holder);
  bool HadRead() const;
  void Forget();
  void Finish(LockOutcome outcome, std::uint64_t end_ns);
  layout::ConnectionInfo* info() const;

  WatchedFile::Handle file_;
  LockMeter* meter_ = nullptr;
  const char* database_path_ = "";
  ControlFile* control_ = nullptr;  // nullptr: nothing is counted
  std::size_t slab_ = 0;
  std::uint64_t connection_id_ = 0;
  std::optional<Waiting> waiting_;
  bool lacks_entry_ = false;  // a wait has ended whose statement may have no entry yet
};

// While it lives, no refusal of a lock counts: a call of the extension's own uses the connection.
class PausedLockWatch {
 public:
  explicit PausedLockWatch(LockWatch& watch) : watch_(watch) { watch_.Pause(true); }
  ~PausedLockWatch() { watch_.Pause(false); }
  PausedLockWatch(const PausedLockWatch&) = delete;
  PausedLockWatch& operator=(const PausedLockWatch&) = delete;

 private:
  LockWatch& watch_;
};

}  // namespace walmanager
