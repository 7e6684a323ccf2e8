// wal_openmetrics: what the tables know, as text for Prometheus. The numbers are in metric_list.cc;
// here are the families with labels of their own: health, strategies, connections and statements.
//
// Each database is read first, and then all is written, because the samples of a family follow each
// other.
#include <algorithm>
#include <array>

#include "ext/core/base/hex.h"
#include "ext/system/host_turn.h"
#include "sql/function.h"
#include "vtab/module/query_room.h"
#include "vtab/openmetrics/database_reading.h"
#include "vtab/openmetrics/metric_list.h"

namespace walmanager {
namespace {

using Databases = std::vector<DatabaseReading>;

void AddNumber(OpenMetricsText& text, const MetricLabels& labels, const Value& number) {
  if (number.integer()) text.Add(labels, *number.integer());
  if (number.real()) text.Add(labels, *number.real());
}

void WriteBuild(OpenMetricsText& text) {
  text.Begin({"walmanager_build", MetricType::kInfo, "",
              "version and build of walmanager, and version of the SQLite that it runs in"});
  MetricLabels labels;
  text.AddInfo(labels.Add("version", WALMANAGER_VERSION)
                   .Add("build", WALMANAGER_BUILD)
                   .Add("sqlite_version", Connection::Engine().version));
}

constexpr std::array<std::string_view, 4> kStates = {"ok", "warning", "critical", "unknown"};

std::string_view StateOf(CheckStatus status) {
  const auto index = static_cast<std::size_t>(status);
  return kStates[std::min(index, kStates.size() - 1)];
}

void WriteHealth(OpenMetricsText& text, const Databases& databases) {
  text.Begin({"walmanager_health", MetricType::kStateSet, "",
              "health of the database: the worst of its checks"});
  for (const DatabaseReading& database : databases) {
    if (database.checks.empty()) continue;
    text.AddState(database.labels, kStates, StateOf(database.checks.back().status));
  }
  text.Begin(
      {"walmanager_health_check", MetricType::kStateSet, "", "result of a check of system_health"});
  for (const DatabaseReading& database : databases) {
    for (const HealthObserver::Check& check : database.checks) {
      if (check.name == "overall") continue;
      MetricLabels labels = database.labels;
      text.AddState(labels.Add("check", check.name), kStates, StateOf(check.status));
    }
  }
}

void WriteDatabases(OpenMetricsText& text, const Databases& databases) {
  text.Begin({"walmanager_database", MetricType::kInfo, "",
              "journal mode, active strategy of the database, and what copies its log: background, "
              "inline, replicator or off"});
  for (const DatabaseReading& database : databases) {
    MetricLabels labels = database.labels;
    labels.Add("schema", database.schema);
    for (const char* column : {"journal_mode", "strategy", "checkpointer"}) {
      const Value value = database.metric(column);
      if (value.text()) labels.Add(column, *value.text());
    }
    text.AddInfo(labels);
  }
}

MetricLabels WithConstants(const MetricLabels& labels, const ConstantLabels& constants) {
  MetricLabels whole = labels;
  for (const ConstantLabel& label : constants) {
    if (label.name) whole.Add(label.name, label.value);
  }
  return whole;
}

// The lines of each family: those with the same name, which follow each other.
template <typename Line, typename Write>
void EachFamily(std::span<const Line> lines, Write write) {
  while (!lines.empty()) {
    const std::string_view name = lines.front().name;
    const auto is_other = [&](const Line& line) { return line.name != name; };
    const auto end = std::find_if(lines.begin(), lines.end(), is_other);
    const auto size = static_cast<std::size_t>(end - lines.begin());
    write(lines.first(size));
    lines = lines.subspan(size);
  }
}

void WriteMetrics(OpenMetricsText& text, const Databases& databases) {
  EachFamily(DatabaseMetrics(), [&](std::span<const Metric> lines) {
    const Metric& metric = lines.front();
    std::string help = metric.help ? metric.help : "";
    if (help.empty() && metric.source.column && !databases.empty()) {
      help = databases.front().wal_metrics->about(metric.source.column);
    }
    const std::string name = MetricName(metric.name, metric.unit);
    text.Begin({name, metric.type, MetricUnitName(metric.unit), help});
    for (const DatabaseReading& database : databases) {
      for (const Metric& line : lines) {
        const MetricSource& source = line.source;
        const Value value = source.column ? database.metric(source.column) : source.get(database);
        const MetricLabels labels = WithConstants(database.labels, line.labels);
        AddNumber(text, labels, InUnit(value, metric.unit));
      }
    }
  });
  EachFamily(DurationMetrics(), [&](std::span<const DurationMetric> lines) {
    const std::string name = std::string(lines.front().name) + "_duration";
    text.Begin({MetricName(name, MetricUnit::kSeconds), MetricType::kHistogram, "seconds",
                lines.front().help});
    for (const DatabaseReading& database : databases) {
      for (const DurationMetric& line : lines) {
        text.AddHistogram(WithConstants(database.labels, line.labels), line.get(database));
      }
    }
  });
}

// Rules that have fired, and those of the active strategy.
void WriteRules(OpenMetricsText& text, const Databases& databases, const NamedRows& rules) {
  text.Begin({"walmanager_rule_fired", MetricType::kCounter, "",
              "times that a rule of a strategy has run a checkpoint"});
  for (const DatabaseReading& database : databases) {
    for (std::size_t i = 0; i < rules.size(); ++i) {
      const Value fired = rules.at(i, "fired"), active = rules.at(i, "active");
      if (!fired.integer() || rules.text(i, "schema") != database.schema) continue;
      if (*fired.integer() == 0 && !(active.integer() && *active.integer() != 0)) continue;
      MetricLabels labels = database.labels;
      labels.Add("strategy", rules.text(i, "strategy")).Add("rule", rules.text(i, "rule"));
      text.Add(labels.Add("mode", rules.text(i, "mode")), *fired.integer());
    }
  }
}

void WriteIo(OpenMetricsText& text, const Databases& databases, const NamedRows& io) {
  for (const IoMetric& metric : IoMetrics()) {
    text.Begin({MetricName(metric.name, metric.unit), metric.type, MetricUnitName(metric.unit),
                metric.help});
    for (const DatabaseReading& database : databases) {
      for (std::size_t i = 0; i < io.size(); ++i) {
        if (io.text(i, "schema") != database.schema) continue;
        MetricLabels labels = database.labels;
        labels.Add("file", io.text(i, "file")).Add("origin", io.text(i, "origin"));
        AddNumber(text, labels, InUnit(io.at(i, metric.column), metric.unit));
      }
    }
  }
}

void WriteConnections(OpenMetricsText& text, const Databases& databases) {
  text.Begin(
      {"walmanager_connections", MetricType::kGauge, "",
       "open connections whose main database this is, by name of their process, role and state"});
  for (const DatabaseReading& database : databases) {
    for (const ConnectionGroup& group : database.connections) {
      MetricLabels labels = database.labels;
      labels.Add("process", group.process).Add("role", group.role).Add("state", group.state);
      text.Add(labels, group.connections);
    }
  }
  const auto each_process = [&](auto add) {
    for (const DatabaseReading& database : databases) {
      for (const ProcessReading& process : database.processes) {
        MetricLabels labels = database.labels;
        add(labels.Add("process", process.process), process);
      }
    }
  };
  text.Begin({"walmanager_waiting_connections", MetricType::kGauge, "",
              "connections that wait for a lock now"});
  each_process([&](const MetricLabels& labels, const ProcessReading& process) {
    text.Add(labels, process.waiting);
  });
  text.Begin({"walmanager_oldest_transaction_seconds", MetricType::kGauge, "seconds",
              "time since the oldest open transaction began; 0: none is open"});
  each_process([&](const MetricLabels& labels, const ProcessReading& process) {
    text.Add(labels, process.transaction_ms / 1000);
  });
}

// The text of a statement is cut after so many bytes, between two characters.
constexpr std::size_t kMostQueryBytes = 200;

std::string CutQuery(std::string text) {
  if (text.size() <= kMostQueryBytes) return text;
  std::size_t end = kMostQueryBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  text.resize(end);
  return text + "...";
}

void WriteQueries(OpenMetricsText& text, const Databases& databases) {
  const auto each_query = [&](auto add) {
    for (const DatabaseReading& database : databases) {
      for (const QueryRow& query : database.top_queries) {
        MetricLabels labels = database.labels;
        add(labels.Add("query_id", HexText(query.id)), query);
      }
    }
  };
  text.Begin({"walmanager_query", MetricType::kInfo, "",
              "the statements with the largest total time, as query_performance has them"});
  each_query([&](MetricLabels& labels, const QueryRow& query) {
    labels.Add("kind", QueryKindName(query.kind)).Add("query", CutQuery(query.text));
    text.AddInfo(labels);
  });
  for (const QueryMetric& metric : QueryMetrics()) {
    text.Begin({MetricName(metric.name, metric.unit), metric.type, MetricUnitName(metric.unit),
                metric.help});
    each_query([&](const MetricLabels& labels, const QueryRow& query) {
      AddNumber(text, labels, InUnit(metric.get(query.totals), metric.unit));
    });
  }
}

}  // namespace

Result<Value> WalOpenmetrics(Connection& connection, const Arguments& arguments) {
  const HostTurn turn;
  std::optional<std::string> schema;
  if (arguments.has(0)) {
    const auto name = arguments.SchemaName(0);
    if (!name.ok()) return name.error();
    const auto found = connection.FindSchema(arguments.function(), name.value());
    if (!found.ok()) return found.error();
    schema = found.value().name;
  }
  const auto databases = ReadDatabases(connection, schema);
  if (!databases.ok()) return arguments.Prefixed(databases.error());
  QueryRoom room(connection);
  const auto rules = NamedRows::Read("wal_strategies", room);
  if (!rules.ok()) return arguments.Prefixed(rules.error());
  const auto io = NamedRows::Read("wal_io", room);
  if (!io.ok()) return arguments.Prefixed(io.error());
  OpenMetricsText text;
  WriteBuild(text);
  WriteHealth(text, databases.value());
  WriteDatabases(text, databases.value());
  WriteMetrics(text, databases.value());
  WriteIo(text, databases.value(), io.value());
  WriteRules(text, databases.value(), rules.value());
  WriteConnections(text, databases.value());
  WriteQueries(text, databases.value());
  return Value(text.Finish());
}

}  // namespace walmanager
