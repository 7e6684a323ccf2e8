// wal_alerts: what became worse, and which settings and strategies somebody changed.
#include <algorithm>

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
    for (AlertEntry& alert : Alerts(schema.database->control()->memory()).Read()) {
      all.push_back({schema.name, std::move(alert)});
    }
  });
  if (!rows.ok()) return rows;
  std::stable_sort(rows.value().begin(), rows.value().end(), [](const Row& a, const Row& b) {
    return a.alert.raised_ms > b.alert.raised_ms;
  });
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
      "wal_alerts", "A row per check of system_health that became worse, and per change of a setting or strategy; the newest 256, newest first.",
      Read, /*reveals_others=*/true,
      {
          {"schema", kText, "main, or the name given to ATTACH", [](const Row& r) -> Value { return r.schema; }},
          {"id", kInteger, "grows from alert to alert", [](const Row& r) -> Value { return r.alert.id; }},
          {"check_name", kText, "of system_health; setting or strategy where somebody changed one", [](const Row& r) -> Value { return r.alert.check; }},
          {"status", kText, "warning, critical or changed", [](const Row& r) -> Value { return AlertStatusName(r.alert.status); }},
          {"value", kReal, "that raised it; NULL where it is not a number", [](const Row& r) -> Value { return r.alert.value; }},
          {"threshold", kReal, "of that status", [](const Row& r) -> Value { return r.alert.threshold; }},
          {"raised_at", kText, "UTC, after it held for alert_samples evaluations", [](const Row& r) -> Value { return UtcText(r.alert.raised_ms); }},
          {"cleared_at", kText, "UTC, after it was over for twice as many; NULL: it goes on", [](const Row& r) -> Value { return Cleared(r); }},
          {"detail", kText, "what was found, or who changed what", [](const Row& r) -> Value { return r.alert.detail; }},
      });
  // clang-format on
  return kTable;
}

}  // namespace walmanager
