// The only place that runs a checkpoint, guarded against the WAL-reset bug
// (https://www.sqlite.org/wal.html; ext/README.md, decision 6).
//
// Of the two connections in checkpoint_connections.h one checkpoints while the other, the guard,
// holds a read transaction that began before the checkpoint. While the guard is on a read mark of 1
// or more, no connection can start the log over, so the checkpoint cannot mistake a new log for the
// old one. While it is on mark 0, everything had been moved when its transaction began, and SQLite
// copies no frame as long as a reader is there. If frames are pending and the guard is on mark 0,
// its transaction is begun again. RESTART and TRUNCATE wait for marks 1 and up, so for their last
// step they need the guard on mark 0.
// Where these connections cannot be open, the checkpoint runs on the host's handle, unguarded, as
// SQLite's own checkpoint would.
// Thread rules: the caller holds the mutex of CheckpointState, except for guard_mark(), which any
// thread may call.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "ext/checkpoint/checkpoint_connections.h"
#include "ext/checkpoint/copied_frames.h"
#include "ext/checkpoint/host_connection.h"
#include "ext/core/control/control_region.h"
#include "ext/core/format/wal_index_format.h"

namespace walmanager {

// What a checkpoint did. Unknown is nullopt.
struct CheckpointOutcome {
  CheckpointResult result = CheckpointResult::kSkipped;
  bool busy = false;    // a mode that waits for readers or writers did not get what it waited for
  bool pinned = false;  // it waited until the deadline, and the log still cannot start over
  std::uint64_t copying_ns = 0;  // of the time that it took, in steps that moved frames
  std::optional<std::int64_t> wal_frames, checkpointed_frames, moved_frames;
  std::string message;           // why it was skipped or failed
  bool commits_went_on = false;  // incomplete only because of new commits: no process blocked it
};

class Checkpointer {
 public:
  // `database_path` of the file that `connections` have open. `callers_waiting`: calls that wait
  // for the mutex; one of them may be of the very reader that a commit waits for.
  Checkpointer(const std::string& database_path, const std::atomic<int>& callers_waiting,
               CheckpointConnections& connections, CopiedFrames& copied_frames)
      : shm_path_(database_path + "-shm"),
        callers_waiting_(callers_waiting),
        connections_(connections),
        copied_frames_(copied_frames) {}

  // Runs a checkpoint and returns at `deadline_ns` (MonotonicNs) or soon after. With a deadline in
  // the future PASSIVE is repeated until all frames are moved and no reader pins the log, so that
  // the next commit starts it over; no other connection waits for that. The host's connection is in
  // WAL mode. `before`: the log before the checkpoint, where the own connections cannot look.
  CheckpointOutcome Run(const HostConnection& host, CheckpointMode mode, std::uint64_t deadline_ns,
                        const WalIndex& before);
  // The same on the own connections, which are open, without a host.
  CheckpointOutcome RunOpen(CheckpointMode mode, std::uint64_t deadline_ns);
  // The same, without looking whether a failed sync may have lost frames, or whether the log is the
  // right one.
  CheckpointOutcome RunGuarded(CheckpointMode mode, std::uint64_t deadline_ns);

  // The read mark of the guard of a running checkpoint. From any thread.
  std::optional<int> guard_mark() const {
    const int mark = guard_mark_.load(std::memory_order_relaxed);
    return mark < 0 ? std::nullopt : std::optional(mark);
  }

 private:
  // Whether a running checkpoint must end: it was cancelled, or a thread waits to fork.
  bool MustEnd() const;
  static CheckpointOutcome RunOnHost(const HostConnection& host, CheckpointMode mode,
                                     const WalIndex& before);
  // What blocked a checkpoint, as a sentence; empty where only new commits did.
  std::string DescribeBlocker(CheckpointMode mode, int rc);
  // The frame of the oldest reader that blocks a checkpoint of this mode; nullopt where none does.
  std::optional<std::uint32_t> ReaderInTheWay(CheckpointMode mode);
  struct Step;
  Step RunStep(CheckpointMode mode, std::uint64_t deadline_ns);
  // The outcome of a checkpoint that was not done in time. `rc`: of its last step.
  CheckpointOutcome NotDone(CheckpointMode mode, const WalIndex& index, std::int64_t moved, int rc,
                            bool waited_for_readers);
  static int OnBusy(void* self, int times);

  const std::string shm_path_;
  const std::atomic<int>& callers_waiting_;
  CheckpointConnections& connections_;
  CopiedFrames& copied_frames_;
  // Relaxed: any thread asks it at any time, so a late answer is one that was right a moment ago.
  std::atomic<int> guard_mark_{-1};
  std::uint64_t busy_deadline_ns_ = 0;
};

}  // namespace walmanager
