// Waits for SQLite's locks in the control file: counters, the newest waits, and what each statement
// has waited (lock_waits.h). All of it is one section, which the first wait makes.
#pragma once

#include <array>
#include <cstdint>

#include "ext/core/base/histogram.h"
#include "ext/core/control/layout_sizes.h"

namespace walmanager::layout {

struct LockWaitRecord {
  std::int64_t at_ms;           // Unix time of its end
  std::int64_t pid;             // as its process itself says, of the namespace below
  std::uint64_t pid_namespace;  // as in ConnectionSlab; also of holder_pid
  std::uint64_t connection_id;
  std::uint64_t query_id;  // 0: unknown, here and below
  std::uint64_t lock;      // LockKind
  std::uint64_t outcome;   // LockOutcome
  std::uint64_t waited_ns;
  std::int64_t holder_pid;
  std::uint64_t holder_connection_id;
  std::uint64_t holder_query_id;
  std::uint64_t holder_transaction_ns;  // how long it had lasted when the wait ended
  std::uint64_t holder_state;           // HolderState
  std::uint64_t had_read;               // 1: its transaction had read before
  char application[64], process[32];
  char holder_application[64], holder_process[32];
};
static_assert(sizeof(LockWaitRecord) == 304);

struct LockWaitSlot {
  Counter id;  // 0: empty or being written
  LockWaitRecord record;
};

// What executions of statements have waited.
struct LockCounters {
  Counter waits, wait_ns, busy_errors, snapshot_conflicts;
};

// Of the statement at the same place of QueryTable.
struct QueryLocks {
  Counter id;  // the statement that was counted last; 0: none
  LockCounters counters;
};

struct LockWaits {
  LockCounters totals;
  Counter max_ns;
  std::array<Counter, DurationScale::kBuckets> histogram;  // of all waits
  Counter next_id;                                         // the last id given out
  Counter forgotten_id;                                    // waits up to this one were reset
  std::array<LockWaitSlot, kLockWaitRecords> slots;
  LockCounters evicted;  // of statements that made room for others
  std::array<QueryLocks, kQueries> queries;
};

}  // namespace walmanager::layout
