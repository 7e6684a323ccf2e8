// What wal_openmetrics() exports of a database, as it is read at the beginning of the call.
//
// Tables are read as a SELECT reads them, so the numbers agree with theirs. The health checks are
// read as the health watch reads them: without a connection, so without those checks that only
// speak of the connection that asks, and without reading the database.
// Thread rules: those of Connection.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ext/connection/connection.h"
#include "ext/core/control/evidence.h"
#include "ext/core/control/lock_waits.h"
#include "ext/core/control/query_statistics.h"
#include "ext/core/text/openmetrics_text.h"
#include "ext/database/health_watch.h"
#include "vtab/openmetrics/named_rows.h"

namespace walmanager {

// Connections of the same name of process, role and state.
struct ConnectionGroup {
  std::string process, role, state;
  std::int64_t connections = 0;
};
// All connections of the same name of process.
struct ProcessReading {
  std::string process;
  std::int64_t waiting = 0;   // for a lock
  double transaction_ms = 0;  // the longest that is open
};

struct DatabaseReading {
  MetricLabels labels;  // database="/srv/app.db"
  std::string schema;
  std::shared_ptr<const NamedRows> wal_metrics;
  std::size_t row = 0;  // of wal_metrics
  std::shared_ptr<ControlFile> control;
  CommitTotals commits;
  CheckpointTotals checkpoints;
  LockTotals locks;
  QueryTotals statements;             // of all statements together
  std::vector<QueryRow> top_queries;  // with the largest total time, the largest first
  std::optional<IntegrityEvidence> integrity;
  std::optional<BackupEvidence> backup;
  std::int64_t warnings = 0, criticals = 0;  // alerts in force
  std::vector<HealthObserver::Check> checks;
  std::vector<ConnectionGroup> connections;
  std::vector<ProcessReading> processes;

  Value metric(std::string_view column) const { return wal_metrics->at(row, column); }
};

// So many names of processes are told apart; the connections of the others are "(other)".
inline constexpr std::size_t kMostProcesses = 50;
inline constexpr std::size_t kTopQueries = 20;

// One for each database with a file, or for that of one schema only. A database that is attached
// twice is read once.
Result<std::vector<DatabaseReading>> ReadDatabases(Connection& connection,
                                                   const std::optional<std::string>& schema);

}  // namespace walmanager
