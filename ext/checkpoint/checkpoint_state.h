// What the committing threads and the background thread of this process share to checkpoint one
// database: the parts, the mutex that serializes them, and the steps that both take.
//
// Lock order: a host's handle, `mutex`, the registry's engine_mutex (the background thread alone),
// those of ControlOwner and ControlInUse, then one of the mutexes of registry.h and control_file.h,
// of which no two are held together; never back. The commit path takes `mutex` only by try-lock: a
// commit that does not get it goes on.
// Thread rules: what is REQUIRES(mutex) or GUARDED_BY(mutex) below, and the parts that say of
// themselves that the caller serializes; the rest any thread.
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
  // `path` of the database file, and which file is meant.
  CheckpointState(const std::string& path, const FileId& id, const ControlInUse& control);
  CheckpointState(const CheckpointState&) = delete;
  CheckpointState& operator=(const CheckpointState&) = delete;

  const std::string wal_path;
  const ControlInUse& control;
  CheckpointWishes wishes;
  InlinePeriod inline_period;
  RetryDelay retry_delay;  // changed with the mutex held
  CommitGate gate;
  std::atomic<bool> stopping{false};  // the process's last connection is being closed

  Mutex mutex;
  // Calls of the user's that wait for the mutex: the background thread lets them go first.
  std::atomic<int> callers_waiting{0};
  OwnConnectionEntry own_entry;
  CheckpointConnections connections;
  CopiedFrames copied_frames;
  Checkpointer checkpointer;
  LogReaders readers;
  CheckpointRecords records;
  ReplicatorLooks replicator;
  StrategyInForce strategy;
  FactGatherer facts GUARDED_BY(mutex);
  RoomWatch room GUARDED_BY(mutex);
  LogShrinker shrinker GUARDED_BY(mutex);
  OldestReader oldest_reader GUARDED_BY(mutex);
  WalIndex last_index GUARDED_BY(mutex);          // written by RememberLog()
  std::int64_t wal_bytes GUARDED_BY(mutex) = 0;   // size of the -wal file at the last look
  bool commits_sync GUARDED_BY(mutex) = false;    // the host's last known synchronous: FULL, EXTRA
  bool left_to_commit GUARDED_BY(mutex) = false;  // what was copied last was not synced

  // --- any thread
  // The size of the -wal file, 0 where there is none; keeps the largest that was seen. nullopt:
  // unknown.
  std::optional<std::int64_t> MeasureWal() const;
  // The log as this process last saw it; nullopt where it has not, or a checkpoint runs just now.
  std::optional<WalIndex> LastLook();
  // Held read marks; nullopt where they cannot be known. Does not wait for a running checkpoint.
  // `host`, in WAL mode, in a call of the user's: where no connections of the checkpointer's are
  // open they are opened for the moment, since the lock table does not show readers of other PID
  // namespaces.
  std::optional<ReadMarks> FindReadMarks(const HostConnection* host);
  // Looks for a replicator in a call of the user's, since where no connection wants checkpoints no
  // other thread looks. `host` has the schema in WAL mode.
  void LookForReplicator(const HostConnection& host);
  // True while a thread holds the mutex for a look of microseconds.
  bool only_looks() const { return only_looks_.load(std::memory_order_relaxed); }
  // Empty where the last checkpoint was guarded or none ran yet, else why not.
  std::string UnguardedBecause() const;

  // --- steps of both
  void RememberLog(const WalIndex& index) REQUIRES(mutex);
  // Compiles the strategy if settings changed since.
  Status FollowSettings() REQUIRES(mutex);
  void PlanNextLook(const WalIndex& index, std::uint64_t now_ns) REQUIRES(mutex);
  void PlanNextLook(const WalIndex& index, std::uint64_t now_ns, std::span<const Rule> rules)
      REQUIRES(mutex);
  // Opens the checkpointer's connections in a host's commit or call, where they are not open.
  bool OpenFor(const HostConnection& host) REQUIRES(mutex);
  // Closes them where they have not been used for a second.
  void CloseIfIdle(std::uint64_t last_commit_ns, std::uint64_t now_ns) REQUIRES(mutex);
  ReplicatorWish replicator_wish() const REQUIRES(mutex) {
    return static_cast<ReplicatorWish>(strategy[Setting::kReplicator]);
  }
  // With the checkpointer's connections open, once per sample interval. Whether the checkpoints are
  // a replicator's.
  bool LookForReplicator(std::uint64_t now_ns, bool asked = false) REQUIRES(mutex);
  // Learns which reader is the oldest, and how long readers last.
  void WatchReaders(const WalIndex& index, std::uint64_t now_ns) REQUIRES(mutex);
  // Whether it is too early to copy, since commits sync by themselves (learned.h).
  bool IsEarly(const WalIndex& index, std::uint64_t now_ns) const REQUIRES(mutex);
  // After an attempt: sets when the next one may be. As RetryDelay::MovedNothing().
  bool DelayRetry(bool moved_nothing) REQUIRES(mutex);
  // Reports a checkpoint, and writes it to the checkpoint log where one ran.
  CheckpointReport Record(CheckpointMode mode, CheckpointOrigin origin, const std::string& rule,
                          const CheckpointOutcome& outcome, std::uint64_t start_ns,
                          std::uint64_t end_ns) REQUIRES(mutex);

 private:
  std::atomic<bool> only_looks_{false};
  mutable Mutex shown_mutex_;                      // held for a copy
  WalIndex shown_index_ GUARDED_BY(shown_mutex_);  // last_index for threads without the mutex
  std::string unguarded_because_ GUARDED_BY(shown_mutex_);
};

}  // namespace walmanager
