// A connection as it stands in the memory of a control file (layout::ConnectionInfo): written by
// its process, read by every process that lists connections.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ext/core/control/held_locks.h"
#include "ext/core/control/layout_connections.h"

namespace walmanager {

enum class ConnectionRole : std::uint8_t { kApplication, kCheckpointer, kReader, kBackup };
const char* RoleName(ConnectionRole role);  // 'application' and so on

// SQLite has one slot per connection for a trace: walmanager's is in it, or another callback, or
// none.
enum class TraceState : std::uint8_t { kActive, kDisplaced, kOff };
const char* TraceStateName(TraceState state);

enum class TransactionState : std::uint8_t { kNone, kRead, kWrite };
const char* TransactionStateName(TransactionState state);

// In the word `transaction`, beside TransactionState: BEGIN or SAVEPOINT began it.
inline constexpr std::uint64_t kExplicitTransaction = 4;

// What a connection says of itself.
struct ConnectionIdentity {
  std::uint64_t id = 0;
  bool main = false;
  ConnectionRole role = ConnectionRole::kApplication;
  std::int64_t opened_ms = 0;  // Unix time
  int sqlite_version = 0;      // sqlite3_libversion_number()
  std::string_view application, process, file;
};
// The owner alone writes there.
void DescribeConnection(layout::ConnectionInfo& info, const ConnectionIdentity& identity);

// As read. The bytes may be hostile, so texts end at their field's end, numbers are bounded.
struct ConnectionEntry {
  std::uint64_t id = 0;
  std::uint64_t owner = 0;  // a random number of its process, which with the id names a connection
  // Its process, as the PID namespace of the asking process numbers it; nullopt: that namespace
  // does not show the process. Processes of two namespaces may have the same pid.
  std::optional<std::int64_t> pid;
  std::int64_t own_pid = 0;         // its pid in its own PID namespace,
  std::uint64_t pid_namespace = 0;  // which has this inode; 0: unknown
  bool main = false;                // the file's database is its main one
  ConnectionRole role = ConnectionRole::kApplication;
  TraceState trace = TraceState::kActive;
  std::int64_t opened_ms = 0, last_active_ms = 0;  // Unix time
  std::uint64_t query_id = 0;                      // 0: none yet
  std::uint64_t started_ns = 0;                    // CLOCK_MONOTONIC; 0: none runs
  std::uint64_t statement_rows = 0;
  TransactionState transaction = TransactionState::kNone;
  bool is_explicit = false;
  std::uint64_t transaction_ns = 0;  // CLOCK_MONOTONIC
  std::uint64_t statements = 0, rows = 0, commits = 0, rollbacks = 0, upgraded = 0,
                upgrades_failed = 0, trace_lost = 0;
  std::uint64_t cache_hits = 0, cache_misses = 0, cache_spills = 0, cache_used = 0, schema_used = 0,
                statement_used = 0;
  std::optional<bool> foreign_keys;  // whether it enforces them; nullopt: not asked yet
  std::int64_t sqlite_version = 0;   // 0: unknown
  std::uint64_t still_since_ns = 0;  // CLOCK_MONOTONIC: its statement returns no row since; 0: it
                                     // does, or no sampler has looked
  std::string application, process, file;
  std::uint64_t pages_done = 0, pages_total = 0;  // of a backup or a restore; total 0: not known
  std::optional<LockKind> waiting_for;
  // Where it waits: since when (CLOCK_MONOTONIC), and for which connection and process; 0: unknown.
  // The pid is of its own PID namespace.
  std::uint64_t waiting_since_ns = 0, blocked_by = 0;
  std::int64_t blocked_by_pid = 0;
};

// All fields are of one owner; id 0 where the owner changed during each of several looks. The pid
// is not read here: the system names the holder of the lock on the slab.
ConnectionEntry ReadConnection(const layout::ConnectionSlab& slab);

// The word `waiting` of the connection `id`.
inline std::uint64_t WaitingWord(std::uint64_t id, LockKind lock) {
  return id << HeldLocks::kIdShift | (static_cast<std::uint64_t>(lock) + 1);
}

// Looks at the statement of a connection, once per sample: a statement that has returned rows, and
// none since the last look, stands still. One sampler at a time.
void WatchStatement(layout::ConnectionInfo& info, std::uint64_t now_ns);

// Clears all fields after the previous owner. The caller alone writes there.
void ClearConnection(layout::ConnectionInfo& info);
// Sets a connection's counters to 0; what it is and does stays.
void ForgetCounts(layout::ConnectionInfo& info);

}  // namespace walmanager
