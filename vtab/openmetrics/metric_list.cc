#include "vtab/openmetrics/metric_list.h"

#include <chrono>
#include <cstdio>

#include "ext/core/base/histogram.h"
#include "ext/core/control/io_statistics.h"

namespace walmanager {
namespace {

using enum MetricType;
using enum MetricUnit;

// Seconds since 1970 of a text of UtcText().
std::optional<double> UnixSeconds(const std::string& text) {
  int year = 0;
  unsigned month = 0, day = 0, hour = 0, minute = 0, second = 0, ms = 0;
  if (std::sscanf(text.c_str(), "%d-%u-%u %u:%u:%u.%u", &year, &month, &day, &hour, &minute,
                  &second, &ms) != 7) {
    return std::nullopt;
  }
  const std::chrono::sys_days days{std::chrono::year(year) / std::chrono::month(month) /
                                   std::chrono::day(day)};
  const std::int64_t seconds =
      std::int64_t{days.time_since_epoch().count()} * 86'400 + hour * 3600 + minute * 60 + second;
  return (static_cast<double>(seconds) * 1000 + ms) / 1000;
}

double Ms(std::uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e6; }

template <IoOrigin origin, IoFile file>
MetricHistogram Syncs(const DatabaseReading& reading) {
  const IoSyncs syncs = IoStatistics(reading.control->space()).ReadSyncs(origin, file);
  return BoundedHistogram<HistoryScale>(syncs.histogram, syncs.sync_ns);
}

// A metric is a line.
// clang-format off
constexpr Metric kDatabaseMetrics[] = {
    // is it well
    {"health_score", kGauge, kNone, [](const DatabaseReading& r) -> Value { return r.checks.empty() ? Value() : Value(r.checks.back().score); }, "score of the database, 0 to 100: 100 less 40 per critical check, 10 per warning and 2 per unknown"},
    {"alerts", kGauge, kNone, [](const DatabaseReading& r) -> Value { return r.warnings; }, "alerts of wal_alerts that are not cleared", {{{"severity", "warning"}}}},
    {"alerts", kGauge, kNone, [](const DatabaseReading& r) -> Value { return r.criticals; }, nullptr, {{{"severity", "critical"}}}},
    {"last_backup", kGauge, kTimestamp, [](const DatabaseReading& r) -> Value { return r.backup ? Value(r.backup->at_ms) : Value(); }, "when wal_backup() last made a backup"},
    {"last_integrity_check", kGauge, kTimestamp, [](const DatabaseReading& r) -> Value { return r.integrity ? Value(r.integrity->at_ms) : Value(); }, "when wal_integrity_check() last ended"},
    {"integrity_findings", kGauge, kNone, [](const DatabaseReading& r) -> Value { return r.integrity ? Value(r.integrity->findings) : Value(); }, "findings of the last wal_integrity_check()"},

    // the log and the database
    {"db_size", kGauge, kBytes, "database_bytes"},
    {"page_size", kGauge, kBytes, "page_size"},
    {"wal_size", kGauge, kBytes, "wal_bytes"},
    {"wal_limit", kGauge, kBytes, "wal_limit_bytes"},
    {"wal_size_max", kGauge, kBytes, "wal_bytes_max"},
    {"wal_pending", kGauge, kBytes, "pending_bytes"},
    {"wal_frames", kGauge, kNone, "wal_frames"},
    {"wal_checkpointed_frames", kGauge, kNone, "checkpointed_frames"},
    {"wal_pending_frames", kGauge, kNone, "pending_frames"},
    {"wal_due_frames", kGauge, kNone, "due_frames"},
    {"wal_resets", kCounter, kNone, "wal_resets"},
    {"wal_written_frames", kCounter, kNone, "frames_written"},
    {"wal_written", kCounter, kBytes, "bytes_written"},
    {"active_readers", kGauge, kNone, "active_readers"},
    {"oldest_reader_frame", kGauge, kNone, "oldest_reader_frame"},

    // commits
    {"commits", kCounter, kNone, "commits"},
    {"commit_max", kGauge, kSeconds, "commit_max_ms"},
    {"checkpoint_stall", kCounter, kSeconds, "checkpoint_stall_ms"},

    // checkpoints
    {"checkpoints", kCounter, kNone, "checkpoints_passive", "checkpoints that have run since statistics_since, by mode", {{{"mode", "passive"}}}},
    {"checkpoints", kCounter, kNone, "checkpoints_full", nullptr, {{{"mode", "full"}}}},
    {"checkpoints", kCounter, kNone, "checkpoints_restart", nullptr, {{{"mode", "restart"}}}},
    {"checkpoints", kCounter, kNone, "checkpoints_truncate", nullptr, {{{"mode", "truncate"}}}},
    {"checkpoints_started", kCounter, kNone, "checkpoints_inline", "the same checkpoints by what ran them: committing threads, background threads, wal_checkpoint(), or a PRAGMA of the program", {{{"origin", "inline"}}}},
    {"checkpoints_started", kCounter, kNone, "checkpoints_background", nullptr, {{{"origin", "background"}}}},
    {"checkpoints_started", kCounter, kNone, "checkpoints_manual", nullptr, {{{"origin", "manual"}}}},
    {"checkpoints_started", kCounter, kNone, "checkpoints_application", nullptr, {{{"origin", "application"}}}},
    {"checkpoints_incomplete", kCounter, kNone, "checkpoints_busy", "checkpoints since statistics_since that did not copy the whole log, by result; skipped ones were due and not tried", {{{"result", "busy"}}}},
    {"checkpoints_incomplete", kCounter, kNone, "checkpoints_partial", nullptr, {{{"result", "partial"}}}},
    {"checkpoints_incomplete", kCounter, kNone, "checkpoints_skipped", nullptr, {{{"result", "skipped"}}}},
    {"checkpoints_incomplete", kCounter, kNone, "checkpoints_failed", nullptr, {{{"result", "failed"}}}},
    {"checkpoint_frames", kCounter, kNone, "checkpoint_frames", "frames that checkpoints have copied into the database since statistics_since"},
    {"checkpoint_max", kGauge, kSeconds, "checkpoint_max_ms"},
    {"last_checkpoint", kGauge, kTimestamp, "last_checkpoint_at"},

    // statements
    {"statements", kCounter, kNone, [](const DatabaseReading& r) -> Value { return r.statements.calls; }, "executions of statements that have ended"},
    {"statement_rows", kCounter, kNone, [](const DatabaseReading& r) -> Value { return r.statements.rows; }, "rows that statements have returned or changed"},
    {"slow_statements", kCounter, kNone, [](const DatabaseReading& r) -> Value { return r.statements.slow_calls; }, "executions of statements that took slow_query_ms or longer"},
    {"transactions_upgraded", kCounter, kNone, [](const DatabaseReading& r) -> Value { return r.statements.upgraded; }, "deferred transactions that had read, and then wrote"},
    {"upgrades_failed", kCounter, kNone, [](const DatabaseReading& r) -> Value { return r.statements.upgrades_failed; }, "writes that failed in deferred transactions that had read: database is locked"},
    {"cache_hits", kCounter, kNone, [](const DatabaseReading& r) -> Value { return r.statements.cache_hits; }, "pages found in a page cache, of the executions that were looked at"},
    {"cache_misses", kCounter, kNone, [](const DatabaseReading& r) -> Value { return r.statements.cache_misses; }, "pages not found in a page cache, of the executions that were looked at"},
    {"cache_spills", kCounter, kNone, [](const DatabaseReading& r) -> Value { return r.statements.cache_spills; }, "pages written before the commit because a page cache was full, of the executions that were looked at"},
    {"queries_evicted", kCounter, kNone, "queries_evicted"},

    // waits for locks
    {"lock_waits", kCounter, kNone, "lock_waits"},
    {"lock_wait_max", kGauge, kSeconds, "lock_wait_max_ms"},
    {"busy_errors", kCounter, kNone, "busy_errors", "statements since statistics_since that failed because they did not get a lock: database is locked (SQLITE_BUSY)"},
    {"snapshot_conflicts", kCounter, kNone, "snapshot_conflicts"},

    // processes and connections
    {"processes", kGauge, kNone, "processes"},
    {"unmanaged_processes", kGauge, kNone, "unmanaged_processes"},
    {"connections_not_shown", kGauge, kNone, "connections_not_shown"},
    {"pool_connections", kGauge, kNone, "pool_connections"},
    {"pool_calls", kCounter, kNone, "pool_calls"},
    {"pool_waits", kCounter, kNone, "pool_waits"},
    {"pool_timeouts", kCounter, kNone, "pool_timeouts"},
    {"pool_retries", kCounter, kNone, "pool_retries"},
    {"pool_replaced", kCounter, kNone, "pool_replaced"},
    {"pool_utilization", kGauge, kRatio, "pool_utilization"},
    {"statistics_since", kGauge, kTimestamp, "statistics_since"},
};

constexpr DurationMetric kDurationMetrics[] = {
    {"commit", "time of the commits since statistics_since, from the start of the committing statement to the end of walmanager's hook", [](const DatabaseReading& r) { return BoundedHistogram<DurationScale>(r.commits.histogram, r.commits.commit_ns); }},
    {"checkpoint", "duration of the checkpoints since statistics_since", [](const DatabaseReading& r) { return BoundedHistogram<DurationScale>(r.checkpoints.histogram, r.checkpoints.total_ns); }},
    {"statement", "time of the executions of statements, with what the program did between two rows", [](const DatabaseReading& r) { return BoundedHistogram<StatementScale>(r.statements.histogram, r.statements.total_ns); }},
    {"lock_wait", "time of the waits for SQLite's locks since statistics_since", [](const DatabaseReading& r) { return BoundedHistogram<DurationScale>(r.locks.histogram, r.locks.counts.wait_ns); }},
    {"sync", "time of the syncs of a file to the disk since statistics_since, on connections of the program (application) or of walmanager", Syncs<IoOrigin::kApplication, IoFile::kLog>, {{{"file", "wal"}, {"origin", "application"}}}},
    {"sync", nullptr, Syncs<IoOrigin::kApplication, IoFile::kDatabase>, {{{"file", "database"}, {"origin", "application"}}}},
    {"sync", nullptr, Syncs<IoOrigin::kWalmanager, IoFile::kLog>, {{{"file", "wal"}, {"origin", "walmanager"}}}},
    {"sync", nullptr, Syncs<IoOrigin::kWalmanager, IoFile::kDatabase>, {{{"file", "database"}, {"origin", "walmanager"}}}},
};

constexpr IoMetric kIoMetrics[] = {
    {"io_reads", kCounter, kNone, "reads", "calls that have read from the file since statistics_since"},
    {"io_read", kCounter, kBytes, "read_bytes", "bytes read from the file since statistics_since"},
    {"io_read", kCounter, kSeconds, "read_ms", "time of the reads from the file since statistics_since"},
    {"io_writes", kCounter, kNone, "writes", "calls that have written to the file since statistics_since; a frame of the log is two of them"},
    {"io_written", kCounter, kBytes, "written_bytes", "bytes written to the file since statistics_since"},
    {"io_write", kCounter, kSeconds, "write_ms", "time of the writes to the file since statistics_since"},
    {"io_errors", kCounter, kNone, "errors", "reads, writes, syncs and mappings of the file that failed since statistics_since"},
    {"sync_max", kGauge, kSeconds, "sync_max_ms", "time of the longest sync of the file since statistics_since"},
};

constexpr QueryMetric kQueryMetrics[] = {
    {"query_calls", kCounter, kNone, [](const QueryTotals& t) -> Value { return t.calls; }, "executions of the statement that have ended"},
    {"query", kCounter, kSeconds, [](const QueryTotals& t) -> Value { return Ms(t.total_ns); }, "total time of the executions of the statement"},
    {"query_max", kGauge, kSeconds, [](const QueryTotals& t) -> Value { return Ms(t.max_ns); }, "time of the longest execution of the statement"},
    {"query_rows", kCounter, kNone, [](const QueryTotals& t) -> Value { return t.rows; }, "rows that the statement has returned or changed"},
    {"query_slow_calls", kCounter, kNone, [](const QueryTotals& t) -> Value { return t.slow_calls; }, "executions of the statement that took slow_query_ms or longer"},
    {"query_wal_frames", kCounter, kNone, [](const QueryTotals& t) -> Value { return t.wal_frames; }, "frames that commits of the statement have added to the log"},
    {"query_lock_wait", kCounter, kSeconds, [](const QueryTotals& t) -> Value { return Ms(t.locks.wait_ns); }, "total time that executions of the statement have waited for locks"},
    {"query_busy_errors", kCounter, kNone, [](const QueryTotals& t) -> Value { return t.locks.busy_errors; }, "executions of the statement that failed because they did not get a lock: database is locked"},
};
// clang-format on

}  // namespace

std::string MetricUnitName(MetricUnit unit) {
  switch (unit) {
    case kBytes:
      return "bytes";
    case kSeconds:
    case kTimestamp:
      return "seconds";
    case kRatio:
      return "ratio";
    case kNone:
      break;
  }
  return "";
}

std::string MetricName(std::string_view name, MetricUnit unit) {
  std::string whole = "walmanager_";
  whole += name;
  if (unit == kTimestamp) whole += "_timestamp";
  const std::string unit_name = MetricUnitName(unit);
  return unit_name.empty() ? whole : whole + "_" + unit_name;
}

Value InUnit(const Value& value, MetricUnit unit) {
  if (unit == kTimestamp && value.text()) return UnixSeconds(*value.text());
  const bool from_ms = unit == kTimestamp || unit == kSeconds;
  if (!from_ms) return value.text() ? Value() : value;
  if (value.integer()) return static_cast<double>(*value.integer()) / 1000;
  return value.real() ? Value(*value.real() / 1000) : Value();
}

std::span<const Metric> DatabaseMetrics() { return kDatabaseMetrics; }
std::span<const DurationMetric> DurationMetrics() { return kDurationMetrics; }
std::span<const IoMetric> IoMetrics() { return kIoMetrics; }
std::span<const QueryMetric> QueryMetrics() { return kQueryMetrics; }

}  // namespace walmanager
