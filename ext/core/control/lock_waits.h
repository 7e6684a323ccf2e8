// Waits for SQLite's locks in the memory of a control file: written by the connection that waited,
// read by wal_lock_waits, wal_metrics and query_performance. The layout is in layout_lock_waits.h.
//
// The protocol is that of control_region.h. A connection that waits is slow already, so all
// connections add to the same counters (read-modify-write). The section is made when a wait begins;
// where it cannot be made, the wait is not counted.
// - The counters of a statement belong to its place in QueryTable and carry its id. A connection
//   that finds another id there moves what it finds to `evicted`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ext/core/control/control_layout.h"
#include "ext/core/control/control_space.h"
#include "ext/core/control/held_locks.h"

namespace walmanager {

enum class LockOutcome : std::uint8_t {
  kAcquired,
  kBusy,      // the statement failed
  kSnapshot,  // the statement failed: another connection had committed since its snapshot
  kGivenUp,   // the statement went on without the lock
};
const char* LockOutcomeName(LockOutcome outcome);
enum class HolderState : std::uint8_t {
  kUnknown,
  kRunningStatement,
  kIdleInTransaction,
  kCheckpoint,
  kRecovery,
  kUnmanaged
};
const char* HolderStateName(HolderState state);  // nullptr: unknown

// The connection or process that holds a lock. 0, empty: unknown.
struct LockHolder {
  HolderState state = HolderState::kUnknown;
  std::int64_t pid = 0;  // as the waiting process's PID namespace numbers it
  std::uint64_t connection_id = 0;
  std::uint64_t query_id = 0;
  std::uint64_t transaction_ns = 0;  // CLOCK_MONOTONIC, its start; of LockWait: how long it lasted
  std::string application, process;
};

// A connection that holds `held` and so excludes others from `lock`, as its slab shows it.
LockHolder ReadLockHolder(const layout::ConnectionInfo& info, const HeldLocks& held, LockKind lock);

struct LockWait {
  std::uint64_t id = 0;             // given by this class
  std::int64_t at_ms = 0;           // Unix time of its end
  std::int64_t pid = 0;             // as its process itself says
  std::uint64_t pid_namespace = 0;  // of both pids
  std::uint64_t connection_id = 0;
  std::uint64_t query_id = 0;
  LockKind lock = LockKind::kWrite;
  LockOutcome outcome = LockOutcome::kAcquired;
  std::uint64_t waited_ns = 0;
  // Whether its transaction, which BEGIN or SAVEPOINT began, had only read before: then SQLite does
  // not wait for the lock to write.
  bool had_read = false;
  std::string application, process;
  LockHolder holder;
};

struct LockCounts {
  std::uint64_t waits = 0, wait_ns = 0, busy_errors = 0, snapshot_conflicts = 0;
  bool any() const { return (waits | wait_ns | busy_errors | snapshot_conflicts) != 0; }
  void Add(const LockCounts& other) {
    waits += other.waits;
    wait_ns += other.wait_ns;
    busy_errors += other.busy_errors;
    snapshot_conflicts += other.snapshot_conflicts;
  }
};

// What one wait adds.
LockCounts CountsOf(const LockWait& wait);

struct LockTotals {
  LockCounts counts;
  std::uint64_t max_ns = 0;
  std::vector<std::uint64_t> histogram;  // DurationScale::kBuckets
};

class LockWaits {
 public:
  // `space` must outlive this object.
  explicit LockWaits(ControlSpace* space) : space_(space), waits_(space->file()->lock_waits) {}

  // Before the functions that write. May write to the disk; false where there is no room.
  bool Make() { return space_->Make(ControlSpace::Kind::kLockWaits, 0); }
  bool is_made() const { return space_->Has(ControlSpace::Kind::kLockWaits, 0); }

  // --- the connection that has waited
  // Counts a wait. `listed`: wal_lock_waits shows it.
  void Add(const LockWait& wait, bool listed);
  // The statement at this place of QueryTable has waited.
  void AddToQuery(std::size_t place, std::uint64_t query_id, const LockCounts& counts);
  void AddToEvicted(const LockCounts& counts);

  // --- readers
  LockTotals ReadTotals() const;
  std::vector<LockWait> ReadWaits() const;  // newest first
  // Of the statement, if it is the one that was counted at this place.
  LockCounts OfQuery(std::size_t place, std::uint64_t query_id) const;
  // Of all statements that are at no place any more. `Holds(place, id)`: whether it is there.
  template <typename Holds>
  LockCounts OfEvicted(Holds holds) const {
    LockCounts counts = ReadCounts(waits_.evicted);
    for (std::size_t i = 0; i < waits_.queries.size(); ++i) {
      const std::uint64_t id = waits_.queries[i].id.load(std::memory_order_relaxed);
      if (id != 0 && !holds(i, id)) counts.Add(ReadCounts(waits_.queries[i].counters));
    }
    return counts;
  }

  // Forgets and returns what was counted of the statement at this place.
  LockCounts TakeQuery(std::size_t place, std::uint64_t query_id);
  LockCounts TakeEvicted() { return TakeCounts(waits_.evicted); }
  // Moves the rest to another memory: from private memory to a file that was made.
  void MoveTo(LockWaits& other);
  // Forgets counters and waits. Needs no memory.
  void Reset();
  void ResetQueries();

 private:
  static LockCounts ReadCounts(const layout::LockCounters& counters);
  static LockCounts TakeCounts(layout::LockCounters& counters);
  static void AddCounts(layout::LockCounters& counters, const LockCounts& counts);
  void Append(const LockWait& wait);

  ControlSpace* space_;
  layout::LockWaits& waits_;
};

}  // namespace walmanager
