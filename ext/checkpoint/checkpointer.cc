#include "ext/checkpoint/checkpointer.h"

#include <unistd.h>

#include <algorithm>

#include "ext/engine/own_vfs.h"
#include "ext/system/clock.h"
#include "ext/system/read_marks.h"
#include "ext/system/registry.h"
#include "ext/system/size_signal.h"

namespace walmanager {
namespace {

constexpr int kTriesWithoutDeadline = 4;  // a torn header, a log completed by another checkpoint
constexpr useconds_t kPauseMicroseconds = 100;
constexpr char kInterrupted[] = "interrupted: the host needs the database for itself";

bool Blocking(CheckpointMode mode) { return mode != CheckpointMode::kPassive; }
bool StartsOver(CheckpointMode mode) {
  return mode == CheckpointMode::kRestart || mode == CheckpointMode::kTruncate;
}

CheckpointOutcome Complete(const WalIndex& index, std::int64_t moved) {
  CheckpointOutcome outcome;
  outcome.result = CheckpointResult::kComplete;
  outcome.wal_frames = index.max_frame;
  outcome.checkpointed_frames = index.backfill;
  outcome.moved_frames = moved;
  return outcome;
}

CheckpointOutcome Failed(const std::string& message) {
  CheckpointOutcome outcome;
  outcome.result = CheckpointResult::kFailed;
  outcome.message = message;
  return outcome;
}

CheckpointOutcome Busy(std::string message) {
  CheckpointOutcome outcome;
  outcome.result = CheckpointResult::kBusy;
  outcome.busy = true;
  outcome.message = std::move(message);
  return outcome;
}

}  // namespace

CheckpointOutcome Checkpointer::Run(const HostConnection& host, CheckpointMode mode,
                                    std::uint64_t deadline_ns, const WalIndex& before) {
  using Allowed = CheckpointConnections::Allowed;
  Allowed allowed = connections_.Permit(host);
  if (allowed == Allowed::kYes) allowed = connections_.Open();
  switch (allowed) {
    case Allowed::kYes: {
      connections_.FollowCloseBehaviour(CloseBehaviourOf(host.db, host.schema));
      CheckpointOutcome outcome = RunOpen(mode, deadline_ns);
      if (connections_.open() || host.own_only) return outcome;
      break;
    }
    case Allowed::kNotNow:
      // Something is in the way for a moment, which does not justify an unguarded checkpoint.
      return Busy(connections_.TakeUnguardedBecause());
    case Allowed::kNever:
      if (host.own_only) {
        CheckpointOutcome outcome;
        outcome.message = connections_.unguarded_because();
        return outcome;
      }
      break;
  }
  return RunOnHost(host, mode, before);
}

CheckpointOutcome Checkpointer::RunOpen(CheckpointMode mode, std::uint64_t deadline_ns) {
  connections_.MarkUsed();
  CheckpointOutcome outcome = copied_frames_.CopyAgainIfOwed() ? RunGuarded(mode, deadline_ns)
                                                               : Failed(copied_frames_.error());
  if (connections_.LogDiffers()) {
    // What was copied before is correct, and no other connection syncs it.
    copied_frames_.SyncDatabase();
    connections_.CloseSinceLogDiffers();
    outcome.result = CheckpointResult::kSkipped;
    outcome.message = connections_.unguarded_because();
  }
  return outcome;
}

CheckpointOutcome Checkpointer::RunOnHost(const HostConnection& host, CheckpointMode mode,
                                          const WalIndex& before) {
  int log = -1, moved = -1;
  const NoSizeSignal no_signal;
  const int rc =
      sqlite3_wal_checkpoint_v2(host.db, host.schema, static_cast<int>(mode), &log, &moved);
  CheckpointOutcome outcome;
  if (log >= 0) outcome.wal_frames = log;
  if (moved >= 0) outcome.checkpointed_frames = moved;
  outcome.busy = rc == SQLITE_BUSY;
  // After TRUNCATE the log is empty: what was pending has been moved.
  if (rc == SQLITE_OK && log == moved) {
    outcome.moved_frames = before.pending();
  } else if (moved >= 0) {
    outcome.moved_frames = std::max<std::int64_t>(0, std::int64_t{moved} - before.backfill);
  }
  if (rc == SQLITE_OK) {
    if (log < 0)
      outcome.message = "the database is not in WAL mode";
    else
      outcome.result = log == moved ? CheckpointResult::kComplete : CheckpointResult::kPartial;
  } else if (rc == SQLITE_BUSY || rc == SQLITE_LOCKED) {
    outcome.result = CheckpointResult::kBusy;
    outcome.message =
        rc == SQLITE_LOCKED ? "this connection has a statement open that reads the database" : "";
  } else {
    return Failed(EngineMessage(host.db));
  }
  return outcome;
}

bool Checkpointer::MustEnd() const {
  // Relaxed: asked again and again, so a fork that is seen late waits a moment longer.
  return connections_.cancelled() ||
         Registry::Get().forks_waiting.load(std::memory_order_relaxed) > 0;
}

// The busy handler of the connection that checkpoints: waits for readers and writers until the
// deadline, but never for its own guard.
int Checkpointer::OnBusy(void* self, int) {
  auto* checkpointer = static_cast<Checkpointer*>(self);
  if (checkpointer->MustEnd() || MonotonicNs() >= checkpointer->busy_deadline_ns_) return 0;
  const CheckpointConnections& connections = checkpointer->connections_;
  const OwnFile* file = OwnFileOf(connections.checkpoint());
  const OwnFile* guard = OwnFileOf(connections.guard());
  if (file->HoldsWriteLock()) {
    // No connection can commit now. If another one did before this one had the lock, the guard is
    // behind, and SQLite would wait for it: give up, and begin the guard's transaction again.
    const auto index = connections.Look();
    const auto mark = guard->ReadMark();
    if (index && mark && index->Snapshot(*mark) < index->max_frame) {
      return 0;
    }
  }
  usleep(kPauseMicroseconds);
  return 1;
}

std::optional<std::uint32_t> Checkpointer::ReaderInTheWay(CheckpointMode mode) {
  const auto held = connections_.TryReadMarks();
  const auto index = connections_.Look();
  if (!held || !index) return std::nullopt;
  // Where all frames are moved, the last step waits for every reader of the log, also for a reader
  // of the newest frame. A reader on mark 0 does not read the log.
  const bool starts_over = StartsOver(mode) && index->complete();
  std::optional<std::uint32_t> oldest;
  for (int mark = starts_over ? 1 : 0; mark < kReadMarks; ++mark) {
    const std::uint32_t frame = index->Snapshot(mark);
    if (!(*held)[static_cast<std::size_t>(mark)]) continue;
    if (starts_over || frame < index->max_frame) oldest = std::min(oldest.value_or(frame), frame);
  }
  return oldest;
}

std::string Checkpointer::DescribeBlocker(CheckpointMode mode, int rc) {
  auto reader = ReaderInTheWay(mode);
  if (reader) {
    // A commit holds a mark, too, for a moment.
    usleep(kPauseMicroseconds);
    const auto again = ReaderInTheWay(mode);
    if (again != reader) reader.reset();
  }
  const auto index = connections_.Look();
  if (rc == SQLITE_BUSY && Blocking(mode)) {
    const auto locks = reader ? ReadMarksOfLockTable(shm_path_) : std::nullopt;
    if (!reader || (locks && (locks->writer || locks->written_here))) {
      return "other connections wrote, or held the write lock";
    }
  }
  if (!reader || !index) return "";
  return "a reader holds frame " + std::to_string(*reader) + " of " +
         std::to_string(index->max_frame);
}

// One checkpoint under one guard.
struct Checkpointer::Step {
  int rc = SQLITE_OK;
  bool began = false;  // the guard was on the mark that the step needs
  bool nothing_to_move = false;
  std::int64_t moved = 0;
  bool started_over = false;
  std::string message;
};

Checkpointer::Step Checkpointer::RunStep(CheckpointMode mode, std::uint64_t deadline_ns) {
  // Whatever happens, the guard's read transaction ends with this step.
  const auto end = [this](sqlite3_stmt* stmt) {
    sqlite3_reset(stmt);
    guard_mark_.store(-1, std::memory_order_relaxed);
  };
  const std::unique_ptr<sqlite3_stmt, decltype(end)> end_of_guard(connections_.guard_read(), end);
  Step step;
  const int guard_rc = sqlite3_step(connections_.guard_read());
  if (guard_rc != SQLITE_ROW) {
    step.rc = sqlite3_reset(connections_.guard_read());
    if (step.rc == SQLITE_OK) step.rc = SQLITE_ERROR;
    step.message = EngineMessage(connections_.guard());
    return step;
  }
  const auto mark = OwnFileOf(connections_.guard())->ReadMark();
  guard_mark_.store(mark.value_or(-1), std::memory_order_relaxed);
  const auto before = connections_.Look();
  if (mark && before) {
    CheckpointMode now = mode;
    if (before->complete()) {
      // All frames are moved. RESTART and TRUNCATE have their last step to do, from mark 0.
      step.nothing_to_move = !StartsOver(mode);
      step.began = StartsOver(mode) && *mark == 0;
    } else {
      // On mark 0 with frames pending: a commit came after the guard began. Begin it again.
      step.began = *mark > 0;
      if (StartsOver(mode)) now = CheckpointMode::kFull;
    }
    if (step.began) {
      OwnFileOf(connections_.checkpoint())->may_write_lock = Blocking(now);
      busy_deadline_ns_ = deadline_ns;
      sqlite3_busy_handler(connections_.checkpoint(), OnBusy, this);
      int log = 0, moved = 0;
      const NoSizeSignal no_signal;
      const CheckpointConnections::Interruptible interruptible(connections_);
      step.rc = connections_.cancelled()
                    ? SQLITE_INTERRUPT
                    : sqlite3_wal_checkpoint_v2(connections_.checkpoint(), "main",
                                                static_cast<int>(now), &log, &moved);
      OwnFileOf(connections_.checkpoint())->may_write_lock = false;
      if (step.rc != SQLITE_OK) step.message = EngineMessage(connections_.checkpoint());
      step.started_over = step.rc == SQLITE_OK && StartsOver(now);
      const auto after = connections_.Look();
      if (!step.started_over && after && after->salt1 == before->salt1) {
        step.moved = std::int64_t{after->backfill} - before->backfill;
      }
    }
  }
  return step;
}

CheckpointOutcome Checkpointer::RunGuarded(CheckpointMode mode, std::uint64_t deadline_ns) {
  std::int64_t moved = 0;
  std::uint64_t copying_ns = 0;
  const bool waits_for_readers = !Blocking(mode) && MonotonicNs() < deadline_ns;
  if (connections_.cancelled()) return Busy(kInterrupted);
  for (int tries = 1;; ++tries) {
    const std::uint64_t began_ns = MonotonicNs();
    const Step step = RunStep(mode, deadline_ns);
    moved += step.moved;
    if (step.moved > 0) copying_ns += MonotonicNs() - began_ns;
    const int last_rc = step.rc & 0xff;
    const auto index = connections_.Look();
    if (!index) return Busy("other connections write too fast to read the wal-index");
    if (last_rc != SQLITE_OK && last_rc != SQLITE_BUSY && last_rc != SQLITE_INTERRUPT)
      return Failed(step.message);
    const bool done = StartsOver(mode) ? step.started_over : index->complete();
    const bool is_awaited = waits_for_readers && callers_waiting_ > 0;
    const bool in_time = !MustEnd() && !is_awaited && MonotonicNs() < deadline_ns;
    const bool pinned = done && waits_for_readers && connections_.IsPinned();
    if (done && (!pinned || !in_time)) {
      CheckpointOutcome outcome = Complete(*index, moved);
      outcome.pinned = pinned;
      outcome.copying_ns = copying_ns;
      if (mode == CheckpointMode::kTruncate) outcome.wal_frames = outcome.checkpointed_frames = 0;
      if (step.nothing_to_move && tries == 1) {
        outcome.result = CheckpointResult::kSkipped;
        outcome.message = "nothing to move";
      }
      return outcome;
    }
    // All frames are moved, so RESTART and TRUNCATE go on to their last step at once.
    const bool last_step_due = StartsOver(mode) && index->complete() && last_rc == SQLITE_OK;
    // Past the deadline, try again only where the attempt did not take place.
    const bool tried = step.began && last_rc == SQLITE_OK && !last_step_due;
    if (!in_time && (tried || connections_.cancelled() || tries >= kTriesWithoutDeadline)) {
      CheckpointOutcome outcome = NotDone(mode, *index, moved, last_rc, waits_for_readers);
      outcome.copying_ns = copying_ns;
      return outcome;
    }
    if (!last_step_due) usleep(kPauseMicroseconds);
  }
}

CheckpointOutcome Checkpointer::NotDone(CheckpointMode mode, const WalIndex& index,
                                        std::int64_t moved, int rc, bool waited_for_readers) {
  CheckpointOutcome outcome;
  outcome.pinned = waited_for_readers;
  outcome.wal_frames = index.max_frame;
  outcome.checkpointed_frames = index.backfill;
  outcome.moved_frames = moved;
  const bool busy = rc == SQLITE_BUSY;
  outcome.result =
      busy && (Blocking(mode) || moved == 0) ? CheckpointResult::kBusy : CheckpointResult::kPartial;
  // A mode that waits for readers has waited in vain.
  outcome.busy = busy || Blocking(mode);
  if (connections_.cancelled()) outcome.message = kInterrupted;
  if (outcome.message.empty()) {
    outcome.message = DescribeBlocker(mode, rc);
    outcome.commits_went_on = outcome.message.empty();
    if (outcome.commits_went_on) outcome.message = "commits went on";
  }
  return outcome;
}

}  // namespace walmanager
