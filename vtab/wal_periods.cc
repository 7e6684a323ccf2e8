// wal_periods: the history summed up over the last minute, hour, day and week, and over the periods
// before them. Percentiles come from merged histograms.
#include <algorithm>
#include <array>

#include "ext/core/base/time_text.h"
#include "ext/system/clock.h"
#include "vtab/history_columns.h"
#include "vtab/module/each_database.h"
#include "vtab/module/table.h"

namespace walmanager {
namespace {

struct Row {
  std::string schema;
  const char* period = "";
  const char* part = "";
  std::int64_t from_ms = 0, to_ms = 0;
  HistorySample sample;
};

constexpr std::int64_t kMinuteMs = 60'000, kHourMs = 60 * kMinuteMs, kDayMs = 24 * kHourMs;

// Ends `ago_ms` before now.
struct Period {
  const char* period;
  const char* part;
  std::int64_t length_ms, ago_ms;
};
constexpr std::array kPeriods = {
    Period{"minute", "current", kMinuteMs, 0},
    Period{"minute", "previous", kMinuteMs, kMinuteMs},
    Period{"hour", "current", kHourMs, 0},
    Period{"hour", "previous", kHourMs, kHourMs},
    Period{"hour", "yesterday", kHourMs, kDayMs},
    Period{"day", "current", kDayMs, 0},
    Period{"day", "previous", kDayMs, kDayMs},
    Period{"week", "current", 7 * kDayMs, 0},
    Period{"week", "previous", 7 * kDayMs, 7 * kDayMs},
};

Result<std::vector<Row>> Read(TableSource& source) {
  const std::int64_t now = UnixMs();
  return RowsOfEachDatabase<Row>(source, [&](const Schema& schema, std::vector<Row>& rows) {
    source.Watch(schema, Database::Watching::kSample);
    const auto control = schema.database->control();
    std::array<History::Period, kPeriods.size()> times;
    std::ranges::transform(kPeriods, times.begin(), [&](const Period& period) {
      const std::int64_t to = now - period.ago_ms;
      return History::Period{to - period.length_ms, to};
    });
    auto samples = History(control->space()).Merge(times);
    for (std::size_t i = 0; i < kPeriods.size(); ++i) {
      if (!samples[i]) continue;
      rows.push_back({schema.name, kPeriods[i].period, kPeriods[i].part, times[i].from_ms,
                      times[i].to_ms, std::move(*samples[i])});
    }
  });
}

}  // namespace

const Table& WalPeriodsTable() {
  // A column is a line.
  // clang-format off
  static const auto& kTable = *new TableOf<Row>(
      "wal_periods", "wal_history summed up over the last minute, hour, day and week, and over the periods before them; a period without samples has no row.",
      Read, /*reveals_others=*/true, WithHistoryColumns<Row>(
      {
          {"schema", kText, "name of the database on this connection: main, or the name given to ATTACH", [](const Row& r) -> Value { return r.schema; }},
          {"period", kText, "length of the period: minute, hour, day or week", [](const Row& r) -> Value { return r.period; }},
          {"part", kText, "current (the period ends now), previous (the one before) or yesterday (for the hour: the same hour a day ago)", [](const Row& r) -> Value { return r.part; }},
          {"begins_at", kText, "when the period begins, in UTC", [](const Row& r) -> Value { return UtcText(r.from_ms); }},
          {"ends_at", kText, "when the period ends, in UTC", [](const Row& r) -> Value { return UtcText(r.to_ms); }},
      }));
  // clang-format on
  return kTable;
}

}  // namespace walmanager
