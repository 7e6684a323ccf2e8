// What the committing threads and the background thread of this process share to checkpoint one
// database: the parts, the mutex that serializes them, and the steps that both take.
//
// Lock order: a host's handle, `mutex`, the registry's engine_mutex (only the background thread),
// those of ControlOwner and ControlInUse, then one of the mutexes of registry.h and control_file.h,
// of which no two are held together. A thread that holds one of these waits only for those after
// it. The commit path takes `mutex` only by try-lock: a commit that does not get it goes on.
// Thread rules: what is REQUIRES(mutex) or GUARDED_BY(mutex) below needs the mutex. So do
// `connections`, `checkpointer`, `readers` and `retry_delay`, except for the functions that their
// headers name: Clang cannot tell these functions from the others, so the parts are not annotated.
// Any thread may use the rest.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "ext/checkpoint/checkpoint_connections.h"
#include "ext/checkpoint/checkpoint_records.h"
#include "ext/checkpoint/checkpoint_report.h"
#include "ext/checkpoint/checkpoint_wishes.h"
#include "ext/checkpoint/checkpointer.h"
#include "ext/checkpoint/commit_gate.h"
#include "ext/checkpoint/copied_frames.h"
#include "ext/checkpoint/fact_gatherer.h"
#include "ext/checkpoint/host_connection.h"
#include "ext/checkpoint/log_readers.h"
#include "ext/checkpoint/log_shrinker.h"
#include "ext/checkpoint/own_connection_entry.h"
#include "ext/checkpoint/replicator_looks.h"
#include "ext/checkpoint/room_watch.h"
#include "ext/checkpoint/strategy_in_force.h"
#include "ext/core/base/mutex.h"
#include "ext/core/policy/inline_period.h"
#include "ext/core/policy/learned.h"
#include "ext/core/policy/oldest_reader.h"
#include "ext/core/policy/retry_delay.h"
#include "ext/system/control_in_use.h"

namespace walmanager {

class CheckpointState {
 public:
  // `path` of the database file, and the file that is meant.
  CheckpointState(const std::string& path, const FileId& id, const ControlInUse& control);
  CheckpointState(const CheckpointState&) = delete;
  CheckpointState& operator=(const CheckpointState&) = delete;

  const std::string wal_path;
  const ControlInUse& control;
  CheckpointWishes wishes;
  InlinePeriod inline_period;
  RetryDelay retry_delay;  // changed with the mutex held, asked by any thread
  CommitGate gate;
  // The process's last connection is being closed. Where it is read relaxed, a late answer is one
  // look more: the close waits for the tasks, which have a mutex (Task::Stop()).
  std::atomic<bool> stopping{false};

  Mutex mutex;
  // How many calls of the user wait for the mutex: the background thread lets them go first.
  std::atomic<int> callers_waiting{0};
  OwnConnectionEntry own_entry GUARDED_BY(mutex);
  CheckpointConnections connections;
  CopiedFrames copied_frames GUARDED_BY(mutex);
  Checkpointer checkpointer;
  LogReaders readers;
  CheckpointRecords records;
  ReplicatorLooks replicator GUARDED_BY(mutex);
  StrategyInForce strategy GUARDED_BY(mutex);
  FactGatherer facts GUARDED_BY(mutex);
  RoomWatch room GUARDED_BY(mutex);
  LogShrinker shrinker GUARDED_BY(mutex);
  OldestReader oldest_reader GUARDED_BY(mutex);
  // Whether it was there at the last look: then a commit does not wait for the thread, which cannot
  // move the frames that the reader needs.
  std::atomic<bool> readers_seen{false};
  WalIndex last_index GUARDED_BY(mutex);         // written by RememberLog()
  std::int64_t wal_bytes GUARDED_BY(mutex) = 0;  // size of the -wal file at the last look
  bool commits_sync GUARDED_BY(mutex) = false;   // the host's last known synchronous: FULL, EXTRA
  std::atomic<bool> commits_copy{false};         // no thread may copy, at the last attempt

