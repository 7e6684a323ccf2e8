// The counters of one statement (layout::QueryCounters): adding an execution, taking one back,
// moving and summing. query_statistics.h says which process may write which counters.
#pragma once

#include <cstdint>
#include <vector>

#include "ext/core/control/layout_statements.h"
#include "ext/core/control/lock_waits.h"

namespace walmanager {

// What SQLite counted of `scan_calls` and `cache_calls` executions.
struct Looked {
  std::uint64_t scan_calls = 0;
  std::uint64_t fullscan_steps = 0, sorts = 0, auto_index_rows = 0, vm_steps = 0, reprepares = 0;
  std::uint64_t cache_calls = 0;
  std::uint64_t cache_hits = 0, cache_misses = 0, cache_writes = 0, cache_spills = 0;
};

// What one execution adds to a statement's counters.
struct Execution {
  std::uint64_t duration_ns = 0;
  std::uint64_t rows = 0;
  std::int64_t at_ms = 0;  // Unix time
  bool slow = false;
  bool upgraded = false;
  bool upgrade_failed = false;
  std::uint64_t min_before_ns = 0;  // to take it back: the shortest before it; 0: none
  const Looked* looked = nullptr;   // most executions are not looked at
};

// The sum of all connections' counters of a statement, as read.
struct QueryTotals {
  std::uint64_t calls = 0, total_ns = 0, min_ns = 0, max_ns = 0, rows = 0, slow_calls = 0,
                upgraded = 0, upgrades_failed = 0, stall_ns = 0, wal_frames = 0, reprepares = 0,
                scan_calls = 0, fullscan_steps = 0, sorts = 0, auto_index_rows = 0, vm_steps = 0,
                cache_calls = 0, cache_hits = 0, cache_misses = 0, cache_writes = 0,
                cache_spills = 0;
  double squares = 0;  // ns²
  std::int64_t last_seen_ms = 0;
  std::vector<std::uint64_t> histogram;  // StatementScale::kBuckets
  LockCounts locks;                      // which are kept elsewhere (lock_waits.h)
};

// How counters are written: by one connection alone (load, add, store), or by all
// (read-modify-write).
enum class CountedBy { kOwner, kAll };

[[gnu::hot]] void AddExecution(layout::QueryCounters& counters, const Execution& execution,
                               CountedBy by);
// `execution` as it was added; only its duration and the fields for taking it back are used.
void SubtractExecution(layout::QueryCounters& counters, const Execution& execution, CountedBy by);
void AddCommit(layout::QueryCounters& counters, std::uint64_t frames, std::uint64_t stall_ns,
               CountedBy by);

bool IsEmpty(const layout::QueryCounters& counters);
// A process that is killed half-way loses the word that it was moving; nothing is counted twice.
void Move(layout::QueryCounters& from, layout::QueryCounters& to);
void Clear(layout::QueryCounters& counters);
// Adds these counters to `totals`.
void Sum(const layout::QueryCounters& counters, QueryTotals& totals);

}  // namespace walmanager
