// wal_checkpoint_auto and wal_checkpoint.
#include "ext/connection/connection.h"
#include "ext/core/base/json_writer.h"
#include "ext/system/clock.h"
#include "sql/function.h"

namespace walmanager {
namespace {

// `asked`: the mode that the caller named, which is shown also where no checkpoint ran.
Value Json(const Schema& schema, const CheckpointReport& report,
           std::optional<CheckpointMode> asked = std::nullopt) {
  const bool ran = report.mode.has_value();
  std::optional<bool> complete;
  if (report.wal_frames && report.checkpointed_frames) {
    complete = *report.wal_frames == *report.checkpointed_frames;
  }
  JsonObject json;
  json.Add("schema", schema.name);
  json.Add("strategy", report.strategy.empty() ? std::nullopt : std::optional(report.strategy));
  json.Add("rule", report.rule);
  const auto mode = ran ? report.mode : asked;
  json.Add("mode", mode ? std::optional(ModeName(*mode)) : std::nullopt);
  json.Add("result", ResultName(report.result)).Add("busy", report.busy);
  json.Add("wal_frames", report.wal_frames).Add("checkpointed_frames", report.checkpointed_frames);
  json.Add("moved_frames", ran ? report.moved_frames : std::optional<std::int64_t>(0));
  json.Add("complete", complete).Add("wal_bytes", report.wal_bytes);
  json.Add("duration_ms", static_cast<double>(report.duration_ns) / 1e6);
  json.Add("skipped", ran ? std::nullopt : std::optional(report.message));
  if (ran && !report.message.empty()) json.Add("error", report.message);
  if (report.blocked_by_pid) json.Add("blocked_by_pid", report.blocked_by_pid);
  return Value(json.text());
}

// The schema to checkpoint, or the error that says why it cannot be.
Result<Schema> Find(Connection& connection, const Arguments& arguments, std::size_t index) {
  const auto name = arguments.SchemaName(index);
  if (!name.ok()) return name.error();
  auto schema = connection.FindSchema(arguments.function(), name.value());
  if (schema.ok() && schema.value().database && schema.value().read_only) {
    return Error{std::string(arguments.function()) + ": schema '" + name.value() +
                 "' is read-only on this connection"};
  }
  return schema;
}

CheckpointReport NoLog(const Schema& schema) {
  CheckpointReport report;
  // In WAL mode the wal-index is hidden if locking_mode is EXCLUSIVE, until the first commit.
  report.message = schema.is_wal()
                       ? "the wal-index cannot be looked at"
                       : "journal_mode is " +
                             (schema.journal_mode.empty() ? "unknown" : schema.journal_mode) +
                             ", not wal";
  if (schema.database) report.strategy = schema.database->settings().strategy;
  return report;
}

}  // namespace

Result<Value> WalCheckpointAuto(Connection& connection, const Arguments& arguments) {
  const auto schema = Find(connection, arguments, 0);
  if (!schema.ok()) return schema.error();
  const auto index = connection.LookAtLog(schema.value());
  if (!index) return Json(schema.value(), NoLog(schema.value()));
  return Json(schema.value(),
              schema.value().database->AutoCheckpoint(connection.AsHost(schema.value()), *index));
}

Result<Value> WalCheckpoint(Connection& connection, const Arguments& arguments) {
  const auto text = arguments.Text(0, "mode");
  const auto mode = text.ok() ? ParseMode(text.value()) : std::nullopt;
  if (!mode) return arguments.Wrong(0, "mode", "one of PASSIVE, FULL, RESTART, TRUNCATE");
  const auto schema = Find(connection, arguments, 1);
  if (!schema.ok()) return schema.error();
  if (!schema.value().is_wal()) return Json(schema.value(), NoLog(schema.value()), mode);
  if (*mode != CheckpointMode::kPassive &&
      connection.transaction_state(schema.value().name.c_str()) != TransactionState::kNone) {
    return Error{std::string("wal_checkpoint: mode '") + ModeName(*mode) +
                     "' would wait for the transaction of this very connection on '" +
                     schema.value().name + "': end it first, or use PASSIVE",
                 ErrorCode::kLocked};
  }
  // Blocking modes wait for the connection's busy timeout, as SQLite's own do.
  const std::uint64_t deadline =
      *mode == CheckpointMode::kPassive
          ? 0
          : MonotonicNs() + static_cast<std::uint64_t>(connection.busy_timeout_ms()) * 1'000'000;
  // If the wal-index is hidden (locking_mode=EXCLUSIVE before the first commit), the report says
  // nothing about the log before the checkpoint.
  const WalIndex index = connection.LookAtLog(schema.value()).value_or(WalIndex{});
  const auto report = schema.value().database->ManualCheckpoint(connection.AsHost(schema.value()),
                                                                *mode, index, deadline);
  connection.CloseOwnConnectionsIfUntraced();
  return Json(schema.value(), report, mode);
}

}  // namespace walmanager
