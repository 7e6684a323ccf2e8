// wal_set and wal_metrics_reset.
#include <algorithm>
#include <array>

#include "ext/connection/connection.h"
#include "ext/core/base/ascii_case.h"
#include "ext/core/control/alerts.h"
#include "ext/core/control/query_statistics.h"
#include "ext/core/policy/threshold_order.h"
#include "ext/system/clock.h"
#include "sql/function.h"

namespace walmanager {

Result<Value> WalSet(Connection& connection, const Arguments& arguments) {
  const auto name = arguments.Text(0, "name");
  if (!name.ok()) return name.error();
  const auto index = FindSetting(name.value());
  if (!index && AsciiLowered(name.value()).starts_with("learned.")) {
    return arguments.Wrong(0, "name", "a setting: what is learned follows from what happens");
  }
  if (!index) {
    std::string known;
    for (const SettingSpec& spec : NamedSettingSpecs())
      (known += known.empty() ? "" : ", ") += spec.name;
    return arguments.Wrong(0, "name",
                           "one of " + known + ", or a threshold of wal_config such as " +
                               SettingSpecs()[NamedSettingSpecs().size()].name);
  }
  const SettingSpec& spec = SettingSpecs()[*index];
  std::optional<std::int64_t> value;
  if (!arguments.at(1).is_null()) {
    value = GivenSetting(spec, arguments.at(1));
    if (!value) return arguments.Wrong(1, spec.name, AllowedValues(spec));
  }
  auto database = connection.DatabaseToChange(arguments.function(), arguments.SchemaName(2));
  if (!database.ok()) return database.error();
  std::optional<std::string> allowed;
  const Status status = database.value().database->ChangeSettings(
      database.value().may_make_file(), [&](StoredSettings& stored) -> Status {
        if (value) allowed = AllowedBesideOther(*index, *value, stored.Values());
        if (allowed) return Error{*allowed};
        stored.Set(spec, value, ThisChange());
        return Ok{};
      });
  if (allowed) return arguments.Wrong(1, spec.name, *allowed);
  if (!status.ok()) return arguments.Prefixed(status.error());
  return ShownSetting(spec, value.value_or(spec.default_value));
}

Result<Value> WalMetricsReset(Connection& connection, const Arguments& arguments) {
  constexpr std::array<const char*, 6> kKinds = {"queries", "wal",    "connections",
                                                 "history", "alerts", "all"};
  std::string what = "all";
  if (arguments.has(0)) {
    const auto given = arguments.Text(0, "what");
    if (!given.ok()) return given.error();
    what = AsciiLowered(given.value());
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
  if (all || what == "queries") forgotten += QueryStatistics(control->space()).Reset();
  if (all || what == "history") forgotten += schema.value().database->ForgetHistory();
  if (all || what == "alerts") forgotten += Alerts(control->space()).Reset();
  if (all || what == "connections") forgotten += control->ForgetConnections();
  return Value(forgotten);
}

}  // namespace walmanager
