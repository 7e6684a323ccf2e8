// wal_checkpoints: the log of recent checkpoints of all processes, newest first.
#include "ext/core/base/sort_by_key.h"
#include "ext/core/base/time_text.h"
#include "vtab/module/each_database.h"
#include "vtab/module/table.h"

namespace walmanager {
namespace {

struct Row {
  std::string schema;
  CheckpointEntry entry;
  std::optional<std::int64_t> pid, blocked_by_pid;  // as this process's PID namespace numbers them
};

Result<std::vector<Row>> Read(TableSource& source) {
  auto rows = RowsOfEachDatabase<Row>(source, [](const Schema& schema, std::vector<Row>& all) {
    const auto control = schema.database->control();
    for (CheckpointEntry& entry : control->region().ReadCheckpointLog()) {
      Row row{schema.name, std::move(entry), {}, {}};
      const auto here = [&](std::int64_t pid) {
        return control->PidHere(pid, row.entry.pid_namespace);
      };
      row.pid = here(row.entry.pid);
      if (row.entry.blocked_by_pid) row.blocked_by_pid = here(*row.entry.blocked_by_pid);
      all.push_back(std::move(row));
    }
  });
  if (!rows.ok()) return rows;
  SortLargestFirst(rows.value(), [](const Row& row) { return row.entry.at_ms; });
  return rows;
}

Value OrNull(const std::string& text) { return text.empty() ? Value() : Value(text); }

}  // namespace

const Table& WalCheckpointsTable() {
  // A column is a line.
  // clang-format off
  static const auto& kTable = *new TableOf<Row>(
      "wal_checkpoints", "The last 512 checkpoints of all processes, newest first.",
      Read, /*reveals_others=*/true,
      {
          {"schema", kText, "name of the database on this connection: main, or the name given to ATTACH", [](const Row& r) -> Value { return r.schema; }},
          {"id", kInteger, "number of the checkpoint, counting up from 1", [](const Row& r) -> Value { return r.entry.id; }},
          {"at", kText, "when the checkpoint ended, in UTC", [](const Row& r) -> Value { return UtcText(r.entry.at_ms); }},
          {"pid", kInteger, "process that ran the checkpoint; NULL if this process's PID namespace does not show it", [](const Row& r) -> Value { return r.pid; }},
          {"mode", kText, "mode of the checkpoint: PASSIVE, FULL, RESTART or TRUNCATE", [](const Row& r) -> Value { return ModeName(r.entry.mode); }},
          {"origin", kText, "what started the checkpoint: inline (a commit), background (a thread of walmanager), manual (wal_checkpoint), close (of a connection) or application (PRAGMA wal_checkpoint of the program)", [](const Row& r) -> Value { return OriginName(r.entry.origin); }},
          {"rule", kText, "rule of the strategy that called for the checkpoint; NULL if a program asked for it", [](const Row& r) -> Value { return OrNull(r.entry.rule); }},
          {"result", kText, "how the checkpoint ended: complete, partial, busy, skipped or failed", [](const Row& r) -> Value { return ResultName(r.entry.result); }},
          {"wal_frames", kInteger, "frames in the log at this checkpoint", [](const Row& r) -> Value { return r.entry.wal_frames; }},
          {"checkpointed_frames", kInteger, "frames of the log that were in the database after the checkpoint", [](const Row& r) -> Value { return r.entry.checkpointed_frames; }},
          {"moved_frames", kInteger, "frames that this checkpoint copied into the database", [](const Row& r) -> Value { return r.entry.moved_frames; }},
          {"wal_bytes", kInteger, "size of the -wal file after the checkpoint, in bytes", [](const Row& r) -> Value { return r.entry.wal_bytes; }},
          {"duration_ms", kReal, "how long the checkpoint took", [](const Row& r) -> Value { return static_cast<double>(r.entry.duration_ns) / 1e6; }},
          {"blocked_by_pid", kInteger, "process whose reader or lock was in the way of the checkpoint", [](const Row& r) -> Value { return r.blocked_by_pid; }},
          {"error", kText, "error message of SQLite if the checkpoint failed or was busy", [](const Row& r) -> Value { return OrNull(r.entry.error); }},
      });
  // clang-format on
  return kTable;
}

}  // namespace walmanager
