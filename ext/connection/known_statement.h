// A prepared statement as StatementMeter knows it: its text, the execution that runs, and what
// SQLite's counters (sqlite3_stmt_status) said of it when they were last read.
//
// Thread rules: as those of StatementMeter.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "ext/connection/published_connection.h"
#include "ext/core/control/query_statistics.h"

struct sqlite3_stmt;

namespace walmanager {

// `now` may be less than `before` where the program has set SQLite's counter back.
inline std::uint64_t CountedSince(std::uint32_t before, std::uint32_t now) {
  return now >= before ? now - before : now;
}

// Among many connections each execution finds all this far from the processor: what every one
// needs stands together, on as few cache lines as it can.
struct alignas(64) KnownStatement {
  // Of sqlite3_stmt_status, which counts up over a statement's life.
  enum Status { kFullscanSteps, kSorts, kAutoIndexRows, kVmSteps, kReprepares, kStatuses };
  // Of sqlite3_db_status, which counts up over the connection's life.
  enum Cache { kHits, kMisses, kWrites, kSpills, kCaches };

  sqlite3_stmt* stmt = nullptr;
  const char* text = nullptr;  // SQLite's, as long as `stmt` is there; nullptr: not to be trusted
  std::uint64_t start_ns = 0;  // of the execution that runs; 0: none
  std::uint64_t rows = 0;
  layout::HotQuery* hot = nullptr;
  std::uint64_t id = 0;
  std::uint32_t entry = 0;
  std::uint32_t epoch = 0;      // the meter's: entry and hot are of the control file in use
  std::uint32_t next_run = 0;   // what SQLite will have counted of its runs at its next start
  std::uint32_t uncovered = 0;  // executions since its statuses were read
  std::uint64_t runs = 0;
  std::uint64_t last_start_ns = 0, last_ns = 0;
  std::uint64_t min_before_ns = 0;    // of its counters, before the last
  std::uint32_t cache_uncovered = 0;  // executions since its cache was watched
  std::uint32_t reprepares_seen = 0;  // at the end of the last that had no rows
  int changes_before = 0;             // sqlite3_total_changes(), where it counts them
  StatementNature nature;
  bool counts_changes = false;  // its rows are those that it changes
  bool cache_is_watched = false;
  bool last_was_slow = false;
  bool last_may_be_false = false;  // it may have been the beginning of another
  bool last_had_rows = false;
  bool reads_own_tables = false;

  std::string sql;            // empty where it is long:
  std::size_t long_hash = 0;  // then this is of it
  std::uint64_t plan_looked_ns = 0;
  std::array<std::uint32_t, kStatuses> status{};
  std::uint32_t steps_seen = 0;  // at its end
  std::array<std::uint32_t, kCaches> cache_before{};

  bool runs_now() const { return start_ns != 0; }
  // Whether its text is `sql_now`.
  bool IsOf(const char* sql_now) const;
  // Another of the same text stands where this one stood: SQLite's counters begin anew.
  void BeginAnew();
  // What SQLite has counted until now.
  std::uint32_t Read(Status what) const;
  void ReadAll();
  // What was counted since the last look, into `looked`.
  void LookAgain(Looked& looked);
};

}  // namespace walmanager
