// A prepared statement as StatementMeter knows it: its text, the execution that runs, and the
// values of SQLite's counters (sqlite3_stmt_status) when they were last read.
//
// Thread rules: those of StatementMeter.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "ext/connection/published_connection.h"
#include "ext/core/control/query_statistics.h"

struct sqlite3_stmt;

namespace walmanager {

// `now` may be less than `before`, where the program has reset SQLite's counter.
inline std::uint64_t CountedSince(std::uint32_t before, std::uint32_t now) {
  return now >= before ? now - before : now;
}

// Where there are many connections, each execution must fetch this from far memory. So what every
// execution needs is together, on as few cache lines as possible.
struct alignas(64) KnownStatement {
  // Counters of sqlite3_stmt_status, which count up over a statement's life.
  enum Status { kFullscanSteps, kSorts, kAutoIndexRows, kVmSteps, kReprepares, kStatuses };
  // Counters of sqlite3_db_status, which count up over the connection's life.
  enum Cache { kHits, kMisses, kWrites, kSpills, kCaches };

  sqlite3_stmt* stmt = nullptr;
  const char* text = nullptr;  // SQLite's copy, valid while `stmt` is; nullptr: not to be trusted
  std::uint64_t start_ns = 0;  // of the execution that runs; 0: none runs
  std::uint64_t rows = 0;
  layout::HotQuery* hot = nullptr;
  std::uint64_t id = 0;
  std::uint32_t entry = 0;
  std::uint32_t epoch = 0;      // the meter's: entry and hot are of the control file in use
  std::uint32_t next_run = 0;   // what SQLite's counter of runs will say at the next start
  std::uint32_t uncovered = 0;  // executions since its statuses were read
  std::uint64_t runs = 0;
  std::uint64_t last_start_ns = 0, last_ns = 0;
  std::uint64_t min_before_ns = 0;    // min_ns of its counters before the last execution
  std::uint32_t cache_uncovered = 0;  // executions since the cache was watched
  std::uint32_t reprepares_seen = 0;  // at the end of the last execution without rows
  int changes_before = 0;             // sqlite3_total_changes() at its start, where it is counted
  StatementNature nature;
  bool counts_changes = false;  // its rows are the rows that it changes
  bool cache_is_watched = false;
  bool last_was_slow = false;
  bool last_may_be_false = false;  // the last execution may have been the beginning of this one
  bool last_had_rows = false;
  bool uses_extension = false;
  bool may_last = false;  // as StatementMeter::met_may_last()

  std::string sql;               // its text; empty where that is long
  std::size_t long_hash = 0;     // a hash of a long text; 0: it is not long
  std::uint32_t plan_epoch = 0;  // PlannedSchema::epoch() when its plan was last asked for
  std::array<std::uint32_t, kStatuses> status{};
  std::uint32_t steps_seen = 0;  // at the end of the last execution
  std::array<std::uint32_t, kCaches> cache_before{};

  bool runs_now() const { return start_ns != 0; }
  // Whether its text is `sql_now`.
  bool IsOf(const char* sql_now) const;
  // Another statement with the same text has this handle now: SQLite's counters begin at 0.
  void BeginAnew();
  // SQLite's counter now.
  std::uint32_t Read(Status what) const;
  void ReadAll();
  // Puts what was counted since the last look into `looked`.
  void LookAgain(Looked& looked);
};

}  // namespace walmanager
