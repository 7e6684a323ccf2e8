// connection_metrics: one row per open connection of every process.
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "ext/connection/connection.h"
#include "ext/core/base/time_text.h"
#include "ext/core/control/query_statistics.h"
#include "ext/system/clock.h"
#include "ext/system/process_life.h"
#include "vtab/module/each_database.h"
#include "vtab/module/table.h"

namespace walmanager {
namespace {

struct Row {
  ConnectionEntry entry;
  std::optional<std::string> query;
  std::uint64_t now_ns = 0;
  std::optional<std::int64_t> blocked_by_pid;  // as this process's PID namespace numbers it
};

// A connection has an entry in the control file of each of its databases. The entry of its main
// database knows the most.
bool KnowsMore(const Row& a, const Row& b) {
  return std::pair(a.entry.main, a.entry.statements) > std::pair(b.entry.main, b.entry.statements);
}

// Only the trace tells what a connection does. The connections of walmanager say it themselves.
bool IsMeasured(const Row& row) {
  return row.entry.trace == TraceState::kActive || row.entry.role != ConnectionRole::kApplication;
}

void TakeWait(const Row& from, Row& to) {
  to.entry.waiting_for = from.entry.waiting_for;
  to.entry.waiting_since_ns = from.entry.waiting_since_ns;
  to.entry.blocked_by = from.entry.blocked_by;
  to.blocked_by_pid = from.blocked_by_pid;
}

// A wait may outlast the holder that the waiting connection has found: who holds the lock now?
void FindHolder(const ControlFile& control, ProcessLives& lives, Row& row) {
  ConnectionEntry& entry = row.entry;
  if (const auto holder = control.slabs().FindLockHolder(*entry.waiting_for, entry.id)) {
    entry.blocked_by = holder->connection_id;
    if (holder->pid > 0) row.blocked_by_pid = holder->pid;
    return;
  }
  // A connection that is shown held the lock before. A pid alone is from the system's lock table.
  if (entry.blocked_by == 0 && entry.blocked_by_pid > 0) {
    row.blocked_by_pid =
        control.LivingPidHere(entry.blocked_by_pid, entry.pid_namespace, UnixMs(), lives);
  }
  entry.blocked_by = 0;
}

Result<std::vector<Row>> Read(TableSource& source) {
  if (Connection* host = source.host()) host->PublishMemory();
  // The rows in their order. A pid is not enough: each container has a process 1.
  using Key = std::tuple<std::optional<std::int64_t>, std::uint64_t, std::uint64_t>;
  std::map<Key, Row> known;
  ProcessLives lives;
  auto databases = source.Schemas();
  if (!databases.ok()) return databases.error();
  for (const Schema& schema : databases.value()) {
    if (!schema.database) continue;
    const auto control = schema.database->control();
    const QueryStatistics statistics(control->space());
    for (ConnectionEntry& entry : control->Connections()) {
      Row row;
      row.query = statistics.TextOf(entry.query_id);
      row.now_ns = MonotonicNs();
      row.entry = std::move(entry);
      const Key key{row.entry.pid, row.entry.id, row.entry.owner};
      // The end of a statement that another trace hides is not seen.
      if (row.entry.started_ns == 0 || !IsMeasured(row)) row.entry.waiting_for.reset();
      if (row.entry.waiting_for) FindHolder(*control, lives, row);
      const auto [found, is_new] = known.try_emplace(key, row);
      if (is_new) continue;
      if (KnowsMore(row, found->second)) std::swap(row, found->second);
      // It waits for a lock of one of its databases.
      if (row.entry.waiting_for && !found->second.entry.waiting_for) TakeWait(row, found->second);
    }
  }
  std::vector<Row> rows;
  for (auto& [key, row] : known) rows.push_back(std::move(row));
  return rows;
}

Value StateName(const Row& row) {
  if (!IsMeasured(row)) return {};
  if (row.entry.started_ns != 0) return "active";
  return row.entry.is_explicit ? "idle in transaction" : "idle";
}

// A statement that has returned a row and has not ended is reading, also outside of a transaction.
// For one that has not returned a row yet, it is not known.
std::optional<TransactionState> Transaction(const Row& row) {
  const ConnectionEntry& entry = row.entry;
  if (!IsMeasured(row)) return std::nullopt;
  if (entry.transaction != TransactionState::kNone || entry.started_ns == 0)
    return entry.transaction;
  if (entry.statement_rows > 0) return TransactionState::kRead;
  return std::nullopt;
}

Value WaitingMs(const Row& row) {
  const std::uint64_t since = row.entry.waiting_since_ns;
  if (!row.entry.waiting_for) return {};
  return row.now_ns > since ? static_cast<double>(row.now_ns - since) / 1e6 : 0.0;
}

Value SinceMs(const Row& row, std::uint64_t start_ns) {
  if (start_ns == 0 || !IsMeasured(row)) return {};
  return row.now_ns > start_ns ? static_cast<double>(row.now_ns - start_ns) / 1e6 : 0.0;
}

Value TransactionMs(const Row& row) {
  const ConnectionEntry& entry = row.entry;
  if (entry.transaction != TransactionState::kNone || entry.is_explicit)
    return SinceMs(row, entry.transaction_ns);
  return entry.statement_rows > 0 ? SinceMs(row, entry.started_ns) : Value();
}

Value OrNull(const std::string& text) { return text.empty() ? Value() : Value(text); }
// 0: SQLite has not been asked yet.
Value Bytes(std::uint64_t bytes) { return bytes ? Value(bytes) : Value(); }

// `number` is that of sqlite3_libversion_number(): https://www.sqlite.org/c3ref/libversion.html.
Value VersionText(std::int64_t number) {
  if (number == 0) return {};
  return std::to_string(number / 1'000'000) + "." + std::to_string(number / 1000 % 1000) + "." +
         std::to_string(number % 1000);
}

Value HitRatio(const ConnectionEntry& entry) {
  const std::uint64_t all = entry.cache_hits + entry.cache_misses;
  return all ? Value(static_cast<double>(entry.cache_hits) / static_cast<double>(all)) : Value();
}

}  // namespace

const Table& ConnectionMetricsTable() {
  // A column is a line.
  // clang-format off
  static const auto& kTable = *new TableOf<Row>(
      "connection_metrics", "One row per open connection of every process that has loaded the extension. Counters begin when the connection opens, or at wal_metrics_reset('connections').",
      Read, /*reveals_others=*/true,
      {
          {"connection_id", kInteger, "number of the connection: its pid and five digits that count up; from another PID namespace, a number of that namespace before them", [](const Row& r) -> Value { return r.entry.id; }},
          {"pid", kInteger, "process of the connection, as this process's PID namespace numbers it; NULL if this namespace does not show it", [](const Row& r) -> Value { return r.entry.pid; }},
          {"process", kText, "name of the process that has the connection open", [](const Row& r) -> Value { return OrNull(r.entry.process); }},
          {"application", kText, "name that the connection gave itself with wal_application_name()", [](const Row& r) -> Value { return OrNull(r.entry.application); }},
          {"role", kText, "what the connection is for: application, checkpointer, reader (of read_pool) or backup", [](const Row& r) -> Value { return RoleName(r.entry.role); }},
          {"file", kText, "path of the connection's main database", [](const Row& r) -> Value { return OrNull(r.entry.file); }},
          {"opened_at", kText, "when the connection was first seen, in UTC", [](const Row& r) -> Value { return UtcText(r.entry.opened_ms); }},
          {"state", kText, "active (a statement has not ended, also if the program fetches no rows from it), idle, or idle in transaction; NULL if its statements are not measured", [](const Row& r) -> Value { return StateName(r); }},
          {"transaction_state", kText, "transaction on the main database: none, read or write; NULL if it is not known, as in the first step of a statement", [](const Row& r) -> Value { const auto state = Transaction(r); return state ? Value(TransactionStateName(*state)) : Value(); }},
          {"transaction_ms", kReal, "time since the open transaction began; NULL if there is none", [](const Row& r) -> Value { return TransactionMs(r); }},
          {"query", kText, "oldest statement that has not ended, or else the last that ended", [](const Row& r) -> Value { return IsMeasured(r) ? Value(r.query) : Value(); }},
          {"query_ms", kReal, "time since the running statement began; NULL if none runs", [](const Row& r) -> Value { return SinceMs(r, r.entry.started_ns); }},
          {"statements", kInteger, "executions of statements that have ended on the connection", [](const Row& r) -> Value { return r.entry.statements; }},
          {"rows", kInteger, "rows that the connection's statements returned or changed", [](const Row& r) -> Value { return r.entry.rows; }},
          {"commits", kInteger, "commits of the connection to the log of its main database", [](const Row& r) -> Value { return r.entry.commits; }},
          {"rollbacks", kInteger, "transactions that the connection rolled back", [](const Row& r) -> Value { return r.entry.rollbacks; }},
          {"transactions_upgraded", kInteger, "deferred transactions of the connection that began with a read and then wrote", [](const Row& r) -> Value { return r.entry.upgraded; }},
          {"cache_hit_ratio", kReal, "share of the wanted pages that were in the connection's page cache, 0 to 1", [](const Row& r) -> Value { return HitRatio(r.entry); }},
          {"cache_used_bytes", kInteger, "memory of the connection's page cache, in bytes", [](const Row& r) -> Value { return Bytes(r.entry.cache_used); }},
          {"schema_used_bytes", kInteger, "memory that the connection uses for the schema, in bytes", [](const Row& r) -> Value { return Bytes(r.entry.schema_used); }},
          {"statement_used_bytes", kInteger, "memory of the connection's prepared statements, in bytes", [](const Row& r) -> Value { return Bytes(r.entry.statement_used); }},
          {"cache_spills", kInteger, "pages that the connection wrote before the commit, because its page cache was full", [](const Row& r) -> Value { return r.entry.cache_spills; }},
          {"last_active_at", kText, "when a statement of the connection last ended, in UTC", [](const Row& r) -> Value { return r.entry.last_active_ms ? Value(UtcText(r.entry.last_active_ms)) : Value(); }},
          {"trace", kText, "SQLite's one trace slot of the connection: active (statements are measured), displaced (another callback has it; wal_trace('take') takes it back) or off (statement_metrics is off)", [](const Row& r) -> Value { return TraceStateName(r.entry.trace); }},
          {"trace_lost", kInteger, "commits whose statement was not seen, because another callback had the trace slot", [](const Row& r) -> Value { return r.entry.trace_lost; }},
          {"sqlite_version", kText, "version of SQLite that the connection runs in", [](const Row& r) -> Value { return VersionText(r.entry.sqlite_version); }},
          {"foreign_keys", kInteger, "1 if the connection enforces foreign keys; looked at once a second while it works", [](const Row& r) -> Value { return r.entry.foreign_keys; }},
          {"still_ms", kReal, "time since an unfinished statement last returned a row; NULL if it goes on returning rows, or if no sample has looked yet", [](const Row& r) -> Value { return SinceMs(r, r.entry.still_since_ns); }},
          {"pages_done", kInteger, "pages that a backup or restore on this connection has copied so far; NULL for all other connections", [](const Row& r) -> Value { return r.entry.pages_total ? Value(r.entry.pages_done) : Value(); }},
          {"pages_total", kInteger, "pages that a backup or restore on this connection has to copy; NULL for all other connections", [](const Row& r) -> Value { return r.entry.pages_total ? Value(r.entry.pages_total) : Value(); }},
          {"upgrades_failed", kInteger, "writes that failed in deferred transactions that began with a read: \"database is locked\"", [](const Row& r) -> Value { return r.entry.upgrades_failed; }},
          {"waiting_for", kText, "lock that the connection's statement waits for now, as wal_lock_waits.lock; NULL if it waits for none", [](const Row& r) -> Value { return r.entry.waiting_for ? Value(LockKindName(*r.entry.waiting_for)) : Value(); }},
          {"waiting_ms", kReal, "how long the connection has waited for that lock", [](const Row& r) -> Value { return WaitingMs(r); }},
          {"blocked_by", kInteger, "connection_id of the connection that holds that lock now; NULL if it is not known, as of a process without walmanager", [](const Row& r) -> Value { return r.entry.waiting_for && r.entry.blocked_by ? Value(r.entry.blocked_by) : Value(); }},
          {"blocked_by_pid", kInteger, "process of the holder of that lock; NULL if it is not known, is gone, or this process's PID namespace does not show it", [](const Row& r) -> Value { return r.blocked_by_pid; }},
      });
  // clang-format on
  return kTable;
}

}  // namespace walmanager
