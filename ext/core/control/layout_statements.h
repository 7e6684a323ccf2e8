// Statements in the control file: their texts, plans and counters (query_statistics.h).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "ext/core/base/histogram.h"
#include "ext/core/control/layout_sizes.h"

namespace walmanager::layout {

// What connections count of a statement.
struct QueryCounters {
  // What every execution writes comes first.
  Counter calls;
  Counter total_ns;
  Counter square_low, square_high;  // the sum of the squares of durations in ns, 128 bits
  Counter rows;
  Counter last_seen_ms;    // Unix time
  Counter min_ns, max_ns;  // 0: none yet
  Counter slow_calls;
  Counter upgraded;  // transactions that had read and then wrote in this statement
  Counter upgrades_failed;
  Counter stall_ns;
  Counter wal_frames;
  Counter reprepares;
  Counter scan_calls;  // calls for which the next four were counted
  Counter fullscan_steps, sorts, auto_index_rows, vm_steps;
  Counter cache_calls;  // likewise
  Counter cache_hits, cache_misses, cache_writes, cache_spills;
  // Before a bucket overflows, all are halved: they are weights.
  std::array<std::atomic<std::uint32_t>, StatementScale::kBuckets> histogram;
};
static_assert(sizeof(QueryCounters) % 8 == 0);

// A statement, and the counts of connections that have no counters of their own for it.
struct QueryEntry {
  Counter described;  // the id that the next fields are of
  Counter kind;       // QueryKind
  Counter first_seen_ms;
  Counter plan_check;   // a hash of the plan: a plan that is half written has another
  Counter plan_schema;  // PRAGMA schema_version at which it was made, + 1
  Counter last_text;    // a hash of the text, as it was given, of the last one that was new
  Counter texts;        // how often that was another one
  char text[1200];
  char plan[1008];
  alignas(64) QueryCounters counters;
};

// Counters that one connection alone writes.
struct alignas(64) HotQuery {
  Counter id;  // 0: free
  Counter entry;
  Counter generation;  // as header.query_generation
  QueryCounters counters;
};

// The counters of statements that one connection has.
using HotQueries = std::array<HotQuery, kHotQueries>;

struct QueryTable {
  std::array<Counter, kQueries> ids;  // 0: free; of the entry at the same place
  Counter evictions;
  alignas(64) QueryCounters evicted;
  std::array<QueryEntry, kFirstQueries> entries;
};

}  // namespace walmanager::layout
