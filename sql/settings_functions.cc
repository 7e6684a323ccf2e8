// wal_set and wal_metrics_reset.
#include <algorithm>
#include <array>
#include <cmath>

#include "ext/clock.h"
#include "ext/connection.h"
#include "ext/core/query_statistics.h"
#include "sql/function.h"

namespace walmanager {
namespace {

// The value as the setting's type; an error says what is allowed.
Result<std::int64_t> SettingValue(const Arguments& arguments, const SettingSpec& spec) {
  const Value& value = arguments.at(1);
  const std::string allowed = AllowedValues(spec);
  if (spec.kind == SettingKind::kSwitch) {
    const std::string text = value.text() ? *value.text() : "";
    if (text == "on" || (value.integer() && *value.integer() == 1)) return std::int64_t{1};
    if (text == "off" || (value.integer() && *value.integer() == 0)) return std::int64_t{0};
    return arguments.Wrong(1, spec.name, allowed);
  }
  std::optional<std::int64_t> number;
  if (value.integer()) number = *value.integer();
  if (value.real() && std::floor(*value.real()) == *value.real() &&
      std::abs(*value.real()) < 9e15) {
    number = static_cast<std::int64_t>(*value.real());
  }
  if (!number || *number < spec.minimum || *number > spec.maximum) {
    return arguments.Wrong(1, spec.name, allowed);
  }
  return *number;
}

}  // namespace

Result<Value> WalSet(Connection& connection, const Arguments& arguments) {
  const auto name = arguments.Text(0, "name");
  if (!name.ok()) return name.error();
  const auto index = FindSetting(name.value());
  if (!index && name.value().starts_with("learned.")) {
    return arguments.Wrong(0, "name", "a setting: what is learned follows from what happens");
  }
  if (!index) {
    std::string known;
    for (const SettingSpec& spec : SettingSpecs())
      (known += known.empty() ? "" : ", ") += spec.name;
    return arguments.Wrong(0, "name", "one of " + known);
  }
  const SettingSpec& spec = SettingSpecs()[*index];
  std::optional<std::int64_t> value;
  if (!arguments.at(1).is_null()) {
    const auto given = SettingValue(arguments, spec);
    if (!given.ok()) return given.error();
    value = given.value();
  }
  auto database = connection.DatabaseToChange(arguments.function(), arguments.SchemaName(2));
  if (!database.ok()) return database.error();
  const Status status = database.value().database->Change(database.value().may_make_file(),
                                                          [&](StoredSettings& stored) -> Status {
                                                            stored.Set(spec, value, ThisChange());
                                                            return Ok{};
                                                          });
  if (!status.ok()) return arguments.Prefixed(status.error());
  const std::int64_t now = value.value_or(spec.default_value);
  return spec.kind == SettingKind::kSwitch ? Value(SettingText(spec, now)) : Value(now);
}

Result<Value> WalMetricsReset(Connection& connection, const Arguments& arguments) {
  constexpr std::array<const char*, 6> kKinds = {"queries", "wal",    "connections",
                                                 "history", "alerts", "all"};
  std::string what = "all";
  if (arguments.has(0)) {
    const auto given = arguments.Text(0, "what");
    if (!given.ok()) return given.error();
    what = given.value();
  }
  if (std::find(kKinds.begin(), kKinds.end(), what) == kKinds.end()) {
    return arguments.Wrong(0, "what", "one of queries, wal, connections, history, alerts, all");
  }
  auto schema = connection.DatabaseToChange(arguments.function(), arguments.SchemaName(1));
  if (!schema.ok()) return schema.error();
  const auto control = schema.value().database->control();
  const bool all = what == "all";
  std::int64_t forgotten = 0;
  if (all || what == "wal") {
    forgotten += control->region().ResetWalStatistics(UnixMs(), MonotonicNs());
  }
  if (all || what == "queries") forgotten += QueryStatistics(control->memory()).Reset();
  if (all || what == "connections") forgotten += control->ForgetConnections();
  return Value(forgotten);
}

}  // namespace walmanager
