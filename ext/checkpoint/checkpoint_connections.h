// The two connections through which this process checkpoints one database, opened by way of
// OwnVfsFor(): whether they may be open, how they are opened, and what they leave behind at the
// last close. One checkpoints while the other, the guard, reads (checkpointer.h).
//
// Only a connection of the host can tell whether they can be open. Permit() asks one, in the thread
// that uses it, and Revoke() withdraws the permission before the host changes what was found. They
// cannot be open beside a VFS of the host, locking_mode=EXCLUSIVE or a cipher. Where one of them
// has another log than the wal-index describes (log_file.h), the host's handle has the right log:
// then they stay closed for ten seconds, and longer each time, up to an hour.
// Thread rules: the caller holds the mutex of CheckpointState, except for open(), Cancel(),
// Resume() and cancelled(), which any thread may call.
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
#include "ext/system/control_in_use.h"
#include "ext/system/registry.h"

namespace walmanager {

class CheckpointConnections {
 public:
  // `path` of the database file, and the file that is meant. `on_change(open)` is called when they
  // have been opened and before they close. `control`: where they count what they read and write;
  // nullptr: nowhere.
  CheckpointConnections(std::string path, const FileId& id, std::function<void(bool)> on_change,
                        const ControlInUse* control = nullptr)
      : path_(std::move(path)), id_(id), on_change_(std::move(on_change)), control_(control) {}
  ~CheckpointConnections() {
    Close();
    if (leaves_descriptors_) --registry_.copied_databases;
  }
  CheckpointConnections(const CheckpointConnections&) = delete;
  CheckpointConnections& operator=(const CheckpointConnections&) = delete;

  // Whether they may be opened. kYes: until Revoke(), in any thread. kNever: this database forbids
  // them, and unguarded_because() says why. kNotNow: for a reason that passes. Where it does not
  // pass within a second, kNever for ten seconds: a log that grows without end is worse than an
  // unguarded checkpoint.
  enum class Allowed { kYes, kNever, kNotNow };
  Allowed Permit(const HostConnection& host);
  void Revoke() { permitted_vfs_ = nullptr; }
  bool permitted() const { return permitted_vfs_ != nullptr; }
  // Opens them where that is permitted and they are not open.
  Allowed Open();
  bool open() const { return open_.load(std::memory_order_relaxed); }
  // How often they were opened. A lock that they held is gone when this number has changed.
  std::uint64_t times_opened() const { return times_opened_; }
  // Closes them. Quick: no checkpoint runs at this close unless it is the last close of the
  // database, and the host's connection is usually still open.
  void Close() noexcept;
  void FollowCloseBehaviour(const CloseBehaviour& behaviour);
  // Opens one more connection of the extension, which never runs a checkpoint when it closes.
  Result<OwnedDb> OpenAnother();
  // The same where Open() was not called, for work that can wait: an error also where the files are
  // not those that the host has open, and where databases that are to be copied need the
  // descriptors.
  Result<OwnedDb> OpenToExplain();

  // nullptr where they are not open.
  sqlite3* checkpoint() const { return checkpoint_.get(); }
  sqlite3* guard() const { return guard_.get(); }
  // Prepared: a step begins the guard's read transaction, a reset ends it.
  sqlite3_stmt* guard_read() const { return guard_read_.get(); }
  // The wal-index as they see it; nullopt where they are not open.
  std::optional<WalIndex> Look() const;
  // Which read marks are held; nullopt where they are not open. Tries an exclusive lock on each
  // mark for a moment. A reader that begins just then takes another mark, as it does beside any
  // checkpoint.
  std::optional<std::array<bool, kReadMarks>> TryReadMarks() const;
  // Of a mark that is held: whether readers hold it, and not a process that changes the mark or
  // copies frames, which has it alone for a moment. Tries a shared lock. They must be open.
  bool IsHeldByReaders(int mark) const;
  // Whether a reader on a mark of 1 or more would keep the next commit from starting the log over,
  // if all frames were moved. One lock call, undone at once. They must be open.
  bool IsPinned() const;
  // Whether one of them has another log than the wal-index describes. Then call
  // CloseSinceLogDiffers().
  bool LogDiffers();
  void CloseSinceLogDiffers();

