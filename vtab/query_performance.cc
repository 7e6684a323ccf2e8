// query_performance: one row per normalized statement, over all processes.
#include <algorithm>
#include <cmath>

#include "ext/connection/connection.h"
#include "ext/core/base/hex.h"
#include "ext/core/base/histogram.h"
#include "ext/core/base/sort_by_key.h"
#include "ext/core/base/time_text.h"
#include "ext/core/base/value_json.h"
#include "ext/core/control/query_statistics.h"
#include "vtab/module/each_database.h"
#include "vtab/module/table.h"

namespace walmanager {
namespace {

struct Row {
  std::string schema;
  QueryRow query;
};

Result<std::vector<Row>> Read(TableSource& source) {
  if (Connection* host = source.host()) host->CapturePlans();
  auto rows = RowsOfEachDatabase<Row>(source, [](const Schema& schema, std::vector<Row>& all) {
    const auto control = schema.database->control();
    for (QueryRow& query : QueryStatistics(control->space()).Read(/*with_plans=*/true)) {
      all.push_back({schema.name, std::move(query)});
    }
  });
  if (!rows.ok()) return rows;
  SortLargestFirst(rows.value(), [](const Row& row) { return row.query.totals.total_ns; });
  return rows;
}

// NULL as long as no execution has ended: only commits are known of the statement then.
Value Ms(const Row& row, double nanoseconds) {
  return row.query.totals.calls ? Value(nanoseconds / 1e6) : Value();
}

Value Percentile(const Row& row, double quantile) {
  const QueryTotals& totals = row.query.totals;
  const auto ns = HistogramQuantile<StatementScale>(totals.histogram, quantile);
  if (!ns) return {};
  // The middle of a bucket can be below the shortest or above the longest time in it.
  return Ms(row, std::clamp(*ns, static_cast<double>(totals.min_ns),
                            static_cast<double>(std::max(totals.max_ns, totals.min_ns))));
}

// [[upper end in ms, executions], ...] from the shortest execution to the longest. The last bucket
// has no end of its own, so it ends with the longest.
Value HistogramJson(const Row& row) {
  const QueryTotals& totals = row.query.totals;
  const auto& counts = totals.histogram;
  std::size_t first = 0, end = counts.size();
  while (first < end && counts[first] == 0) ++first;
  while (end > first && counts[end - 1] == 0) --end;
  if (first == end) return {};
  std::string json;
  for (std::size_t bucket = first; bucket < end; ++bucket) {
    json += bucket == first ? "[[" : ",[";
    AppendJsonReal(json, bucket + 1 == StatementScale::kBuckets
                             ? static_cast<double>(totals.max_ns) / 1e6
                             : StatementScale::Upper(bucket) / 1e6);
    json += ',';
    AppendJsonInteger(json, static_cast<std::int64_t>(counts[bucket]));
    json += ']';
  }
  return json + "]";
}

Value StandardDeviation(const Row& row) {
  const QueryTotals& totals = row.query.totals;
  if (totals.calls == 0) return {};
  const auto calls = static_cast<double>(totals.calls);
  const double mean = static_cast<double>(totals.total_ns) / calls;
  return std::sqrt(std::max(0.0, totals.squares / calls - mean * mean)) / 1e6;
}

// `counted` in `of` calls, scaled to all calls.
Value Scaled(const Row& row, std::uint64_t counted, std::uint64_t of) {
  const std::uint64_t calls = row.query.totals.calls;
  if (of == 0 || calls == 0) return {};
  if (of >= calls) return counted;
  return static_cast<std::int64_t>(std::llround(
      static_cast<double>(counted) * static_cast<double>(calls) / static_cast<double>(of)));
}

// NULL if the cache was read for no execution.
Value Cache(const Row& row, std::uint64_t counted) {
  return row.query.totals.cache_calls ? Value(counted) : Value();
}

Value Time(std::int64_t unix_ms) { return unix_ms > 0 ? Value(UtcText(unix_ms)) : Value(); }

}  // namespace

const Table& QueryPerformanceTable() {
  // A column is a line.
  // clang-format off
  static const auto& kTable = *new TableOf<Row>(
      "query_performance", "One row per statement of all processes, with literals and parameters replaced by ?; the longest total time first. Counters begin at first_seen.",
      Read, /*reveals_others=*/true,
      {
          {"schema", kText, "main, or the name given to ATTACH: times count under the main database of the connection that ran the statement, frames and stalls under the database that it committed to", [](const Row& r) -> Value { return r.schema; }},
          {"query_id", kText, "16 hexadecimal digits that name this shape of statement in every process and version; NULL in the row (evicted)", [](const Row& r) -> Value { return r.query.id ? Value(HexText(r.query.id)) : Value(); }},
          {"query", kText, "normalized text of the statement, cut after 1199 bytes; (evicted) is the sum of all statements that made room for others", [](const Row& r) -> Value { return r.query.text; }},
          {"kind", kText, "kind of the statement: read, write, transaction, schema or other", [](const Row& r) -> Value { return r.query.id ? Value(QueryKindName(r.query.kind)) : Value(); }},
          {"calls", kInteger, "executions of the statement that have ended since first_seen", [](const Row& r) -> Value { return r.query.totals.calls; }},
          {"total_ms", kReal, "total time of the executions since first_seen, with what the program did between two rows", [](const Row& r) -> Value { return static_cast<double>(r.query.totals.total_ns) / 1e6; }},
          {"mean_ms", kReal, "mean time of an execution since first_seen", [](const Row& r) -> Value { return Ms(r, static_cast<double>(r.query.totals.total_ns) / static_cast<double>(std::max<std::uint64_t>(r.query.totals.calls, 1))); }},
          {"min_ms", kReal, "time of the shortest execution since first_seen", [](const Row& r) -> Value { return Ms(r, static_cast<double>(r.query.totals.min_ns)); }},
          {"max_ms", kReal, "time of the longest execution since first_seen", [](const Row& r) -> Value { return Ms(r, static_cast<double>(r.query.totals.max_ns)); }},
          {"stddev_ms", kReal, "standard deviation of the times of the executions since first_seen", [](const Row& r) -> Value { return StandardDeviation(r); }},
          {"p50_ms", kReal, "median time of the executions since first_seen, within 6 %", [](const Row& r) -> Value { return Percentile(r, 0.50); }},
          {"p95_ms", kReal, "time within which 95 of 100 executions since first_seen ended, within 6 %", [](const Row& r) -> Value { return Percentile(r, 0.95); }},
          {"p99_ms", kReal, "time within which 99 of 100 executions since first_seen ended, within 6 %", [](const Row& r) -> Value { return Percentile(r, 0.99); }},
          {"rows", kInteger, "rows that the executions since first_seen returned (reads and RETURNING) or changed (writes)", [](const Row& r) -> Value { return r.query.totals.rows; }},
          {"fullscan_steps", kInteger, "steps forward in full scans of tables since first_seen", [](const Row& r) -> Value { return Scaled(r, r.query.totals.fullscan_steps, r.query.totals.scan_calls); }},
          {"sorts", kInteger, "sorts since first_seen that an index could have saved", [](const Row& r) -> Value { return Scaled(r, r.query.totals.sorts, r.query.totals.scan_calls); }},
          {"auto_index_rows", kInteger, "rows put into indexes that SQLite made for one execution, since first_seen", [](const Row& r) -> Value { return Scaled(r, r.query.totals.auto_index_rows, r.query.totals.scan_calls); }},
          {"vm_steps", kInteger, "operations of SQLite's virtual machine since first_seen", [](const Row& r) -> Value { return Scaled(r, r.query.totals.vm_steps, r.query.totals.scan_calls); }},
          {"reprepares", kInteger, "times since first_seen that SQLite prepared the statement again, because the schema or a setting had changed", [](const Row& r) -> Value { return r.query.totals.reprepares; }},
          {"cache_hits", kInteger, "pages found in the connection's page cache since first_seen", [](const Row& r) -> Value { return Cache(r, r.query.totals.cache_hits); }},
          {"cache_misses", kInteger, "pages not found in the connection's page cache since first_seen, and read from log or database", [](const Row& r) -> Value { return Cache(r, r.query.totals.cache_misses); }},
          {"cache_writes", kInteger, "pages that the statement wrote since first_seen", [](const Row& r) -> Value { return Cache(r, r.query.totals.cache_writes); }},
          {"cache_spills", kInteger, "pages written before the commit since first_seen, because the page cache was full", [](const Row& r) -> Value { return Cache(r, r.query.totals.cache_spills); }},
          {"wal_frames", kInteger, "frames that commits of the statement added to the log since first_seen", [](const Row& r) -> Value { return r.query.totals.wal_frames; }},
          {"checkpoint_stall_ms", kReal, "total time that commits of the statement spent in walmanager's hook since first_seen", [](const Row& r) -> Value { return static_cast<double>(r.query.totals.stall_ns) / 1e6; }},
          {"slow_calls", kInteger, "executions since first_seen that took slow_query_ms or longer", [](const Row& r) -> Value { return r.query.totals.slow_calls; }},
          {"first_seen", kText, "when the statement was first seen, in UTC", [](const Row& r) -> Value { return Time(r.query.first_seen_ms); }},
          {"last_seen", kText, "when the statement was last seen, in UTC", [](const Row& r) -> Value { return Time(r.query.totals.last_seen_ms); }},
          {"plan", kText, "EXPLAIN QUERY PLAN of the statement and its triggers, cut after 1007 bytes; made in the background, once for each version of the schema as of which it runs; empty where no table is read, NULL where it is not known; hidden: ask for it by name", [](const Row& r) -> Value { return r.query.has_plan ? Value(r.query.plan) : Value(); }, kHidden},
          {"counters_sampled", kInteger, "1 if scans, steps and cache pages were read for a part of the executions only, and scaled to all", [](const Row& r) -> Value { return std::min(r.query.totals.scan_calls, r.query.totals.cache_calls) < r.query.totals.calls; }},
          {"transactions_upgraded", kInteger, "deferred transactions since first_seen that had read, and wrote first in this statement", [](const Row& r) -> Value { return r.query.totals.upgraded; }},
          {"texts", kInteger, "about how many different texts the statement had; many mean literals in the place of parameters", [](const Row& r) -> Value { return r.query.id ? Value(r.query.texts) : Value(); }},
          {"upgrades_failed", kInteger, "executions since first_seen that failed to write in a deferred transaction that had read: \"database is locked\"", [](const Row& r) -> Value { return r.query.totals.upgrades_failed; }},
          {"lock_waits", kInteger, "times since first_seen that the statement did not get a lock of SQLite's at once, because another connection had it", [](const Row& r) -> Value { return r.query.totals.locks.waits; }},
          {"lock_wait_ms", kReal, "total time since first_seen that executions waited for locks", [](const Row& r) -> Value { return static_cast<double>(r.query.totals.locks.wait_ns) / 1e6; }},
          {"busy_errors", kInteger, "executions since first_seen that failed because they did not get a lock: \"database is locked\" (SQLITE_BUSY)", [](const Row& r) -> Value { return r.query.totals.locks.busy_errors; }},
          {"snapshot_conflicts", kInteger, "executions since first_seen that failed because another connection had committed since their transaction began to read: \"database is locked\" (SQLITE_BUSY_SNAPSHOT), which no timeout cures", [](const Row& r) -> Value { return r.query.totals.locks.snapshot_conflicts; }},
          {"histogram", kText, "executions since first_seen by their time, as a JSON array of [upper end in ms, executions] from the shortest to the longest, eight classes for each doubling; NULL before one has ended; hidden: ask for it by name", [](const Row& r) -> Value { return HistogramJson(r); }, kHidden},
      });
  // clang-format on
  return kTable;
}

}  // namespace walmanager
