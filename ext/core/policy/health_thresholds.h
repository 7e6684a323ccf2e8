// The default values from which on a check of system_health is a warning or critical. Each
// threshold is a setting, `<check>.warning` or `<check>.critical`.
//
// To add a check: one line in kHealthThresholds.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace walmanager {

struct HealthThreshold {
  const char* check;  // an identifier; below 39 bytes, so that alerts keep `<check>.critical` whole
  const char* unit;   // "" for a count or a share
  // The defaults; nullopt: there is no such setting.
  std::optional<double> warning, critical;
  double minimum, maximum;  // finite, of what may be set
  const char* description;  // of the value, as the beginning of a sentence; at most 145 bytes
  bool is_lower_worse = false;
};

inline constexpr std::nullopt_t kNoThreshold = std::nullopt;

// A check is a line.
// clang-format off
inline constexpr auto kHealthThresholds = std::to_array<HealthThreshold>({
    {"cache_size", "bytes", 262'144, kNoThreshold, 0, 1e12, "Size of the page cache of the connection that asks", true},
    {"wal_size", "", 1.5, 4, 0, 1e6, "Size of the log that readers or pending frames keep from starting over, as a share of wal_limit_bytes"},
    {"log_pinned", "", 0.5, 2, 0, 1e6, "Size of the frames that the oldest reader keeps from being copied, as a share of wal_limit_bytes"},
    {"checkpoint_progress", "s", 60, 600, 0, 1e9, "Time for which more than due_frames frames (wal_metrics) have waited to be copied into the database"},
    {"checkpoint_partial", "", 20, kNoThreshold, 1, 512, "Number of checkpoints in a row that copied less than the whole log"},
    {"checkpoint_duration", "ms", 200, 1000, 0, 3'600'000, "Duration that 95 % of an hour's checkpoints outside of the background stay below, if they are 10 or more"},
    {"commit_latency", "ms", 100, 1000, 0, 3'600'000, "Time that 99 % of the commits of a minute stay below, if they are 10 or more"},
    {"commit_stalls", "", 0.1, 0.5, 0, 1000, "Time that the commits of a minute waited for checkpoints, as a share of the minute"},
    {"query_latency", "ms", 100, 1000, 0, 3'600'000, "Time that 95 % of the statements of a minute stay below, if they are 10 or more"},
    {"query_degradation", "", 2, 5, 1, 1e6, "Time that 95 % of the last hour's statements stay below, as a multiple of the same hour of yesterday"},
    {"integrity", "days", 30, kNoThreshold, 0, 1e6, "Time since the last wal_integrity_check()"},
    {"disk_free", "MB", 1000, 100, 0, 1e12, "Free space on the file system of the database", true},
    {"freelist", "", 0.25, 0.75, 0, 1, "Pages that hold nothing, as a share of all pages, in a database of 1 MB or more"},
    {"probe_read", "ms", 100, 1000, 0, 3'600'000, "Time that it takes to read the schema"},
    {"sync_latency", "ms", 100, 1000, 0, 3'600'000, "Time that 99 % of an hour's syncs stay below, if they are 10 or more"},
    {"io_errors", "", 1, 10, 1, 1e9, "Reads, writes, syncs and mappings since statistics_since that failed, if the last one did within a day"},
    {"cache_hit_ratio", "", 0.5, kNoThreshold, 0, 1, "Share of the pages wanted in an hour that were in a page cache", true},
    {"idle_in_transaction", "ms", 10'000, 60'000, 0, 1e9, "Time that a connection has been idle within a transaction"},
    {"long_transaction", "ms", 60'000, 600'000, 0, 1e9, "Time that a transaction has been open"},
    {"unfinished_statement", "ms", 10'000, 60'000, 0, 1e9, "Time for which the program has fetched no row from a statement that has not ended"},
    {"transactions_upgraded", "", 100, kNoThreshold, 1, 1e9, "Transactions of an hour that began with a read and then wrote; one that failed to write counts as ten"},
    {"lock_waits", "ms", 1000, 10'000, 0, 1e9, "Longest wait for a lock that goes on or ended within a minute, if it takes lock_wait_ms or ends in an error"},
    {"busy_errors", "", 10, 1000, 1, 1e9, "Statements of an hour that failed with \"database is locked\""},
    {"unmanaged_processes", "", 1, kNoThreshold, 1, 1e6, "Processes that have the database open without walmanager"},
    {"backup_age", "h", 168, kNoThreshold, 0, 1e6, "Time since the last wal_backup()"},
});
// clang-format on

// The rest is built from these lines while this is compiled.

// Text that is built while this is compiled. A text that is too long does not compile.
template <std::size_t N>
struct FixedText {
  char text[N] = {};
  std::size_t size = 0;

  constexpr void Append(std::string_view more) {
    for (const char c : more) text[size++] = c;
    text[size] = 0;
  }
};

struct ThresholdSetting {
  const HealthThreshold* threshold = nullptr;
  double default_value = 0;
  FixedText<48> name;
  FixedText<208> description;
};

inline constexpr std::size_t kThresholdSettingCount = [] {
  std::size_t count = 0;
  for (const HealthThreshold& threshold : kHealthThresholds) {
    count += static_cast<std::size_t>(threshold.warning.has_value()) +
             static_cast<std::size_t>(threshold.critical.has_value());
  }
  return count;
}();

// In the order of the lines, warning first.
inline constexpr auto kThresholdSettings = [] {
  std::array<ThresholdSetting, kThresholdSettingCount> settings;
  std::size_t count = 0;
  const auto add = [&](const HealthThreshold& threshold, const std::optional<double>& value,
                       std::string_view status) {
    if (!value) return;
    ThresholdSetting& setting = settings[count++];
    setting.threshold = &threshold;
    setting.default_value = *value;
    setting.name.Append(threshold.check);
    setting.name.Append(".");
    setting.name.Append(status);
    setting.description.Append(threshold.description);
    const std::string_view unit = threshold.unit;
    setting.description.Append("; system_health reports ");
    setting.description.Append(status);
    setting.description.Append(unit.empty() ? " at this value" : " at this many ");
    setting.description.Append(unit);
    setting.description.Append(threshold.is_lower_worse ? " or less." : " or more.");
  };
  for (const HealthThreshold& threshold : kHealthThresholds) {
    add(threshold, threshold.warning, "warning");
    add(threshold, threshold.critical, "critical");
  }
  return settings;
}();

}  // namespace walmanager
