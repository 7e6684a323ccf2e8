// stale_statistics: tables that have grown to ten times, or shrunk to a tenth, of the rows that
// ANALYZE saw. Rows are counted only as far as it takes to decide that.
#include <cstdlib>

#include "ext/connection/connection.h"
#include "ext/system/clock.h"
#include "vtab/module/each_database.h"
#include "vtab/module/table.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kMostNs = 100'000'000;   // for all databases
constexpr std::int64_t kMostAnalyzed = 100'000;  // rows: counting more takes too long
constexpr std::int64_t kFewest = 100;  // rows: statistics of a smaller table matter little

struct Row {
  std::string schema, table;
  std::int64_t analyzed = 0, at_least = 0;
};

// The number of rows, at most `most`; nullopt if they cannot be read.
std::optional<std::int64_t> Count(Connection& connection, const std::string& table,
                                  std::int64_t most) {
  const auto count = connection.Query("SELECT count(*) FROM (SELECT 1 FROM " + table + " LIMIT " +
                                      std::to_string(most) + ")");
  if (!count.ok() || !count.value()) return std::nullopt;
  return std::strtoll(count.value()->c_str(), nullptr, 10);
}

Result<std::vector<Row>> Read(TableSource& source) {
  const std::uint64_t deadline = MonotonicNs() + kMostNs;
  if (!source.host()) return std::vector<Row>{};  // only a connection can count rows
  Connection& connection = *source.host();
  return RowsOfEachDatabase<Row>(source, [&](const Schema& schema, std::vector<Row>& rows) {
    const std::string name = Connection::Quoted(schema.name);
    // Look first: SQLite writes to the program's error log if the table does not exist.
    const auto there =
        connection.Query("SELECT 1 FROM " + name + ".sqlite_schema WHERE name = 'sqlite_stat1'");
    if (!there.ok() || !there.value()) return;
    // The first number of `stat` is the rows of the table: https://www.sqlite.org/fileformat2.html.
    // A hostile database can name a view in sqlite_stat1, and the view would run any SQL. So only
    // ordinary tables are counted.
    const auto analyzed = connection.Rows(
        "SELECT tbl, max(CAST(stat AS INTEGER)) FROM " + name +
            ".sqlite_stat1 WHERE tbl NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND tbl IN (SELECT name "
            "FROM " +
            name + ".sqlite_schema WHERE type = 'table' AND rootpage > 0) GROUP BY tbl",
        "");
    if (!analyzed.ok()) return;  // sqlite_stat1 cannot be read
    for (const Connection::TextRow& row : analyzed.value()) {
      if (MonotonicNs() > deadline) return;
      if (row.size() < 2 || !row[0] || !row[1]) continue;
      const std::int64_t then = std::strtoll(row[1]->c_str(), nullptr, 10);
      if (then < 0 || then > kMostAnalyzed) continue;
      const std::int64_t grown = std::max(kFewest, 10 * then);
      const auto now = Count(connection, name + "." + Connection::Quoted(*row[0]), grown);
      if (!now) continue;
      const bool shrunk = then >= kFewest && *now <= then / 10;
      if (*now >= grown || shrunk) rows.push_back({schema.name, *row[0], then, *now});
    }
  });
}

}  // namespace

const Table& StaleStatisticsTable() {
  // A column is a line.
  // clang-format off
  static const auto& kTable = *new TableOf<Row>(
      "stale_statistics", "One row per table that has grown tenfold or shrunk to a tenth since ANALYZE looked at it. Only tables that had up to 100000 rows then are compared.",
      Read, /*reveals_others=*/true,
      {
          {"schema", kText, "name of the database on this connection: main, or the name given to ATTACH", [](const Row& r) -> Value { return r.schema; }},
          {"table_name", kText, "name of the table whose statistics are old", [](const Row& r) -> Value { return r.table; }},
          {"analyzed_rows", kInteger, "rows of the table when ANALYZE looked at it", [](const Row& r) -> Value { return r.analyzed; }},
          {"rows_at_least", kInteger, "rows of the table now, counted no further than ten times analyzed_rows", [](const Row& r) -> Value { return r.at_least; }},
      });
  // clang-format on
  return kTable;
}

}  // namespace walmanager