  // --- any thread
  // The size of the -wal file in bytes, 0 where there is none; nullopt where it is unknown. Keeps
  // the largest size that was seen.
  std::optional<std::int64_t> MeasureWal() const;
  // The log as this process last saw it; nullopt where it has not seen it, or a checkpoint runs
  // now.
  std::optional<WalIndex> LastLook();
  // The read marks that are held; nullopt where they cannot be known. With `host`, in WAL mode and
  // in a call of the user, it opens the checkpointer's connections for a moment where they are not
  // open, since the lock table does not show readers of other PID namespaces. With `host`, or where
  // there is no lock table, it waits for a running checkpoint, for at most `wait_ns`. After that it
  // returns what the table shows.
  std::optional<ReadMarks> FindReadMarks(const HostConnection* host, std::uint64_t wait_ns);
  // Looks for a replicator in a call of the user: where no connection wants checkpoints, no other
  // thread looks. `host` has the schema in WAL mode.
  void LookForReplicator(const HostConnection& host);
  // True while a thread holds the mutex for a look of microseconds.
  bool only_looks() const { return only_looks_.load(std::memory_order_relaxed); }
  // Empty where the last checkpoint was guarded or none has run, else why it was not.
  std::string UnguardedBecause() const;
  // These two do not need the mutex (replicator_looks.h, strategy_in_force.h).
  bool replicator_is_there() const NO_THREAD_SAFETY_ANALYSIS { return replicator.is_there(); }
  std::string StrategyError() const NO_THREAD_SAFETY_ANALYSIS { return strategy.error(); }

  // --- steps of both
  void RememberLog(const WalIndex& index) REQUIRES(mutex);
  // Compiles the strategy where settings have changed.
  Status FollowSettings() REQUIRES(mutex);
  // The fact: Learned::DueFrames(); where commits copy, as if nothing was known.
  std::int64_t DueFrames(const WalIndex& index) const REQUIRES(mutex);
  void PlanNextLook(const WalIndex& index, std::uint64_t now_ns) REQUIRES(mutex);
  void PlanNextLook(const WalIndex& index, std::uint64_t now_ns, std::span<const Rule> rules)
      REQUIRES(mutex);
  // Opens the checkpointer's connections in a host's commit or call, where they are not open.
  bool OpenFor(const HostConnection& host) REQUIRES(mutex);
  // Closes them where they were not used for a second.
  void CloseIfIdle(std::uint64_t last_commit_ns, std::uint64_t now_ns) REQUIRES(mutex);
  ReplicatorWish replicator_wish() const REQUIRES(mutex) {
    return static_cast<ReplicatorWish>(strategy[Setting::kReplicator]);
  }
  // Looks once per sample interval, with the checkpointer's connections open. Whether a replicator
  // runs the checkpoints.
  bool LookForReplicator(std::uint64_t now_ns, bool asked = false) REQUIRES(mutex);
  // Learns which reader is the oldest, and how long readers stay.
  void WatchReaders(const WalIndex& index, std::uint64_t now_ns) REQUIRES(mutex);
  // Whether it is too early to copy, since commits sync the log themselves.
  bool IsEarly(const WalIndex& index, std::uint64_t now_ns) const REQUIRES(mutex);
  // After an attempt: sets when the next one may be. Returns what RetryDelay::MovedNothing() does.
  bool DelayRetry(bool moved_nothing) REQUIRES(mutex);
  // Reports a checkpoint, and writes it to the checkpoint log where one ran.
  CheckpointReport Record(CheckpointMode mode, CheckpointOrigin origin, const std::string& rule,
                          const CheckpointOutcome& outcome, std::uint64_t start_ns,
                          std::uint64_t end_ns) REQUIRES(mutex);

 private:
  // Takes the mutex to try the read marks. The background thread lets a call that waits go first.
  bool LockToTry(std::uint64_t wait_ns) TRY_ACQUIRE(true, mutex);

  std::atomic<bool> only_looks_{false};  // relaxed: a hint to those that wait for the mutex
  mutable Mutex shown_mutex_;            // held for a copy
  WalIndex shown_index_ GUARDED_BY(shown_mutex_);  // last_index for threads without the mutex
  std::string unguarded_because_ GUARDED_BY(shown_mutex_);
};

}  // namespace walmanager
