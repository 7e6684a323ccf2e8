// wal_lock_waits: the waits of statements for SQLite's locks, newest first, and who held the lock.
#include "ext/core/base/sort_by_key.h"
#include "ext/core/base/time_text.h"
#include "ext/core/control/lock_waits.h"
#include "ext/core/control/query_statistics.h"
#include "ext/system/process_life.h"
#include "vtab/module/each_database.h"
#include "vtab/module/table.h"

namespace walmanager {
namespace {

struct Row {
  std::string schema;
  LockWait wait;
  std::optional<std::int64_t> pid, holder_pid;  // as this process's PID namespace numbers them
  std::optional<std::string> query, holder_query;
};

Result<std::vector<Row>> Read(TableSource& source) {
  ProcessLives lives;
  auto rows = RowsOfEachDatabase<Row>(source, [&](const Schema& schema, std::vector<Row>& all) {
    const auto control = schema.database->control();
    const QueryStatistics statistics(control->space());
    control->space()->Follow();
    for (LockWait& wait : LockWaits(control->space()).ReadWaits()) {
      Row row{schema.name, std::move(wait), {}, {}, {}, {}};
      const auto here = [&](std::int64_t pid) {
        return control->LivingPidHere(pid, row.wait.pid_namespace, row.wait.at_ms, lives);
      };
      row.pid = here(row.wait.pid);
      if (row.wait.holder.pid > 0) row.holder_pid = here(row.wait.holder.pid);
      row.query = statistics.TextOf(row.wait.query_id);
      row.holder_query = statistics.TextOf(row.wait.holder.query_id);
      all.push_back(std::move(row));
    }
  });
  if (!rows.ok()) return rows;
  SortLargestFirst(rows.value(), [](const Row& row) { return row.wait.at_ms; });
  return rows;
}

Value OrNull(const std::string& text) { return text.empty() ? Value() : Value(text); }
Value OrNull(std::uint64_t number) { return number ? Value(number) : Value(); }

Value TransactionMs(const Row& row) {
  const std::uint64_t ns = row.wait.holder.transaction_ns;
  return ns ? Value(static_cast<double>(ns) / 1e6) : Value();
}

Value StateName(const Row& row) {
  const char* name = HolderStateName(row.wait.holder.state);
  return name ? Value(name) : Value();
}

}  // namespace

const Table& WalLockWaitsTable() {
  // A column is a line.
  // clang-format off
  static const auto& kTable = *new TableOf<Row>(
      "wal_lock_waits", "The last 256 waits of statements for a lock of SQLite's, of all processes, newest first: those that took lock_wait_ms or longer, and all that ended in an error.",
      Read, /*reveals_others=*/true,
      {
          {"schema", kText, "name of the database on this connection: main, or the name given to ATTACH", [](const Row& r) -> Value { return r.schema; }},
          {"id", kInteger, "number of the wait, counting up from 1", [](const Row& r) -> Value { return r.wait.id; }},
          {"at", kText, "when the wait ended, in UTC", [](const Row& r) -> Value { return UtcText(r.wait.at_ms); }},
          {"pid", kInteger, "process that waited; NULL if it is gone, or this process's PID namespace does not show it", [](const Row& r) -> Value { return r.pid; }},
          {"connection_id", kInteger, "connection that waited, as in connection_metrics", [](const Row& r) -> Value { return r.wait.connection_id; }},
          {"application", kText, "name that the waiting connection gave itself with wal_application_name()", [](const Row& r) -> Value { return OrNull(r.wait.application); }},
          {"query", kText, "normalized text of the statement that waited; NULL if query_performance does not have it any more", [](const Row& r) -> Value { return Value(r.query); }},
          {"lock", kText, "lock of the log: write, checkpoint or recovery (also of a rollback journal); of the database file in rollback mode: shared, reserved or exclusive", [](const Row& r) -> Value { return LockKindName(r.wait.lock); }},
          {"waited_ms", kReal, "how long the statement waited, or tried, for the lock", [](const Row& r) -> Value { return static_cast<double>(r.wait.waited_ns) / 1e6; }},
          {"outcome", kText, "acquired, busy (the statement failed with SQLITE_BUSY), snapshot (with SQLITE_BUSY_SNAPSHOT: another connection had committed since its transaction began to read) or given up (the statement went on without the lock: PRAGMA wal_checkpoint that returned busy=1, or a cache that was full)", [](const Row& r) -> Value { return LockOutcomeName(r.wait.outcome); }},
          {"holder_pid", kInteger, "process that held the lock when the wait began; NULL if it is not known, is gone, or this process's PID namespace does not show it", [](const Row& r) -> Value { return r.holder_pid; }},
          {"holder_connection_id", kInteger, "connection that held the lock when the wait began; of a snapshot, the one that had committed last, if that is still open; NULL if it is not known, as of a process without walmanager", [](const Row& r) -> Value { return OrNull(r.wait.holder.connection_id); }},
          {"holder_application", kText, "name that the holder gave itself with wal_application_name()", [](const Row& r) -> Value { return OrNull(r.wait.holder.application); }},
          {"holder_query", kText, "normalized text of the statement that the holder ran when the wait began, or had run last; of a snapshot, the one that it ran last when the conflict was found", [](const Row& r) -> Value { return Value(r.holder_query); }},
          {"holder_transaction_ms", kReal, "how long the holder's transaction, or its statement, had lasted when the wait ended; NULL of a snapshot", [](const Row& r) -> Value { return TransactionMs(r); }},
          {"holder_state", kText, "what the holder did when the wait began: running statement, idle in transaction, checkpoint, recovery (of the log), or unmanaged process; NULL if it is not known, and of a snapshot", [](const Row& r) -> Value { return StateName(r); }},
          {"had_read", kInteger, "1 if the transaction had read before, and this was its first write: SQLite does not wait then, whatever the busy timeout", [](const Row& r) -> Value { return r.wait.had_read; }},
          {"process", kText, "name of the process that waited", [](const Row& r) -> Value { return OrNull(r.wait.process); }},
          {"holder_process", kText, "name of the process that held the lock; NULL if it is not known", [](const Row& r) -> Value { return OrNull(r.wait.holder.process); }},
      });
  // clang-format on
  return kTable;
}

}  // namespace walmanager
