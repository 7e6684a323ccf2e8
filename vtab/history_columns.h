// The columns that wal_history and wal_periods have in common: what was counted in a stretch of
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

inline Value SamplePercentile(const std::vector<std::uint64_t>& histogram, double quantile) {
  const auto ns = HistogramQuantile<HistoryScale>(histogram, quantile);
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

// `first` and the common ones.
template <typename Row>
std::vector<Column<Row>> WithHistoryColumns(std::vector<Column<Row>> first) {
  // A column is a line.
  // clang-format off
  const std::vector<Column<Row>> common = {
      {"wal_bytes", kInteger, "the log's file, mean", [](const Row& r) -> Value { return SampleBytes(r.sample.wal_bytes); }},
      {"pending_frames", kReal, "frames not in the database yet, mean", [](const Row& r) -> Value { return SampleMean(r.sample.pending_frames); }},
      {"commits", kInteger, "to the log", [](const Row& r) -> Value { return r.sample.counters.commits; }},
      {"statements", kInteger, "executions that ended", [](const Row& r) -> Value { return r.sample.counters.statements; }},
      {"query_p95_ms", kReal, "95 % of statements took less; within 11.2 %; NULL where there was none", [](const Row& r) -> Value { return SamplePercentile(r.sample.query_histogram, 0.95); }},
      {"commit_p99_ms", kReal, "99 % of commits took less; within 11.2 %", [](const Row& r) -> Value { return SamplePercentile(r.sample.commit_histogram, 0.99); }},
      {"checkpoint_ms", kReal, "time in checkpoints", [](const Row& r) -> Value { return SampleMs(r.sample.counters.checkpoint_ns); }},
      {"active_readers", kReal, "read marks held, mean", [](const Row& r) -> Value { return SampleMean(r.sample.active_readers); }},
      {"cache_hit_ratio", kReal, "pages found in a cache, of those wanted by statements that were looked at", [](const Row& r) -> Value { return SampleHitRatio(r.sample); }},
      {"health_score", kInteger, "of system_health's overall, without what one connection alone knows; the least", [](const Row& r) -> Value { return SampleExtreme(r.sample.health_score); }},
      {"covers_ms", kInteger, "the time that the counts are of; more than the resolution after a time when nobody took samples", [](const Row& r) -> Value { return r.sample.covers_ms; }},
      {"samples", kInteger, "how many it was made of", [](const Row& r) -> Value { return r.sample.samples; }},
      {"wal_bytes_max", kInteger, "the largest", [](const Row& r) -> Value { return SampleExtreme(r.sample.wal_bytes); }},
      {"pending_frames_max", kInteger, "the most", [](const Row& r) -> Value { return SampleExtreme(r.sample.pending_frames); }},
      {"active_readers_max", kInteger, "the most", [](const Row& r) -> Value { return SampleExtreme(r.sample.active_readers); }},
      {"connections", kReal, "of applications, mean", [](const Row& r) -> Value { return SampleMean(r.sample.connections); }},
      {"database_bytes", kInteger, "mean", [](const Row& r) -> Value { return SampleBytes(r.sample.database_bytes); }},
      {"frames_written", kInteger, "added to the log", [](const Row& r) -> Value { return r.sample.counters.frames_written; }},
      {"commit_ms", kReal, "time in committing statements", [](const Row& r) -> Value { return SampleMs(r.sample.counters.commit_ns); }},
      {"checkpoint_stall_ms", kReal, "of that, in the hook", [](const Row& r) -> Value { return SampleMs(r.sample.counters.stall_ns); }},
      {"checkpoints", kInteger, "that ran", [](const Row& r) -> Value { return r.sample.counters.checkpoints; }},
      {"checkpoints_in_vain", kInteger, "of these, partial, busy or failed", [](const Row& r) -> Value { return r.sample.counters.checkpoints_in_vain; }},
      {"checkpoint_frames", kInteger, "moved into the database", [](const Row& r) -> Value { return r.sample.counters.checkpoint_frames; }},
      {"slow_statements", kInteger, "that took slow_query_ms or more", [](const Row& r) -> Value { return r.sample.counters.slow_statements; }},
      {"transactions_upgraded", kInteger, "that began with a read and then wrote", [](const Row& r) -> Value { return r.sample.counters.transactions_upgraded; }},
      {"cache_pages", kInteger, "pages that the statements of cache_hit_ratio wanted", [](const Row& r) -> Value { return r.sample.counters.cache_hits + r.sample.counters.cache_misses; }},
      {"upgrades_failed", kInteger, "writes that failed in transactions that began with a read", [](const Row& r) -> Value { return r.sample.counters.upgrades_failed; }},
  };
  // clang-format on
  first.insert(first.end(), common.begin(), common.end());
  return first;
}

}  // namespace walmanager
