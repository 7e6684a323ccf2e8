// index_candidates: one row per missing index. The search runs when the table is read.
#include <optional>

#include "ext/advisor/index_advisor.h"
#include "ext/core/base/hex.h"
#include "ext/core/base/sort_by_key.h"
#include "ext/system/clock.h"
#include "vtab/module/each_database.h"
#include "vtab/module/table.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kMostNs = 200'000'000;  // for all databases

struct Row {
  std::string schema;
  IndexCandidate index;
};

// Drops the plans of other versions of the schema: the statement may run differently now.
void ForgetOldPlans(Connection& connection, const Schema& schema, const QueryStatistics& statistics,
                    std::vector<QueryRow>& queries) {
  const auto version =
      connection.Query("PRAGMA " + Connection::Quoted(schema.name) + ".schema_version");
  std::optional<std::uint32_t> now;
  if (version.ok() && version.value())
    now = static_cast<std::uint32_t>(std::stoll(*version.value()));
  for (QueryRow& query : queries) {
    const auto entry = statistics.Find(query.id);
    if (!now || !entry || statistics.PlanSchemaVersion(*entry) != now) query.plan.clear();
  }
}

Result<std::vector<Row>> Read(TableSource& source) {
  const std::uint64_t deadline_ns = MonotonicNs() + kMostNs;
  if (!source.host()) return std::vector<Row>{};  // only a connection can read the schema
  Connection& connection = *source.host();
  connection.CapturePlans();
  auto rows = RowsOfEachDatabase<Row>(source, [&](const Schema& schema, std::vector<Row>& all) {
    const auto control = schema.database->control();
    const QueryStatistics statistics(control->space());
    auto queries = statistics.Read(/*with_plans=*/true);
    ForgetOldPlans(connection, schema, statistics, queries);
    for (IndexCandidate& index :
         FindIndexCandidates(connection, schema.name, std::move(queries), deadline_ns)) {
      all.push_back({schema.name, std::move(index)});
    }
  });
  if (!rows.ok()) return rows;
  SortLargestFirst(rows.value(), [](const Row& row) { return row.index.total_ns; });
  return rows;
}

std::string Columns(const Row& row) {
  std::string names;
  for (const std::string& column : row.index.columns)
    (names += names.empty() ? "" : ", ") += column;
  return names;
}

}  // namespace

const Table& IndexCandidatesTable() {
  // A column is a line.
  // clang-format off
  static const auto& kTable = *new TableOf<Row>(
      "index_candidates", "One row per missing index, for statements of query_performance that scan, sort or make an index for one execution, and take 1000 steps or more. Each index was created in an empty copy of the schema with the statistics of ANALYZE, and SQLite used it there. Of each database the 50 statements that take the most time are looked at, for 200 ms at most.",
      Read, /*reveals_others=*/true,
      {
          {"schema", kText, "name of the database on this connection: main, or the name given to ATTACH", [](const Row& r) -> Value { return r.schema; }},
          {"table_name", kText, "name of the table that lacks the index", [](const Row& r) -> Value { return r.index.table; }},
          {"columns", kText, "columns of the index in their order: first those compared for equality, then a range or an order", [](const Row& r) -> Value { return Columns(r); }},
          {"sql_to_run", kText, "CREATE INDEX under a name that is free. Consider what it costs writes, and run ANALYZE or PRAGMA optimize after it.", [](const Row& r) -> Value { return r.index.sql_to_run; }},
          {"plan_before", kText, "EXPLAIN QUERY PLAN of the column query with the schema as it is", [](const Row& r) -> Value { return r.index.plan_before; }},
          {"plan_after", kText, "EXPLAIN QUERY PLAN of the column query with this index and the others proposed here", [](const Row& r) -> Value { return r.index.plan_after; }},
          {"query_id", kText, "query_performance.query_id of the statement that takes the most time, among those that gain from the index", [](const Row& r) -> Value { return HexText(r.index.query_id); }},
          {"query", kText, "normalized text of the statement that takes the most time, among those that gain from the index", [](const Row& r) -> Value { return r.index.query; }},
          {"calls", kInteger, "executions of all statements that gain from the index", [](const Row& r) -> Value { return r.index.calls; }},
          {"total_ms", kReal, "total time of all statements that gain from the index", [](const Row& r) -> Value { return static_cast<double>(r.index.total_ns) / 1e6; }},
          {"statements", kInteger, "number of statements that gain from the index", [](const Row& r) -> Value { return r.index.statements; }},
      });
  // clang-format on
  return kTable;
}

}  // namespace walmanager
