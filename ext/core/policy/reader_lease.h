// Whether a reader may be ended that the setting reader_lease_ms is about: how long it has held its
// snapshot, what the log was then and is now, and what stands against it. Pure.
#pragma once

#include <cstdint>

namespace walmanager {

// Why the query of a connection is not interrupted. In the order of ObstacleText().
enum class LeaseObstacle : std::uint8_t {
  kNone,
  kNoQuery,         // no statement runs
  kReturnsRows,     // it has returned a row: the program may be doing anything now
  kOtherStatement,  // an interrupt would also end each statement that begins before that one ends
  kWrites,          // the statement is no query, or its transaction has written
  kUsesExtension,   // a function or table of walmanager does its own work in it
  kUnknown,         // SQLite did not say which databases it reads
  kNoMutex,         // nobody but the program may look at the connection
  kBesideOthers,    // the program has run others on the connection while it held a row of it
  kOtherDatabase,   // it does not read the main database, so it pins no log of it
  kCount
};
// Why it cannot be ended, after "cannot be ended: ".
const char* ObstacleText(LeaseObstacle obstacle);

// A query and the log that it began with.
struct LeasedQuery {
  std::uint64_t id = 0;             // of its text
  std::uint64_t held_since_ns = 0;  // its snapshot, CLOCK_MONOTONIC
  std::uint64_t log_position = 0;   // salt1 << 32 | mxFrame, as the control file has it
};

// The bytes of the log that are in use.
std::int64_t LogBytes(std::uint64_t log_position, std::uint32_t page_bytes);

// Whether the log is beyond its limit and has been written since the query began. A log that was
// long before and at rest since is not long because of the query.
bool IsBeyondLimit(std::uint64_t position_then, std::uint64_t position_now,
                   std::uint32_t page_bytes, std::int64_t limit_bytes);

}  // namespace walmanager
