// The one place from which a checkpoint is run, guarded against the WAL-reset bug
// (https://www.sqlite.org/wal.html, DESIGN.md decision 6).
//
// Two connections of our own, opened through OwnVfsFor(): one checkpoints while the other holds a
// read transaction begun before it. On a read mark of 1 or more nobody can start the log over, so
// the checkpoint cannot mistake a new log for the old; on mark 0 everything had been moved when the
// transaction began, and the engine copies no frame while a reader is there. If frames are pending
// and the guard sits on mark 0, it is begun again. RESTART and TRUNCATE wait for marks 1 and up,
// so for their last step they need the guard on mark 0.
// Where connections of ours cannot be (a VFS of the host's, locking_mode=EXCLUSIVE, a cipher), the
// checkpoint runs on the host's handle, unguarded, as SQLite's own would.
// Thread rules: the caller serializes (database.h holds a mutex).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "ext/core/control_region.h"
#include "ext/core/wal_index_format.h"
#include "ext/sqlite.h"

namespace walmanager {

// What a checkpoint did. Unknown is nullopt.
struct CheckpointOutcome {
  CheckpointResult result = CheckpointResult::kSkipped;
  bool busy = false;    // somebody was in the way of a mode that does not pass readers by
  bool pinned = false;  // waited until the deadline, and the next commit still cannot start over
  std::optional<std::int64_t> wal_frames, checkpointed_frames, moved_frames;
  std::string message;  // why it was skipped or failed
};

// Behaviour at the last close that the host asked of its own connection and ours must follow.
struct CloseBehaviour {
  bool checkpoint = true;    // SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE is off
  bool persist_wal = false;  // SQLITE_FCNTL_PERSIST_WAL
};

CloseBehaviour CloseBehaviourOf(sqlite3* db, const char* schema);

class Checkpointer {
 public:
  // The host's connection in whose name a checkpoint runs; valid for the call.
  struct Host {
    sqlite3* db;
    const char* schema;
    const char* path;  // of the database file
    bool own_only;     // nothing may run on `db`
  };

  ~Checkpointer() { Close(); }

  // Runs a checkpoint and returns by `deadline_ns` (MonotonicNs) or soon after. With a deadline in
  // the future PASSIVE is repeated until everything is moved and nobody pins the log, so that the
  // next commit starts it over; nobody else waits for that. The host's connection is in WAL mode.
  // `before`: the log before, where ours cannot look.
  CheckpointOutcome Run(const Host& host, CheckpointMode mode, std::uint64_t deadline_ns,
                        const WalIndex& before);

  // The wal-index as our connection sees it; nullopt where ours is not open.
  std::optional<WalIndex> Look() const;
  // Which read marks somebody holds, found by trying an exclusive lock on each for a moment (a
  // reader that comes just then takes another mark, as beside any checkpoint); nullopt where ours
  // is not open.
  std::optional<std::array<bool, kReadMarks>> TryReadMarks();

  bool open() const { return checkpoint_ != nullptr; }
  // MonotonicNs of the last use.
  std::uint64_t last_used_ns() const { return last_used_ns_; }
  // Nothing of ours stays on the database. Quick: the host's connection is still there, so no
  // checkpoint runs at this close unless ours is the last.
  void Close();
  void FollowCloseBehaviour(const CloseBehaviour& behaviour);
  // Empty where the last checkpoint was guarded, else why not.
  const std::string& unguarded_because() const { return unguarded_because_; }

 private:
  // Ours: they are open. Never: this database forbids connections of ours, unguarded_because_ says
  // why. Not now: it failed for a reason that passes.
  enum class Opened { kOurs, kNever, kNotNow };
  Opened Open(const Host& host);
  CheckpointOutcome RunGuarded(CheckpointMode mode, std::uint64_t deadline_ns);
  static CheckpointOutcome RunOnHost(const Host& host, CheckpointMode mode, const WalIndex& before);
  std::string WhoIsInTheWay();
  struct Step;
  Step RunStep(CheckpointMode mode, std::uint64_t deadline_ns);
  bool NobodyPins();
  static int OnBusy(void* self, int times);

  OwnedDb checkpoint_;
  OwnedDb guard_;
  OwnedStmt guard_read_;  // finalized before guard_ closes: declared after it
  std::uint64_t busy_deadline_ns_ = 0;
  std::uint64_t last_used_ns_ = 0;
  std::string unguarded_because_;
};

// True on the calling thread while OpenOwnConnection() runs there: a process-wide load of ours must
// not manage it. Other extensions of the process that load by themselves do see it.
bool OpeningOwnConnection();
Result<OwnedDb> OpenOwnConnection(const std::string& path, int flags, const char* vfs);

}  // namespace walmanager
