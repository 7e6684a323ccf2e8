// The connections of all processes in the control file, each in a slab that one connection writes.
#pragma once

#include <array>

#include "ext/core/base/histogram.h"
#include "ext/core/control/layout_sizes.h"

namespace walmanager::layout {

// What a connection is and does.
struct ConnectionInfo {
  // On a cache line of their own: every statement writes them.
  alignas(64) Counter query_id;  // of its oldest statement that has not ended, else the last one's
  Counter started_ns;            // of that, CLOCK_MONOTONIC; 0: all have ended
  Counter statement_rows;        // that it returned so far
  Counter statements, rows;
  Counter last_active_ms;  // Unix time
  // What it holds of SQLite's locks, and what it waits for (held_locks.h). Builds before these
  // words leave them as they are; so both name the connection that wrote them.
  Counter locks, waiting;
  alignas(64) Counter id;  // the same in the files of all its databases; 0: none
  Counter main;            // 1: this file is its main database's
  Counter role;            // ConnectionRole
  Counter opened_ms;       // Unix time
  Counter transaction;     // TransactionState, + 4 where BEGIN began it
  Counter transaction_ns;  // CLOCK_MONOTONIC, its start
  Counter commits, rollbacks, upgraded;
  Counter trace;       // TraceState
  Counter trace_lost;  // commits whose statement was not seen
  // As SQLite counts them, and 0 where it has not been asked yet.
  Counter cache_hits, cache_misses, cache_spills, cache_used, schema_used, statement_used;
  Counter sqlite_version;  // sqlite3_libversion_number()
  Counter foreign_keys;    // 1: it does not enforce them, 2: it does; 0: not asked yet
  // Its oldest statement as the sampler last saw it, and since when it has returned no row.
  Counter seen_started_ns, seen_rows, still_since_ns;
  char application[64];
  char process[32];
  char file[512];  // its main database
  // Of a backup or a restore: pages copied so far, and of how many; 0: not known yet.
  Counter pages_done, pages_total;
  Counter upgrades_failed;  // writes that failed in transactions that had read
  // Valid while `waiting` says that it waits.
  Counter waiting_since_ns;  // CLOCK_MONOTONIC
  Counter blocked_by;        // the id of the connection that it waits for; 0: unknown
  Counter blocked_by_pid;    // as its own process numbers it; 0: unknown
};

// In ConnectionSlab::pid: the process has closed the control file, so it has no lock there, and may
// still have the database open.
inline constexpr std::uint64_t kHasLeft = std::uint64_t{1} << 63;

// One connection's counters for one database, on cache lines of its own.
struct alignas(64) ConnectionSlab {
  Counter owner;          // a random number of the process that has it; 0: free
  Counter pid;            // as that process itself says; | kHasLeft
  Counter pid_namespace;  // of that pid: the inode of /proc/self/ns/pid; 0: unknown
  Counter committed;      // the checksum of the log's header as of its last commit; 0: unknown
  ConnectionInfo info;
  Counter reset_generation;
  Counter commits;
  Counter frames_written;
  Counter timed_commits;  // commits with a start that was seen
  Counter commit_ns;
  Counter commit_max_ns;
  Counter stall_ns;
  std::array<Counter, DurationScale::kBuckets> commit_histogram;
};

}  // namespace walmanager::layout
