// wal_checkpoints: the log of recent checkpoints of all processes, newest first.
#include <algorithm>

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
  std::stable_sort(rows.value().begin(), rows.value().end(),
                   [](const Row& a, const Row& b) { return a.entry.at_ms > b.entry.at_ms; });
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
          {"schema", kText, "main, or the name given to ATTACH", [](const Row& r) -> Value { return r.schema; }},
          {"id", kInteger, "counts up from 1", [](const Row& r) -> Value { return r.entry.id; }},
          {"at", kText, "UTC, when it ended", [](const Row& r) -> Value { return UtcText(r.entry.at_ms); }},
          {"pid", kInteger, "the process that ran it; NULL where it was of a PID namespace that this process's does not show", [](const Row& r) -> Value { return r.pid; }},
          {"mode", kText, "PASSIVE, FULL, RESTART or TRUNCATE", [](const Row& r) -> Value { return ModeName(r.entry.mode); }},
          {"origin", kText, "inline, background, manual, close, or application: a PRAGMA wal_checkpoint of the program's own", [](const Row& r) -> Value { return OriginName(r.entry.origin); }},
          {"rule", kText, "the rule that called for it; NULL where somebody asked", [](const Row& r) -> Value { return OrNull(r.entry.rule); }},
          {"result", kText, "complete, partial, busy, skipped or failed", [](const Row& r) -> Value { return ResultName(r.entry.result); }},
          {"wal_frames", kInteger, "frames in the log", [](const Row& r) -> Value { return r.entry.wal_frames; }},
          {"checkpointed_frames", kInteger, "those in the database afterwards", [](const Row& r) -> Value { return r.entry.checkpointed_frames; }},
          {"moved_frames", kInteger, "those that this one moved", [](const Row& r) -> Value { return r.entry.moved_frames; }},
          {"wal_bytes", kInteger, "size of the -wal file afterwards", [](const Row& r) -> Value { return r.entry.wal_bytes; }},
          {"duration_ms", kReal, "how long it took", [](const Row& r) -> Value { return static_cast<double>(r.entry.duration_ns) / 1e6; }},
          {"blocked_by_pid", kInteger, "who was in the way", [](const Row& r) -> Value { return r.blocked_by_pid; }},
          {"error", kText, "the engine's words where it failed or was busy", [](const Row& r) -> Value { return OrNull(r.entry.error); }},
      });
  // clang-format on
  return kTable;
}

}  // namespace walmanager