  // MonotonicNs of the last use.
  std::uint64_t last_used_ns() const { return last_used_ns_; }
  // They are about to be used, and count from now on in the control file that is in use now.
  void MarkUsed();
  // Empty where the last checkpoint was guarded, else why not.
  const std::string& unguarded_because() const { return unguarded_because_; }
  // Returns the same and clears it: for a reason that passes.
  std::string TakeUnguardedBecause() { return std::exchange(unguarded_because_, {}); }

  // Interrupts the checkpoint that runs. Until as many calls of Resume(), what is begun does not
  // wait. No statement is interrupted: SQLite would write that to the host's error log.
  void Cancel();
  void Resume() { --cancels_; }
  bool cancelled() const { return cancels_.load(std::memory_order_relaxed) > 0; }
  // While it lives, Cancel() interrupts checkpoint(). The caller asks cancelled() after it was
  // made, and begins nothing if that is true.
  class Interruptible {
   public:
    explicit Interruptible(CheckpointConnections& connections) : connections_(connections) {
      connections_.SetInterruptible(true);
    }
    ~Interruptible() { connections_.SetInterruptible(false); }
    Interruptible(const Interruptible&) = delete;
    Interruptible& operator=(const Interruptible&) = delete;

   private:
    CheckpointConnections& connections_;
  };

 private:
  Allowed TryOpen();
  // A connection to the database, through permitted_vfs_.
  Result<OwnedDb> OpenOne();
  // SQLite keeps descriptors of this database once a connection was open: whether that may be.
  bool MayLeaveDescriptors();
  // Reads once, so that the connection enters WAL mode, and says whether it has the file that is
  // meant.
  Allowed CheckOpened(sqlite3* db);
  // What an error at opening means.
  Allowed Failed(const Error& error);
  Allowed Forbid(const char* because);
  // Nothing is opened for this long.
  static constexpr std::uint64_t kGivenUpNs = 10'000'000'000;
  Allowed GiveUp(const std::string& because, std::uint64_t for_ns = kGivenUpNs);
  Allowed GiveUpSinceLogDiffers();
  void SetInterruptible(bool interruptible);

  Registry& registry_ = Registry::Get();
  const std::string path_;
  const FileId id_;
  const std::function<void(bool)> on_change_;
  const ControlInUse* const control_;
  std::uint64_t counted_generation_ = 0;            // of control_, in which they count
  const char* permitted_vfs_ = nullptr;             // lives as long as the process
  const volatile void* permitted_index_ = nullptr;  // a value to compare
  bool leaves_descriptors_ = false;                 // MayLeaveDescriptors()
  // Relaxed: changed under the mutex of CheckpointState. A thread without it may read it late.
  std::atomic<bool> open_{false};
  // Read relaxed. Cancel() adds to it before it takes interrupt_mutex_. So a thread that begins to
  // be interruptible either had the mutex first, and is interrupted, or sees the number.
  std::atomic<int> cancels_{0};
  std::atomic<bool> interrupted_{false};  // SQLite remembers an interrupt until a statement runs
  // Held while checkpoint_ or interruptible_ changes, and while checkpoint_ is interrupted.
  Mutex interrupt_mutex_;
  OwnedDb checkpoint_;
  OwnedDb guard_;
  OwnedStmt guard_read_;  // declared after guard_, so that it is finalized before guard_ closes
  bool interruptible_ GUARDED_BY(interrupt_mutex_) = false;
  std::uint64_t times_opened_ = 0;
  std::uint64_t last_used_ns_ = 0;
  std::string unguarded_because_;
  std::uint64_t failing_since_ns_ = 0;  // since when opening them has failed; 0: it has not
  std::uint64_t given_up_until_ns_ = 0;
  std::string given_up_because_;
  std::uint64_t log_differs_ns_ = kGivenUpNs;  // how long to open nothing when the log differs next
};

}  // namespace walmanager
