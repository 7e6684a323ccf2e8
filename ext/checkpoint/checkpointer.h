// The one place from which a checkpoint is run, guarded against the WAL-reset bug
// (https://www.sqlite.org/wal.html; ext/README.md, decision 6).
//
// Two connections of our own, opened through OwnVfsFor(): one checkpoints while the other holds a
// read transaction begun before it. On a read mark of 1 or more nobody can start the log over, so
// the checkpoint cannot mistake a new log for the old; on mark 0 everything had been moved when the
// transaction began, and the engine copies no frame while a reader is there. If frames are pending
// and the guard sits on mark 0, it is begun again. RESTART and TRUNCATE wait for marks 1 and up,
// so for their last step they need the guard on mark 0.
// Where connections of ours cannot be (a VFS of the host's, locking_mode=EXCLUSIVE, a cipher), the
// checkpoint runs on the host's handle, unguarded, as SQLite's own would. Only a connection of the
// host's knows whether they can be: Permit() asks one, in its thread, and Revoke() takes it back
// before the host changes what was found.
// The same holds for ten seconds, and ever longer up to an hour, where a connection of ours was
// found to have another log than the wal-index counts (log_file.h): the host's handle has the right
// one. Thread rules: the caller serializes (database.h holds a mutex), but for Cancel().
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "ext/checkpoint/host_connection.h"
#include "ext/core/control/control_region.h"
#include "ext/core/format/wal_index_format.h"
#include "ext/engine/own_connection.h"
#include "ext/engine/sqlite.h"
#include "ext/engine/wal_index.h"

namespace walmanager {

// Litestream keeps its position in the log in this table (https://litestream.io/how-it-works/): it
// checkpoints the database itself, and must be the only one.
inline constexpr char kReplicatorTable[] = "_litestream_seq";

// What a checkpoint did. Unknown is nullopt.
struct CheckpointOutcome {
  CheckpointResult result = CheckpointResult::kSkipped;
  bool busy = false;    // somebody was in the way of a mode that does not pass readers by
  bool pinned = false;  // waited until the deadline, and the next commit still cannot start over
  std::optional<std::int64_t> wal_frames, checkpointed_frames, moved_frames;
  std::string message;           // why it was skipped or failed
  bool commits_went_on = false;  // all that kept it from being complete: nobody was in the way
};

class Checkpointer {
 public:
  // `path` of the database file, and which file is meant. `on_change(open)` when ours were opened
  // and when they were closed.
  Checkpointer(std::string path, const FileId& id, std::function<void(bool)> on_change)
      : path_(std::move(path)), id_(id), on_change_(std::move(on_change)) {}
  ~Checkpointer() { Close(); }

  // Whether connections of ours may be opened. Yes: until Revoke(), in any thread. Never: this
  // database forbids them, unguarded_because() says why. Not now: for a reason that passes.
  // Not now for over a second: never, for ten seconds; a log without end is worse than an unguarded
  // checkpoint.
  enum class Allowed { kYes, kNever, kNotNow };
  Allowed Permit(const HostConnection& host);
  void Revoke() { permitted_vfs_ = nullptr; }
  bool permitted() const { return permitted_vfs_ != nullptr; }
  // Opens them where that is permitted and they are not open.
  Allowed Open();

  // Runs a checkpoint and returns by `deadline_ns` (MonotonicNs) or soon after. With a deadline in
  // the future PASSIVE is repeated until everything is moved and nobody pins the log, so that the
  // next commit starts it over; nobody else waits for that. The host's connection is in WAL mode.
  // `before`: the log before, where ours cannot look.
  CheckpointOutcome Run(const HostConnection& host, CheckpointMode mode, std::uint64_t deadline_ns,
                        const WalIndex& before);
  // The same on connections of ours that are open, without a host.
  CheckpointOutcome RunOpen(CheckpointMode mode, std::uint64_t deadline_ns);
  // Syncs database and log, which a PASSIVE that was not complete leaves to the one that will be.
  // After an error, which the system tells only once, what was copied may be lost while the
  // wal-index counts it as moved: then the log is pinned, and all that counts as moved is copied
  // again before anything else.
  void Sync();
  // Syncs the log alone, which a checkpoint must do before it copies.
  void SyncLog();

  // Cuts the -wal file, by steps of `step` bytes, down to `limit`, as long as the log in it is
  // shorter than that, no reader pins it, no writer is at work, and until `deadline_ns`. Returns
  // the size in bytes then. Each step holds the write lock: call it in a committing thread, or
  // where no managed connection is in a statement.
  std::int64_t ShrinkLog(std::int64_t limit, std::int64_t step, std::uint64_t deadline_ns);
  // Makes a log start over of which all is moved and that no connection reads, and leaves the size
  // of its file to ShrinkLog(): SQLite's own TRUNCATE cuts all of it at once, under the write lock.
  // Returns whether it did; then SyncNewHeader() is due before the file can be cut.
  bool StartLogOver();
  // Syncs the header that StartLogOver() has written. Holds no lock of SQLite's.
  void SyncNewHeader();
  // The table of a replicator; nullopt where that cannot be read now. Ours are open.
  struct ReplicatorTable {
    bool exists = false;
    std::uint64_t content = 0;  // a hash of its rows
  };
  std::optional<ReplicatorTable> FindReplicator();

