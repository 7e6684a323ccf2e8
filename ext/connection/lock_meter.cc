#include "ext/connection/lock_meter.h"

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "ext/connection/statement_meter.h"
#include "ext/core/base/value.h"
#include "ext/core/control/connection_entry.h"
#include "ext/core/control/shared_words.h"
#include "ext/engine/sqlite.h"
#include "ext/system/clock.h"
#include "ext/system/read_marks.h"

namespace walmanager {
namespace {

// A holder that shows itself is found at the first look, but for one that has just got the lock.
constexpr int kLooks = 3;
// A wait that has lasted so long may ask the system's lock table, which takes 7 to 15 ms: one that
// ends at once must not get longer. While the system reads the table out, no process of the machine
// gets a lock. So all connections of the process together ask at most so often, and for a hundredth
// of the time.
constexpr std::uint64_t kTableAfterNs = 100'000'000, kTableEveryNs = 100'000'000;
// Of a wait that goes on.
constexpr std::uint64_t kLookAgainNs = 200'000'000, kTableAgainNs = 800'000'000;
constexpr std::uint64_t kTableShare = 100;
std::atomic<std::uint64_t> next_table_look_ns{0};

struct Bytes {
  bool of_database;  // else of the -shm file
  std::int64_t first, last;
  bool alone;
};

// Where the lock stands in the lock table: os_unix.c, PENDING_BYTE and UNIX_SHM_BASE.
Bytes BytesOf(LockKind lock) {
  constexpr std::int64_t kPending = 0x40000000, kReserved = kPending + 1, kShared = kPending + 2,
                         kSharedEnd = kShared + 509;
  constexpr std::int64_t kRecover = kShmLockBase + 2;
  switch (lock) {
    case LockKind::kWrite:
      return {false, kShmLockBase + kWriteLock, kShmLockBase + kWriteLock, true};
    case LockKind::kCheckpoint:
      return {false, kShmLockBase + kCheckpointLock, kShmLockBase + kCheckpointLock, true};
    case LockKind::kRecovery:
      return {false, kRecover, kRecover, true};
    case LockKind::kShared:
      return {true, kPending, kSharedEnd, true};
    case LockKind::kReserved:
      return {true, kReserved, kReserved, true};
    default:
      return {true, kShared, kSharedEnd, false};
  }
}

}  // namespace

LockCounts LockMeter::TakeCounts() { return std::exchange(counts_, {}); }

// Without statement_metrics the next statement ends the wait.
bool LockMeter::misses_end() const { return meter_.bound() && meter_.active() == 0; }

std::uint64_t LockMeter::QueryId() const { return meter_.NewestRunning(); }

void LockMeter::MakeQueryEntry(ControlFile& control, sqlite3_stmt* ends) {
  meter_.MakeEntryIn(control.space(), ends);
}

layout::ConnectionInfo* LockWatch::info() const {
  return control_ && slab_ < layout::kConnections ? &control_->region().slab(slab_).info : nullptr;
}

void LockWatch::Begin(sqlite3* db, const char* schema, const char* database_path,
                      LockMeter& meter) {
  meter_ = &meter;
  database_path_ = database_path;
  if (file_.Get()) return;
  waiting_.reset();
  file_ = WatchedFile::Watch(db, schema, this);
  SetPlace(control_, slab_, connection_id_);
}

void LockWatch::SetPlace(ControlFile* control, std::size_t slab, std::uint64_t connection_id) {
  if (layout::ConnectionInfo* before = info()) Put(before->waiting, 0);
  control_ = control;
  slab_ = slab;
  connection_id_ = connection_id;
  if (WatchedFile* file = file_.Get()) {
    WatchedFile::Place place;
    if (info()) {
      layout::ConnectionSlab& own = control_->region().slab(slab_);
      place = {&own.info.locks, &own.committed};
    }
    file->set_shown(place, connection_id);
    file->set_io(control_ ? IoPlace(control_->space(), slab_) : IoPlace());
  }
}

void LockWatch::Refused(LockKind lock) {
  AtCEdge([&] {
    const std::uint64_t now = QuickMonotonicNs();
    if (Wait(lock, now)) LookForHolder(now);
    return SQLITE_OK;
  });
}

bool LockWatch::Wait(LockKind lock, std::uint64_t now_ns) {
  if (waiting_) {
    waiting_->last_try_ns = now_ns;
    return true;
  }
  // The wait would last until the next statement that gets the lock, hours later.
  if (meter_->misses_end()) return false;
  meter_->NoteRefusal();
  waiting_ = Waiting{.lock = lock, .start_ns = now_ns, .last_try_ns = now_ns, .holder = {}};
  waiting_->had_read = HadRead();
  if (control_) LockWaits(control_->space()).Make();
  if (layout::ConnectionInfo* shown = info()) {
    Put(shown->waiting_since_ns, now_ns);
    Put(shown->blocked_by, 0);
    Put(shown->blocked_by_pid, 0);
    // Release: a process that sees it finds the words above.
    shown->waiting.store(WaitingWord(connection_id_, lock), std::memory_order_release);
  }
  return true;
}

bool LockWatch::HadRead() const {
  constexpr std::uint64_t kHasRead =
      kExplicitTransaction | static_cast<std::uint64_t>(TransactionState::kRead);
  // As it was when the statement before this one ended.
  const layout::ConnectionInfo* shown = info();
  return shown && Get(shown->transaction) == kHasRead;
}

void LockWatch::LookForHolder(std::uint64_t now_ns) {
  if (!control_ || now_ns < waiting_->next_look_ns) return;
  for (int i = 0; i < kLooks; ++i) {
    const auto holder = control_->slabs().FindLockHolder(waiting_->lock, connection_id_);
    if (!holder) continue;
    waiting_->next_look_ns = now_ns + kLookAgainNs;
    return TakeHolder(*holder);
  }
  if (now_ns >= waiting_->start_ns + kTableAfterNs) LookInLockTable(now_ns);
}

void LockWatch::LookInLockTable(std::uint64_t now_ns) {
  const std::uint64_t now = MonotonicNs();
  // Relaxed: the exchange decides which thread looks.
  std::uint64_t next = next_table_look_ns.load(std::memory_order_relaxed);
  if (now_ns < waiting_->next_table_look_ns || now < next ||
      !next_table_look_ns.compare_exchange_strong(next, now + kTableEveryNs)) {
    return;
  }
  waiting_->next_table_look_ns = now_ns + kTableAgainNs;
  const Bytes bytes = BytesOf(waiting_->lock);
  std::string path(database_path_);
  if (!bytes.of_database) path += "-shm";
  const auto pid = HolderOfBytes(path, bytes.first, bytes.last, bytes.alone);
  const std::uint64_t end = MonotonicNs();
  next_table_look_ns = end + std::max(kTableEveryNs, kTableShare * (end - now));
  if (!pid) return;
  LockHolder holder;
  holder.pid = *pid;
  // A process that has connections with walmanager may have others beside them.
  const auto connections = control_ ? control_->Connections() : std::vector<ConnectionEntry>();
  const bool is_managed = std::any_of(connections.begin(), connections.end(),
                                      [&](const ConnectionEntry& each) { return each.pid == pid; });
  // Without a control file that processes share, none shows its connections to another.
  if (control_->shared() && !is_managed) holder.state = HolderState::kUnmanaged;
  TakeHolder(holder);
}

void LockWatch::TakeHolder(const LockHolder& holder) {
  if (!waiting_->holder) waiting_->holder = holder;
  layout::ConnectionInfo* shown = info();
  if (!shown) return;
  Put(shown->blocked_by, holder.connection_id);
  Put(shown->blocked_by_pid, static_cast<std::uint64_t>(holder.pid));
}

void LockWatch::Granted() {
  AtCEdge([&] {
    // The lock is had by now, and others may wait for it. The rest comes when the statement ends.
    lacks_entry_ = true;
    Finish(LockOutcome::kAcquired, QuickMonotonicNs());
    return SQLITE_OK;
  });
}

void LockWatch::Conflicts(std::uint64_t newest) {
  AtCEdge([&] {
    // This connection has the lock, and others may wait for it: nothing else is looked for.
    if (Wait(LockKind::kWrite, QuickMonotonicNs()) && control_) {
      waiting_->holder = control_->slabs().FindCommitter(newest);
    }
    return SQLITE_OK;
  });
}

void LockWatch::StatementEnds(sqlite3_stmt* stmt, StatementKind kind, std::uint64_t now_ns) {
  WatchedFile* file = file_.Get();
  if (!file) return Forget();
  if (std::exchange(lacks_entry_, false) && control_) meter_->MakeQueryEntry(*control_, stmt);
  const bool conflict = file->is_conflict();
  // PRAGMA wal_checkpoint returns busy=1 then. A COMMIT that fails leaves its transaction open.
  const bool goes_on = kind == StatementKind::kCheckpoints ||
                       (file->may_do_without() && kind != StatementKind::kEndsTransaction);
  if (file->SettleAtEnd() || !waiting_) return;
  // Outside of a statement it may be SQLite's own autocheckpoint, which just does nothing then.
  if (now_ns == 0 && waiting_->lock == LockKind::kCheckpoint) return Forget();
  if (!waiting_->holder && !conflict &&
      std::max(now_ns, waiting_->last_try_ns) >= waiting_->start_ns + kTableAfterNs) {
    LookInLockTable(std::max(now_ns, waiting_->last_try_ns));
  }
  if (control_) meter_->MakeQueryEntry(*control_, stmt);
  Finish(conflict  ? LockOutcome::kSnapshot
         : goes_on ? LockOutcome::kGivenUp
                   : LockOutcome::kBusy,
         now_ns != 0 ? now_ns : waiting_->last_try_ns);
}

void LockWatch::Forget() {
  waiting_.reset();
  if (layout::ConnectionInfo* shown = info()) Put(shown->waiting, 0);
}

void LockWatch::Finish(LockOutcome outcome, std::uint64_t end_ns) {
  if (!waiting_) return;
  const Waiting waiting = *waiting_;
  Forget();
  LockWait wait;
  wait.at_ms = UnixMs();
  wait.pid = ThisProcess().pid;
  wait.pid_namespace = ThisProcess().pid_namespace;
  wait.connection_id = connection_id_;
  wait.query_id = meter_->QueryId();
  wait.lock = waiting.lock;
  wait.outcome = outcome;
  // The quick clock may run backwards by microseconds.
  wait.waited_ns = end_ns > waiting.start_ns ? end_ns - waiting.start_ns : 0;
  wait.had_read = waiting.had_read;
  wait.application = meter_->application;
  if (const layout::ConnectionInfo* shown = info()) {
    wait.process = WithoutControlCharacters(GetText(shown->process));
  }
  if (waiting.holder) wait.holder = *waiting.holder;
  const std::uint64_t began = wait.holder.transaction_ns;
  wait.holder.transaction_ns = began != 0 && end_ns > began ? end_ns - began : 0;
  meter_->Count(CountsOf(wait));
  if (!control_) return;
  LockWaits waits(control_->space());
  const bool is_error = outcome == LockOutcome::kBusy || outcome == LockOutcome::kSnapshot;
  const bool listed = is_error || wait.waited_ns >= meter_->listed_ns();
  if (waits.Make()) waits.Add(wait, listed);
}

}  // namespace walmanager
