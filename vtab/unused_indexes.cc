// unused_indexes: one row per index that nothing needs. The search runs when the table is read.
#include "ext/advisor/unused_indexes.h"

#include <algorithm>
#include <optional>

#include "ext/core/base/time_text.h"
#include "ext/core/control/evidence.h"
#include "ext/core/control/query_statistics.h"
#include "ext/system/clock.h"
#include "vtab/module/each_database.h"
#include "vtab/module/table.h"

namespace walmanager {
namespace {

struct Row {
  Connection* connection = nullptr;  // in whose statement the rows are read
  std::string schema;
  UnusedIndexReport index;
  std::int64_t since_ms = 0;  // 0: no statement was seen
};

// A connection that has attached the database counts its statements with its own main database.
bool WasAttachedSince(ControlFile& control, std::int64_t since_ms) {
  if (LastAttachedMs(control.evidence(), UnixMs()) >= since_ms) return true;
  const auto connections = control.Connections();
  return std::any_of(connections.begin(), connections.end(), [](const ConnectionEntry& entry) {
    return !entry.main && entry.role == ConnectionRole::kApplication;
  });
}

// Statistics of statements may begin later than the others.
std::int64_t SeenSince(ControlFile& control, const std::vector<QueryRow>& queries) {
  std::int64_t first_ms = 0;
  for (const QueryRow& query : queries) {
    if (query.id == 0 || query.first_seen_ms <= 0) continue;
    if (first_ms == 0 || query.first_seen_ms < first_ms) first_ms = query.first_seen_ms;
  }
  if (first_ms == 0) return 0;
  return std::max(first_ms,
                  static_cast<std::int64_t>(control.region().header().statistics_since_ms.load()));
}

Result<std::vector<Row>> Read(TableSource& source) {
  Connection* connection = source.host();
  if (!connection) return std::vector<Row>{};  // only a connection can read the schema
  connection->CapturePlans();
  return RowsOfEachDatabase<Row>(source, [&](const Schema& schema, std::vector<Row>& all) {
    const auto control = schema.database->control();
    const auto queries = QueryStatistics(control->space()).Read(/*with_plans=*/true);
    const std::int64_t since_ms = SeenSince(*control, queries);
    for (UnusedIndexReport& index : ReportUnusedIndexes(*connection, schema.name, queries,
                                                        !WasAttachedSince(*control, since_ms))) {
      all.push_back({connection, schema.name, std::move(index), since_ms});
    }
  });
}

std::string Reason(const UnusedIndexReport& index) {
  switch (index.reason) {
    case UnusedIndex::Reason::kPrefix:
      return "prefix of " + index.covered_by;
    case UnusedIndex::Reason::kDuplicate:
      return "duplicate of " + index.covered_by;
    case UnusedIndex::Reason::kNotUsed:
      break;
  }
  return "not used by any statement seen";
}

Value Bytes(const Row& row) {
  const auto bytes = BytesOfIndex(*row.connection, row.schema, row.index.name);
  return bytes ? Value(*bytes) : Value();
}

}  // namespace

const Table& UnusedIndexesTable() {
  // A column is a line.
  // clang-format off
  static const auto& kTable = *new TableOf<Row>(
      "unused_indexes", "One row per index that costs writes and space and that nothing needs. Never a UNIQUE index or one that a statement or the schema names by INDEXED BY. An index is not reported as not used where query_performance has a statement that names its table and whose plan is not known as of the current schema, or may depend on its values; where an index serves a foreign key; where statements were evicted; or where a connection has had the database attached since then, as its statements count with its own main database.",
      Read, /*reveals_others=*/true,
      {
          {"schema", kText, "name of the database on this connection: main, or the name given to ATTACH", [](const Row& r) -> Value { return r.schema; }},
          {"table_name", kText, "name of the table that has the index", [](const Row& r) -> Value { return r.index.table; }},
          {"index_name", kText, "name of the index", [](const Row& r) -> Value { return r.index.name; }},
          {"reason", kText, "not used by any statement seen: by none of query_performance; prefix of another index, while no plan of them uses this one; or duplicate of another index, which then serves the same statements", [](const Row& r) -> Value { return Reason(r.index); }},
          {"covered_by", kText, "name of the index that begins with the same columns, collations and directions, and is of the same rows; NULL if the index is not used", [](const Row& r) -> Value { return r.index.covered_by.empty() ? Value() : Value(r.index.covered_by); }},
          {"bytes", kInteger, "size of the pages of the index; read for each row that asks for it, from dbstat, and NULL where this SQLite has no dbstat", [](const Row& r) -> Value { return Bytes(r); }},
          {"since", kText, "since when statements were seen, in UTC: what runs more seldom, or in programs without walmanager, is not known; NULL if none was seen", [](const Row& r) -> Value { return r.since_ms > 0 ? Value(UtcText(r.since_ms)) : Value(); }},
          {"sql_to_run", kText, "DROP INDEX for this index. Run it for one index, and look again", [](const Row& r) -> Value { return r.index.sql_to_run; }},
      });
  // clang-format on
  return kTable;
}

}  // namespace walmanager
