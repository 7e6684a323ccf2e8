// The two connections through which this process checkpoints one database, opened by way of
// OwnVfsFor(): whether they may be open, how they are opened, and what they leave behind at the
// last close. One checkpoints while the other, the guard, reads (checkpointer.h).
//
// Only a connection of the host's knows whether they can be open: Permit() asks one, in its thread,
// and Revoke() takes that back before the host changes what was found. They cannot be open beside a
// VFS of the host's, locking_mode=EXCLUSIVE or a cipher; and not for ten seconds, and ever longer
// up to an hour, where one of them was found to have another log than the wal-index counts
// (log_file.h): then the host's handle has the right one.
// Thread rules: the caller serializes (it holds the mutex of CheckpointState), but for open(),
// Cancel(), Resume() and cancelled().
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "ext/checkpoint/host_connection.h"
#include "ext/core/base/mutex.h"
#include "ext/core/format/file_id.h"
#include "ext/core/format/wal_index_format.h"
#include "ext/engine/own_connection.h"
#include "ext/engine/sqlite.h"
#include "ext/engine/wal_index.h"

namespace walmanager {

class CheckpointConnections {
 public:
  // `path` of the database file, and which file is meant. `on_change(open)` when they were opened
  // and when they were closed.
  CheckpointConnections(std::string path, const FileId& id, std::function<void(bool)> on_change)
      : path_(std::move(path)), id_(id), on_change_(std::move(on_change)) {}
  ~CheckpointConnections() { Close(); }
  CheckpointConnections(const CheckpointConnections&) = delete;
  CheckpointConnections& operator=(const CheckpointConnections&) = delete;

  // Whether they may be opened. Yes: until Revoke(), in any thread. Never: this database forbids
  // them, unguarded_because() says why. Not now: for a reason that passes. Not now for over a
  // second: never, for ten seconds; a log without end is worse than an unguarded checkpoint.
  enum class Allowed { kYes, kNever, kNotNow };
  Allowed Permit(const HostConnection& host);
  void Revoke() { permitted_vfs_ = nullptr; }
  // Opens them where that is permitted and they are not open.
  Allowed Open();
  bool open() const { return open_.load(std::memory_order_relaxed); }
  // How often they were opened: what a lock of theirs is good for ends when that changes.
  std::uint64_t times_opened() const { return times_opened_; }
  // Nothing of the extension's stays on the database. Quick: the host's connection is still there,
  // so no checkpoint runs at this close unless theirs is the last.
  void Close() noexcept;
  void FollowCloseBehaviour(const CloseBehaviour& behaviour);
  // Another connection of the extension's, which never checkpoints at its close.
  Result<OwnedDb> OpenAnother() const;

  // While they are open; nullptr else.
  sqlite3* checkpoint() const { return checkpoint_.get(); }
  sqlite3* guard() const { return guard_.get(); }
  // Prepared: a step begins the guard's read transaction, a reset ends it.
  sqlite3_stmt* guard_read() const { return guard_read_.get(); }
  // The wal-index as they see it; nullopt where they are not open.
  std::optional<WalIndex> Look() const;
  // Which read marks are held, found by trying an exclusive lock on each for a moment (a reader
  // that comes just then takes another mark, as beside any checkpoint); nullopt where they are not
  // open.
  std::optional<std::array<bool, kReadMarks>> TryReadMarks() const;
  // Whether a reader on a mark of 1 or more keeps the next commit from starting the log over, were
  // all of it moved. One lock call, undone at once; they are open.
  bool IsPinned() const;
  // Whether the log of one of them is another than the wal-index counts. Then call
  // CloseSinceLogDiffers().
  bool LogDiffers();
  void CloseSinceLogDiffers();

  // MonotonicNs of the last use.
  std::uint64_t last_used_ns() const { return last_used_ns_; }
  void MarkUsed();
  // Empty where the last checkpoint was guarded, else why not.
  const std::string& unguarded_because() const { return unguarded_because_; }
  // The same, which is forgotten: for a reason that passes.
  std::string TakeUnguardedBecause() { return std::exchange(unguarded_because_, {}); }

  // Ends what runs now on them and on `Interruptible`, and keeps the next from waiting, until as
  // many Resume().
  void Cancel();
  void Resume() { --cancels_; }
  bool cancelled() const { return cancels_.load(std::memory_order_relaxed) > 0; }
  // While it lives, Cancel() interrupts this connection, too.
  class Interruptible {
   public:
    Interruptible(CheckpointConnections& connections, sqlite3* db) : connections_(connections) {
      connections_.SetInterruptible(db);
    }
    ~Interruptible() { connections_.SetInterruptible(nullptr); }
    Interruptible(const Interruptible&) = delete;
    Interruptible& operator=(const Interruptible&) = delete;

   private:
    CheckpointConnections& connections_;
  };

 private:
  Allowed TryOpen();
  // A read, so that the connection is in WAL mode; whether it sees the file that is meant.
  Allowed CheckOpened(sqlite3* db);
  // What an error at opening means.
  Allowed Failed(const Error& error);
  Allowed Forbid(const char* because);
  // Opens nothing for so long.
  static constexpr std::uint64_t kGivenUpNs = 10'000'000'000;
  Allowed GiveUp(const std::string& because, std::uint64_t for_ns = kGivenUpNs);
  Allowed GiveUpSinceLogDiffers();
  void SetInterruptible(sqlite3* db);

  const std::string path_;
  const FileId id_;
  const std::function<void(bool)> on_change_;
  const char* permitted_vfs_ = nullptr;             // lives as long as the process
  const volatile void* permitted_index_ = nullptr;  // a value to compare
  std::atomic<bool> open_{false};
  std::atomic<int> cancels_{0};
  std::atomic<bool> interrupted_{false};  // SQLite remembers that until a statement runs
  // Held while checkpoint_ or interruptible_ changes, and while they are interrupted.
  Mutex interrupt_mutex_;
  OwnedDb checkpoint_;
  OwnedDb guard_;
  OwnedStmt guard_read_;  // finalized before guard_ closes: declared after it
  sqlite3* interruptible_ GUARDED_BY(interrupt_mutex_) = nullptr;
  std::uint64_t times_opened_ = 0;
  std::uint64_t last_used_ns_ = 0;
  std::string unguarded_because_;
  std::uint64_t failing_since_ns_ = 0;  // opening them; 0: it does not fail
  std::uint64_t given_up_until_ns_ = 0;
  std::string given_up_because_;
  std::uint64_t log_differs_ns_ = kGivenUpNs;  // how long nothing is opened where it does again
};

}  // namespace walmanager
