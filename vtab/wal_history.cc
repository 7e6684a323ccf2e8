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
    for (HistorySample& sample : History(schema.database->control()->memory()).Read()) {
      rows.push_back({schema.name, std::move(sample)});
    }
  });
}

}  // namespace

const Table& WalHistoryTable() {
  // A column is a line.
  // clang-format off
  static const auto& kTable = *new TableOf<Row>(
      "wal_history", "What was counted: the last 900 samples, then minutes for a day and hours for 90 days; of each the oldest first, hours first.",
      Read, /*reveals_others=*/true, WithHistoryColumns<Row>(
      {
          {"schema", kText, "main, or the name given to ATTACH", [](const Row& r) -> Value { return r.schema; }},
          {"at", kText, "UTC, its end", [](const Row& r) -> Value { return UtcText(r.sample.at_ms); }},
          {"resolution_ms", kInteger, "the sample interval, 60000 or 3600000", [](const Row& r) -> Value { return r.sample.resolution_ms; }},
      }));
  // clang-format on
  return kTable;
}

}  // namespace walmanager
