#include "ext/checkpoint/checkpoint_state.h"

#include <errno.h>

#include <algorithm>

#include "ext/core/base/time_units.h"
#include "ext/core/control/shared_words.h"
#include "ext/core/policy/look_plan.h"
#include "ext/system/clock.h"
#include "ext/system/file_system.h"
#include "ext/system/lock_within.h"

namespace walmanager {
namespace {

// Sets a flag while it is in scope.
class FlagWhileInScope {
 public:
  explicit FlagWhileInScope(std::atomic<bool>& flag) : flag_(flag) {
    flag_.store(true, std::memory_order_relaxed);
  }
  ~FlagWhileInScope() { flag_.store(false, std::memory_order_relaxed); }
  FlagWhileInScope(const FlagWhileInScope&) = delete;
  FlagWhileInScope& operator=(const FlagWhileInScope&) = delete;

 private:
  std::atomic<bool>& flag_;
};

}  // namespace

CheckpointState::CheckpointState(const std::string& path, const FileId& id,
                                 const ControlInUse& the_control)
    : wal_path(path + "-wal"),
      control(the_control),
      own_entry(path, control),
      connections(
          path, id,
          [this](bool open) {
            mutex.AssertHeld();  // or the database closes, and no other thread is left
            open ? own_entry.Show(OwnFileOf(connections.checkpoint())) : own_entry.Hide();
          },
          &control),
      copied_frames(connections),
      checkpointer(path, callers_waiting, connections, copied_frames),
      readers(path, connections, checkpointer, control),
      records(control, readers),
      replicator(connections, readers, control),
      strategy(control),
      facts(control, strategy, readers),
      room(path, control, inline_period),
      shrinker(path, connections, copied_frames, checkpointer, readers) {}

std::optional<std::int64_t> CheckpointState::MeasureWal() const {
  const auto bytes = FileBytes(wal_path);
  if (!bytes) return errno == ENOENT ? std::optional<std::int64_t>(0) : std::nullopt;
  control.Get()->region().RaiseWalBytesMax(static_cast<std::uint64_t>(*bytes));
  return bytes;
}

std::optional<WalIndex> CheckpointState::LastLook() {
  if (connections.open()) {
    const FlagWhileInScope looks(only_looks_);
    if (!mutex.try_lock()) return std::nullopt;
    const MutexLock lock(mutex, std::adopt_lock);
    if (const auto index = connections.open() ? connections.Look() : std::nullopt) return index;
  }
  // Without the mutex, so that a commit can look at this moment.
  const MutexLock lock(shown_mutex_);
  return shown_index_.page_size != 0 ? std::optional(shown_index_) : std::nullopt;
}

void CheckpointState::RememberLog(const WalIndex& index) {
  last_index = index;
  // A commit does not wait for a thread that reads it: the next commit shows its log.
  if (!shown_mutex_.try_lock()) return;
  const MutexLock lock(shown_mutex_, std::adopt_lock);
  shown_index_ = index;
}

bool CheckpointState::LockToTry(std::uint64_t wait_ns) {
  if (mutex.try_lock()) return true;
  if (wait_ns == 0) return false;
  ++callers_waiting;
  const bool locked = LockWithin(mutex, wait_ns);
  --callers_waiting;
  return locked;
}

std::optional<ReadMarks> CheckpointState::FindReadMarks(const HostConnection* host,
                                                        std::uint64_t wait_ns) {
  // The table is read before the mutex is taken, since commits that find the mutex taken go on
  // without looking at the log.
  auto marks = readers.FromLockTable();
  if (!host && !connections.open()) return marks;
  // Where the table shows all readers, a running checkpoint is not waited for.
  const bool table_lacks_some = host || !marks;
  if (LockToTry(table_lacks_some ? wait_ns : 0)) {
    const MutexLock lock(mutex, std::adopt_lock);
    if (connections.open()) {
      const FlagWhileInScope looks(only_looks_);
      readers.AddTriedMarks(marks);
    } else if (host) {
      if (OpenFor(*host)) readers.AddTriedMarks(marks);
      connections.Close();
    }
    return marks;
  }
  // A checkpoint runs, and its guard reads, which does not pin the log. The table has one entry for
  // all connections of a process on a mark.
  const auto guard = checkpointer.guard_mark();
  if (marks && guard && !marks->held_by_others[static_cast<std::size_t>(*guard)]) {
    marks->held[static_cast<std::size_t>(*guard)] = false;
  }
  return marks;
}

void CheckpointState::LookForReplicator(const HostConnection& host) {
  if (!mutex.try_lock()) return;
  const MutexLock lock(mutex, std::adopt_lock);
  if (!FollowSettings().ok()) return;
  const std::uint64_t now = MonotonicNs();
  if (!replicator.IsDue(now)) return;
  const bool was_open = connections.open();
  if (OpenFor(host)) (void)LookForReplicator(now, /*asked=*/true);
  if (!was_open) connections.Close();
}

std::string CheckpointState::UnguardedBecause() const {
  const MutexLock lock(shown_mutex_);
  return unguarded_because_;
}

Status CheckpointState::FollowSettings() {
  room.Look(strategy.values(), last_index.page_size, wal_bytes, MonotonicNs());
  const auto compiled = strategy.Follow(room.most_wal_bytes());
  if (!compiled.ok()) return compiled.error();
  if (compiled.value()) {
    retry_delay.Reset();
    replicator.LookAtOnce();
  }
  return Ok{};
}

std::int64_t CheckpointState::DueFrames(const WalIndex& index) const {
  // Where commits sync, one to a log that grows takes twice as long as one to a log that is written
  // again.
  const bool early = commits_copy || commits_sync || inline_period.LastsAt(MonotonicNs());
  const Learned learned = early ? Learned() : control.Get()->region().learned();
  return learned.DueFrames(strategy.values(), index);
}

void CheckpointState::PlanNextLook(const WalIndex& index, std::uint64_t now_ns) {
  PlanNextLook(index, now_ns, strategy.rules());
}

void CheckpointState::PlanNextLook(const WalIndex& index, std::uint64_t now_ns,
                                   std::span<const Rule> rules) {
  const auto current = control.Get();
  const std::uint64_t brake_frame = Get(current->region().engine().brake_frame);
  gate.Plan(PlanLook(index, strategy.values(), rules, brake_frame, DueFrames(index)), index,
            strategy.generation(),
            static_cast<std::uint64_t>(strategy[Setting::kSampleIntervalMs]) * kMs, now_ns);
}

bool CheckpointState::OpenFor(const HostConnection& host) {
  return host.traced && connections.Permit(host) == CheckpointConnections::Allowed::kYes &&
         connections.Open() == CheckpointConnections::Allowed::kYes;
}

void CheckpointState::CloseIfIdle(std::uint64_t last_commit_ns, std::uint64_t now_ns) {
  constexpr std::uint64_t kIdleNs = 1'000 * kMs;
  // While a sync is owed, a lock of these connections keeps the log.
  if (connections.open() && !copied_frames.owes_sync() &&
      now_ns > std::max(connections.last_used_ns(), last_commit_ns) + kIdleNs) {
    connections.Close();
  }
}

bool CheckpointState::LookForReplicator(std::uint64_t now_ns, bool asked) {
  return replicator.Look(replicator_wish(), strategy[Setting::kWalLimitBytes], now_ns,
                         gate.sample_interval_ns(), asked);
}

void CheckpointState::WatchReaders(const WalIndex& index, std::uint64_t now_ns) {
  const auto held = connections.TryReadMarks();
  if (!held) return;
  const auto lasted = oldest_reader.See(*held, index, now_ns);
  readers_seen = oldest_reader.frame().has_value();
  if (!lasted) return;
  const auto current = control.Get();
  Learned learned = current->region().learned();
  learned.ReaderLeft(*lasted);
  current->region().SetLearned(learned);
}

bool CheckpointState::IsEarly(const WalIndex& index, std::uint64_t now_ns) const {
  if (!commits_sync || room.is_short()) return false;
  const auto current = control.Get();
  const auto interval = static_cast<std::uint64_t>(strategy[Setting::kCheckpointIntervalMs]) * kMs;
  return index.max_frame < SyncedDueFrames(strategy.values(), index.page_size) &&
         now_ns < Get(current->region().header().last_checkpoint_ns) + interval;
}

bool CheckpointState::DelayRetry(bool moved_nothing) {
  if (moved_nothing) return retry_delay.MovedNothing(MonotonicNs());
  retry_delay.Reset();
  return false;
}

CheckpointReport CheckpointState::Record(CheckpointMode mode, CheckpointOrigin origin,
                                         const std::string& rule, const CheckpointOutcome& outcome,
                                         std::uint64_t start_ns, std::uint64_t end_ns) {
  {
    const MutexLock lock(shown_mutex_);
    unguarded_because_ = connections.unguarded_because();
  }
  CheckpointReport report;
  report.result = outcome.result;
  report.busy = outcome.busy;
  report.pinned = outcome.pinned;
  report.wal_frames = outcome.wal_frames;
  report.checkpointed_frames = outcome.checkpointed_frames;
  report.moved_frames = outcome.moved_frames;
  report.wal_bytes = MeasureWal();
  if (report.wal_bytes) wal_bytes = *report.wal_bytes;
  report.duration_ns = end_ns - start_ns;
  report.copying_ns = outcome.copying_ns;
  report.message = outcome.message;
  if (outcome.result == CheckpointResult::kSkipped) return report;
  report.mode = mode;
  CheckpointEntry entry;
  entry.mode = mode;
  entry.origin = origin;
  entry.wal_bytes = report.wal_bytes;
  entry.rule = rule;
  report.blocked_by_pid =
      records.Write(std::move(entry), outcome, connections.Look(), start_ns, end_ns);
  return report;
}

}  // namespace walmanager
