// The columns that wal_history and wal_periods have in common: what was counted in a period of
// time. `Row` has a member `sample`.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "ext/core/base/histogram.h"
#include "ext/core/control/history.h"
#include "vtab/module/table.h"

namespace walmanager {

inline Value SampleMs(std::uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e6; }

template <typename Scale = HistoryScale>
Value SamplePercentile(const std::vector<std::uint64_t>& histogram, double quantile) {
  const auto ns = HistogramQuantile<Scale>(histogram, quantile);
  return ns ? Value(*ns / 1e6) : Value();
}

inline Value SampleMean(const std::optional<HistoryGauge>& gauge) {
  return gauge ? Value(gauge->mean) : Value();
}
inline Value SampleBytes(const std::optional<HistoryGauge>& gauge) {
  return gauge ? Value(static_cast<std::int64_t>(std::llround(gauge->mean))) : Value();
}
inline Value SampleExtreme(const std::optional<HistoryGauge>& gauge) {
  return gauge ? Value(gauge->extreme) : Value();
}

inline Value SampleHitRatio(const HistorySample& sample) {
  const std::uint64_t all = sample.counters.cache_hits + sample.counters.cache_misses;
  if (all == 0) return {};
  return static_cast<double>(sample.counters.cache_hits) / static_cast<double>(all);
}

// `first`, then the common columns.
template <typename Row>
std::vector<Column<Row>> WithHistoryColumns(std::vector<Column<Row>> first) {
  // A column is a line.
  // clang-format off
  const std::vector<Column<Row>> common = {
      {"wal_bytes", kInteger, "mean size of the -wal file in this time, in bytes", [](const Row& r) -> Value { return SampleBytes(r.sample.wal_bytes); }},
      {"pending_frames", kReal, "mean number of frames in this time that were not in the database yet", [](const Row& r) -> Value { return SampleMean(r.sample.pending_frames); }},
      {"commits", kInteger, "commits to the log in this time", [](const Row& r) -> Value { return r.sample.counters.commits; }},
      {"statements", kInteger, "executions of statements that ended in this time", [](const Row& r) -> Value { return r.sample.counters.statements; }},
      {"query_p95_ms", kReal, "time that 95 % of the statements of this time stayed below, within 11.2 %; NULL if there was none", [](const Row& r) -> Value { return SamplePercentile(r.sample.query_histogram, 0.95); }},
      {"commit_p99_ms", kReal, "time that 99 % of the commits of this time stayed below, within 11.2 %; NULL if there was none", [](const Row& r) -> Value { return SamplePercentile(r.sample.commit_histogram, 0.99); }},
      {"checkpoint_ms", kReal, "total duration of the checkpoints of this time", [](const Row& r) -> Value { return SampleMs(r.sample.counters.checkpoint_ns); }},
      {"active_readers", kReal, "mean number of read marks that were held in this time", [](const Row& r) -> Value { return SampleMean(r.sample.active_readers); }},
      {"cache_hit_ratio", kReal, "share of the wanted pages that were in a page cache in this time, 0 to 1, of the statements that were looked at", [](const Row& r) -> Value { return SampleHitRatio(r.sample); }},
      {"health_score", kInteger, "lowest score of system_health's overall in this time, without checks that only one connection can answer", [](const Row& r) -> Value { return SampleExtreme(r.sample.health_score); }},
      {"covers_ms", kInteger, "time that the counts of the row cover; longer than the resolution if no process took samples before", [](const Row& r) -> Value { return r.sample.covers_ms; }},
      {"samples", kInteger, "number of samples that the row is made of", [](const Row& r) -> Value { return r.sample.samples; }},
      {"wal_bytes_max", kInteger, "largest size of the -wal file in this time, in bytes", [](const Row& r) -> Value { return SampleExtreme(r.sample.wal_bytes); }},
      {"pending_frames_max", kInteger, "largest number of frames in this time that were not in the database yet", [](const Row& r) -> Value { return SampleExtreme(r.sample.pending_frames); }},
      {"active_readers_max", kInteger, "largest number of read marks that were held in this time", [](const Row& r) -> Value { return SampleExtreme(r.sample.active_readers); }},
      {"connections", kReal, "mean number of connections with role application in this time", [](const Row& r) -> Value { return SampleMean(r.sample.connections); }},
      {"database_bytes", kInteger, "mean size of the database file in this time, in bytes", [](const Row& r) -> Value { return SampleBytes(r.sample.database_bytes); }},
      {"frames_written", kInteger, "frames that commits of this time added to the log", [](const Row& r) -> Value { return r.sample.counters.frames_written; }},
      {"commit_ms", kReal, "total time of the committing statements of this time", [](const Row& r) -> Value { return SampleMs(r.sample.counters.commit_ns); }},
      {"checkpoint_stall_ms", kReal, "total time that committing statements spent in walmanager's hook in this time", [](const Row& r) -> Value { return SampleMs(r.sample.counters.stall_ns); }},
      {"checkpoints", kInteger, "checkpoints that ran in this time", [](const Row& r) -> Value { return r.sample.counters.checkpoints; }},
      {"checkpoints_in_vain", kInteger, "checkpoints of this time that were partial, busy or failed", [](const Row& r) -> Value { return r.sample.counters.checkpoints_in_vain; }},
      {"checkpoint_frames", kInteger, "frames that checkpoints copied into the database in this time", [](const Row& r) -> Value { return r.sample.counters.checkpoint_frames; }},
      {"slow_statements", kInteger, "executions of this time that took slow_query_ms or longer", [](const Row& r) -> Value { return r.sample.counters.slow_statements; }},
      {"transactions_upgraded", kInteger, "transactions of this time that began with a read and then wrote", [](const Row& r) -> Value { return r.sample.counters.transactions_upgraded; }},
      {"cache_pages", kInteger, "pages wanted in this time by the statements that cache_hit_ratio is about", [](const Row& r) -> Value { return r.sample.counters.cache_hits + r.sample.counters.cache_misses; }},
      {"upgrades_failed", kInteger, "writes of this time that failed in transactions that began with a read", [](const Row& r) -> Value { return r.sample.counters.upgrades_failed; }},
      {"lock_waits", kInteger, "times in this time that a statement did not get a lock of SQLite's at once, because another connection had it", [](const Row& r) -> Value { return r.sample.counters.lock_waits; }},
      {"lock_wait_ms", kReal, "total time that statements waited for locks, of the waits that ended in this time", [](const Row& r) -> Value { return SampleMs(r.sample.counters.lock_wait_ns); }},
      {"lock_wait_p99_ms", kReal, "time that 99 % of the waits for locks of this time stayed below, within 11.2 %; NULL if there was none", [](const Row& r) -> Value { return SamplePercentile<HistoryWaitScale>(r.sample.lock_wait_histogram, 0.99); }},
      {"busy_errors", kInteger, "statements of this time that failed because they did not get a lock: \"database is locked\" (SQLITE_BUSY)", [](const Row& r) -> Value { return r.sample.counters.busy_errors; }},
      {"snapshot_conflicts", kInteger, "statements of this time that failed because another connection had committed since their transaction began to read (SQLITE_BUSY_SNAPSHOT)", [](const Row& r) -> Value { return r.sample.counters.snapshot_conflicts; }},
      {"syncs", kInteger, "times in this time that the database file or its log was synced to the disk", [](const Row& r) -> Value { return r.sample.counters.syncs; }},
      {"sync_ms", kReal, "total time of these syncs", [](const Row& r) -> Value { return SampleMs(r.sample.counters.sync_ns); }},
      {"sync_p99_ms", kReal, "time that 99 % of the syncs of this time stayed below, within 11.2 %; NULL if there was none", [](const Row& r) -> Value { return SamplePercentile<HistoryWaitScale>(r.sample.sync_histogram, 0.99); }},
  };
  // clang-format on
  first.insert(first.end(), common.begin(), common.end());
  return first;
}

}  // namespace walmanager
