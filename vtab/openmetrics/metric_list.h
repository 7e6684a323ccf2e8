// The numbers that wal_openmetrics() exports, a line each in metric_list.cc: name, type, unit,
// where the number comes from, and labels. To add a metric, add a line.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "vtab/openmetrics/database_reading.h"

namespace walmanager {

enum class MetricUnit : std::uint8_t {
  kNone,
  kBytes,
  kSeconds,    // from a number of ms
  kTimestamp,  // seconds since 1970, from a text as time_text.h makes it, or a number of ms
  kRatio
};

// The name of a metric with its unit, as it is exported: "walmanager_wal_size_bytes".
std::string MetricName(std::string_view name, MetricUnit unit);
// "bytes", "seconds", "ratio"; empty for none.
std::string MetricUnitName(MetricUnit unit);
// The number in the unit; NULL where the value is none.
Value InUnit(const Value& value, MetricUnit unit);

// Where the number of a metric comes from: a column of wal_metrics, whose sentence explains it,
// too, or a function.
struct MetricSource {
  using Function = Value (*)(const DatabaseReading&);
  constexpr MetricSource(const char* the_column) : column(the_column) {}  // NOLINT
  template <std::convertible_to<Function> Lambda>
  constexpr MetricSource(Lambda function) : get(function) {}  // NOLINT
  const char* column = nullptr;
  Function get = nullptr;
};

// Beside the label of the database; nullptr: none.
struct ConstantLabel {
  const char* name = nullptr;
  const char* value = nullptr;
};
using ConstantLabels = std::array<ConstantLabel, 2>;

// Lines with the same name follow each other and differ in their labels; the help is that of the
// first.
struct Metric {
  const char* name;  // without walmanager_ before it and without its unit
  MetricType type;
  MetricUnit unit;
  MetricSource source;
  const char* help = nullptr;  // nullptr: the sentence of the column
  ConstantLabels labels = {};
};
std::span<const Metric> DatabaseMetrics();

struct DurationMetric {
  const char* name;  // "commit": walmanager_commit_duration_seconds
  const char* help;
  MetricHistogram (*get)(const DatabaseReading&);
  ConstantLabels labels = {};
};
std::span<const DurationMetric> DurationMetrics();

// Of each row of wal_io, that is of a file and an origin.
struct IoMetric {
  const char* name;
  MetricType type;
  MetricUnit unit;
  const char* column;
  const char* help;
};
std::span<const IoMetric> IoMetrics();

// Of each of the statements with the largest total time.
struct QueryMetric {
  const char* name;
  MetricType type;
  MetricUnit unit;
  Value (*get)(const QueryTotals&);
  const char* help;
};
std::span<const QueryMetric> QueryMetrics();

}  // namespace walmanager
