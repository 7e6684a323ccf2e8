#include "vtab/openmetrics/database_reading.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "ext/core/base/ascii_case.h"
#include "ext/core/control/alerts.h"
#include "vtab/module/query_room.h"

namespace walmanager {
namespace {

constexpr char kOtherProcesses[] = "(other)";

void ReadStatements(ControlFile& control, DatabaseReading& reading) {
  const QueryStatistics statistics(control.space());
  std::vector<QueryRow> rows = statistics.Read(/*with_plans=*/false);
  std::uint64_t calls = 0;
  for (const QueryRow& row : rows) calls += row.totals.calls;
  reading.statements = statistics.ReadTotals();
  // Counters of a connection that closes are at neither place for a moment. Prometheus would take a
  // total that falls for one that began anew.
  if (reading.statements.calls < calls) reading.statements = statistics.ReadTotals();
  std::erase_if(rows, [](const QueryRow& row) { return row.id == 0 || row.totals.calls == 0; });
  const auto top = rows.begin() + static_cast<std::ptrdiff_t>(std::min(rows.size(), kTopQueries));
  std::partial_sort(rows.begin(), top, rows.end(), [](const QueryRow& a, const QueryRow& b) {
    return std::tie(b.totals.total_ns, a.id) < std::tie(a.totals.total_ns, b.id);
  });
  rows.erase(top, rows.end());
  reading.top_queries = std::move(rows);
}

void ReadAlerts(ControlFile& control, DatabaseReading& reading) {
  for (const AlertEntry& alert : Alerts(control.space()).Read()) {
    if (alert.cleared_ms) continue;
    reading.warnings += alert.status == AlertStatus::kWarning ? 1 : 0;
    reading.criticals += alert.status == AlertStatus::kCritical ? 1 : 0;
  }
}

double Number(const Value& value) { return value.real() ? *value.real() : 0; }

// The connections whose main database has this file.
void ReadConnections(const NamedRows& rows, const std::string& file, DatabaseReading& reading) {
  std::map<std::string, std::int64_t> sizes;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows.text(i, "file") == file) ++sizes[rows.text(i, "process")];
  }
  std::vector<std::pair<std::int64_t, std::string>> largest;
  for (const auto& [process, size] : sizes) largest.emplace_back(-size, process);
  std::sort(largest.begin(), largest.end());
  largest.resize(std::min(largest.size(), kMostProcesses));
  std::set<std::string> shown;
  for (const auto& [size, process] : largest) shown.insert(process);
  std::map<std::tuple<std::string, std::string, std::string>, std::int64_t> groups;
  std::map<std::string, ProcessReading> processes;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows.text(i, "file") != file) continue;
    std::string process = rows.text(i, "process");
    if (!shown.contains(process)) process = kOtherProcesses;
    const std::string state = rows.text(i, "state");
    ++groups[{process, rows.text(i, "role"), state.empty() ? "unknown" : state}];
    ProcessReading& of = processes[process];
    of.process = process;
    of.waiting += rows.at(i, "waiting_for").is_null() ? 0 : 1;
    // In the first step of a statement its transaction is not known: if there is one, it is as old
    // as the statement.
    const bool first_step = rows.at(i, "transaction_state").is_null() && state == "active" &&
                            rows.at(i, "waiting_for").is_null();
    of.transaction_ms =
        std::max(of.transaction_ms, Number(rows.at(i, first_step ? "query_ms" : "transaction_ms")));
  }
  for (const auto& [key, count] : groups) {
    reading.connections.push_back({std::get<0>(key), std::get<1>(key), std::get<2>(key), count});
  }
  for (auto& [name, process] : processes) reading.processes.push_back(std::move(process));
}

void ReadHealth(Connection& connection, const Schema& schema, DatabaseReading& reading) {
  // A process that has not committed has not looked at the log.
  if (const auto index = connection.LookAtLog(schema)) schema.database->SawLog(*index);
  auto checks = schema.database->ReadHealth();
  if (checks.ok()) reading.checks = std::move(checks.value());
}

}  // namespace

Result<std::vector<DatabaseReading>> ReadDatabases(Connection& connection,
                                                   const std::optional<std::string>& only) {
  QueryRoom room(connection);
  auto metrics = NamedRows::Read("wal_metrics", room);
  if (!metrics.ok()) return metrics.error();
  const auto wal_metrics = std::make_shared<const NamedRows>(std::move(metrics.value()));
  const auto connections = NamedRows::Read("connection_metrics", room);
  if (!connections.ok()) return connections.error();
  auto schemas = connection.Schemas();
  if (!schemas.ok()) return schemas.error();
  std::vector<DatabaseReading> readings;
  std::set<std::string> seen;
  for (const Schema& schema : schemas.value()) {
    if (!schema.database || (only && !EqualIgnoringCase(*only, schema.name))) continue;
    DatabaseReading reading;
    reading.labels.Add("database", schema.file);
    if (!seen.insert(reading.labels.text()).second) continue;
    reading.schema = schema.name;
    reading.wal_metrics = wal_metrics;
    while (reading.row < wal_metrics->size() &&
           wal_metrics->text(reading.row, "schema") != schema.name) {
      ++reading.row;
    }
    if (reading.row == wal_metrics->size()) continue;
    const auto control = schema.database->control();
    reading.control = control;
    reading.commits = control->region().ReadCommits(/*with_histogram=*/true);
    reading.checkpoints = control->region().ReadCheckpointTotals();
    reading.locks = LockWaits(control->space()).ReadTotals();
    reading.integrity = ReadIntegrity(control->evidence());
    reading.backup = ReadBackup(control->evidence());
    ReadStatements(*control, reading);
    ReadAlerts(*control, reading);
    ReadConnections(connections.value(), schema.file, reading);
    ReadHealth(connection, schema, reading);
    readings.push_back(std::move(reading));
  }
  return readings;
}

}  // namespace walmanager
