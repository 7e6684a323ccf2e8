// wal_alerts: the checks that became worse, and the settings and strategies that were changed.
#include "ext/core/base/sort_by_key.h"
#include "ext/core/base/time_text.h"
#include "ext/core/control/alerts.h"
#include "vtab/module/each_database.h"
#include "vtab/module/table.h"

namespace walmanager {
namespace {

struct Row {
  std::string schema;
  AlertEntry alert;
};

Result<std::vector<Row>> Read(TableSource& source) {
  auto rows = RowsOfEachDatabase<Row>(source, [&](const Schema& schema, std::vector<Row>& all) {
    source.Watch(schema, Database::Watching::kSampleAndAlerts);
    for (AlertEntry& alert : Alerts(schema.database->control()->space()).Read()) {
      all.push_back({schema.name, std::move(alert)});
    }
  });
  if (!rows.ok()) return rows;
  SortLargestFirst(rows.value(), [](const Row& row) { return row.alert.raised_ms; });
  return rows;
}

Value Cleared(const Row& row) {
  return row.alert.cleared_ms ? Value(UtcText(*row.alert.cleared_ms)) : Value();
}

}  // namespace

const Table& WalAlertsTable() {
  // A column is a line.
  // clang-format off
  static const auto& kTable = *new TableOf<Row>(
      "wal_alerts", "One row per check of system_health that became worse, and per change of a setting or strategy; the newest 256, newest first.",
      Read, /*reveals_others=*/true,
      {
          {"schema", kText, "name of the database on this connection: main, or the name given to ATTACH", [](const Row& r) -> Value { return r.schema; }},
          {"id", kInteger, "number of the alert, growing from alert to alert", [](const Row& r) -> Value { return r.alert.id; }},
          {"check_name", kText, "check of system_health that became worse; setting or strategy if one was changed", [](const Row& r) -> Value { return r.alert.check; }},
          {"status", kText, "what the check became: warning or critical; changed for a setting or strategy; warning for a rule whose condition failed", [](const Row& r) -> Value { return AlertStatusName(r.alert.status); }},
          {"value", kReal, "value that raised the alert; NULL if it is not a number", [](const Row& r) -> Value { return r.alert.value; }},
          {"threshold", kReal, "threshold of the status that the check reached", [](const Row& r) -> Value { return r.alert.threshold; }},
          {"raised_at", kText, "when the alert was raised, in UTC: after alert_samples evaluations in a row found it, for a change at once", [](const Row& r) -> Value { return UtcText(r.alert.raised_ms); }},
          {"cleared_at", kText, "when the alert was cleared, in UTC: after twice as many evaluations found it better, for a change at once; NULL while it lasts", [](const Row& r) -> Value { return Cleared(r); }},
          {"detail", kText, "what the check found, or which process changed which setting", [](const Row& r) -> Value { return r.alert.detail; }},
      });
  // clang-format on
  return kTable;
}

}  // namespace walmanager