  // Another connection of ours, of which only the descriptor is used. Ours are open.
  Result<OwnedDb> OpenSpare();
  // `ask(db, schema_version)` with another connection of ours that reads, where that is permitted.
  void Explain(const std::function<void(sqlite3*, std::uint32_t)>& ask);
  // PRAGMA optimize on another connection of ours, where that is permitted. Waits for nobody. It
  // regards all tables as used: what the host's statements use is known to its connections alone.
  Status Optimize();

  // A sync failed, and what was copied before it is still to be copied again: keep ours open.
  bool owes_sync() const { return !sync_error_.empty(); }

  // The mark on which the guard of a running checkpoint sits. From any thread.
  std::optional<int> guard_mark() const {
    const int mark = guard_mark_.load(std::memory_order_relaxed);
    return mark < 0 ? std::nullopt : std::optional(mark);
  }

  // Ends what runs now and keeps the next from waiting, until as many Resume(). From any thread.
  void Cancel();
  void Resume() { --cancels_; }
  bool cancelled() const { return cancels_.load(std::memory_order_relaxed) > 0; }

  // The wal-index as our connection sees it; nullopt where ours is not open.
  std::optional<WalIndex> Look() const;
  // Which read marks somebody holds, found by trying an exclusive lock on each for a moment (a
  // reader that comes just then takes another mark, as beside any checkpoint); nullopt where ours
  // is not open.
  std::optional<std::array<bool, kReadMarks>> TryReadMarks();
  // Whether the next commit could start the log over, were all of it moved: no reader on a mark of
  // 1 or more. One lock call, undone at once; ours are open.
  bool NobodyPins();

  // Also from other threads.
  bool open() const { return open_.load(std::memory_order_relaxed); }
  // MonotonicNs of the last use.
  std::uint64_t last_used_ns() const { return last_used_ns_; }
  // Nothing of ours stays on the database. Quick: the host's connection is still there, so no
  // checkpoint runs at this close unless ours is the last.
  void Close() noexcept;
  void FollowCloseBehaviour(const CloseBehaviour& behaviour);
  // Empty where the last checkpoint was guarded, else why not.
  const std::string& unguarded_because() const { return unguarded_because_; }

 private:
  Allowed TryOpen();
  // Opens nothing for so long.
  static constexpr std::uint64_t kGivenUpNs = 10'000'000'000;
  Allowed GiveUp(const std::string& because, std::uint64_t for_ns = kGivenUpNs);
  Allowed GiveUpSinceLogDiffers();
  // Whether the log of one of ours is another than the wal-index counts; then they are closed.
  bool CloseIfLogDiffers();
  void SyncFile(sqlite3_file* file);
  bool PinLog();
  bool CopyAgain();
  // Whether what runs must end: cancelled, or the process waits to fork.
  bool MustEnd() const;
  CheckpointOutcome RunGuarded(CheckpointMode mode, std::uint64_t deadline_ns);
  static CheckpointOutcome RunOnHost(const HostConnection& host, CheckpointMode mode,
                                     const WalIndex& before);
  // Empty where nobody is: commits went on.
  std::string WhoIsInTheWay(CheckpointMode mode, int rc);
  // The last frame of the oldest reader that keeps this mode from what it wants; nullopt: none
  // does.
  std::optional<std::uint32_t> ReaderInTheWay(CheckpointMode mode);
  struct Step;
  Step RunStep(CheckpointMode mode, std::uint64_t deadline_ns);
  static int OnBusy(void* self, int times);

  const std::string path_;
  const FileId id_;
  const std::function<void(bool)> on_change_;
  const char* permitted_vfs_ = nullptr;             // lives as long as the process
  const volatile void* permitted_index_ = nullptr;  // a value to compare
  std::atomic<bool> open_{false};
  std::atomic<int> cancels_{0};
  std::atomic<bool> interrupted_{false};  // SQLite keeps that in mind until a statement runs
  std::atomic<int> guard_mark_{-1};
  std::mutex interrupt_mutex_;  // held while checkpoint_ changes and while it is interrupted
  OwnedDb checkpoint_;
  OwnedDb guard_;
  OwnedStmt guard_read_;  // finalized before guard_ closes: declared after it
  std::uint64_t busy_deadline_ns_ = 0;
  std::uint64_t last_used_ns_ = 0;
  std::string unguarded_because_;
  std::string sync_error_;  // empty: all syncs succeeded, or what they were for was copied again
  bool pinned_ = false;     // a lock of ours on mark 1 keeps the log from starting over
  // salt1 of the log that StartLogOver() began, once its header is synced; 0: none.
  std::uint32_t log_started_over_ = 0;
  std::uint64_t failing_since_ns_ = 0;  // opening them; 0: it does not fail
  std::uint64_t given_up_until_ns_ = 0;
  std::string given_up_because_;
  std::uint64_t log_differs_ns_ = kGivenUpNs;  // how long nothing is opened where it does again
  sqlite3* optimizer_ = nullptr;               // guarded by interrupt_mutex_
};

}  // namespace walmanager
