// wal_history: samples of what was counted, in three resolutions.
#include "ext/core/base/time_text.h"
#include "vtab/history_columns.h"
#include "vtab/module/each_database.h"
#include "vtab/module/table.h"

namespace walmanager {
namespace {

struct Row {
  std::string schema;
  HistorySample sample;
};

Result<std::vector<Row>> Read(TableSource& source) {
  return RowsOfEachDatabase<Row>(source, [&](const Schema& schema, std::vector<Row>& rows) {
    source.Watch(schema, Database::Watching::kSample);
    for (HistorySample& sample : History(schema.database->control()->space()).Read()) {
      rows.push_back({schema.name, std::move(sample)});
    }
  });
}

}  // namespace

const Table& WalHistoryTable() {
  // A column is a line.
  // clang-format off
  static const auto& kTable = *new TableOf<Row>(
      "wal_history", "Samples of what was counted, of all processes: the last 900 samples, then minutes for a day, then hours for 90 days. Hours come first, and of each the oldest.",
      Read, /*reveals_others=*/true, WithHistoryColumns<Row>(
      {
          {"schema", kText, "name of the database on this connection: main, or the name given to ATTACH", [](const Row& r) -> Value { return r.schema; }},
          {"at", kText, "when the sample, minute or hour ended, in UTC", [](const Row& r) -> Value { return UtcText(r.sample.at_ms); }},
          {"resolution_ms", kInteger, "length of what the row stands for: the sample interval, 60000 or 3600000", [](const Row& r) -> Value { return r.sample.resolution_ms; }},
      }));
  // clang-format on
  return kTable;
}

}  // namespace walmanager
