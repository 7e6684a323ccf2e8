// The default values from which on a check of system_health is a warning or critical. Each
// threshold is a setting `<check>.warning` or `<check>.critical`.
//
// To add a check: one line in kHealthThresholds. Where lower values are worse, `critical` is below
// `warning`.
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
  const char* description;  // of the value, as the beginning of a sentence; at most 150 bytes
};

inline constexpr std::nullopt_t kNoThreshold = std::nullopt;

// A check is a line.
// clang-format off
inline constexpr auto kHealthThresholds = std::to_array<HealthThreshold>({
    {"cache_size", "bytes", 262'144, kNoThreshold, 0, 1e12, "The page cache of the connection that asks"},
    {"wal_size", "", 1.5, 4, 0, 1e6, "What the log holds while readers or pending frames keep it from starting over, as a share of wal_limit_bytes"},
    {"log_pinned", "", 0.5, 2, 0, 1e6, "What the oldest reader keeps from being moved, as a share of wal_limit_bytes"},
    {"checkpoint_progress", "s", 60, 600, 0, 1e9, "How long frames have waited to be moved, more than checkpoint_frames of them"},
    {"checkpoint_partial", "", 20, kNoThreshold, 1, 512, "Checkpoints in a row that moved less than the whole log"},
    {"checkpoint_duration", "ms", 200, 1000, 0, 3'600'000, "What 95 % of the checkpoints of an hour, of 10 or more, stay below"},
    {"commit_latency", "ms", 100, 1000, 0, 3'600'000, "What 99 % of the commits of a minute, of 10 or more, stay below"},
    {"commit_stalls", "", 0.1, 0.5, 0, 1000, "Time that commits of a minute waited for checkpoints, as a share of it"},
    {"query_latency", "ms", 100, 1000, 0, 3'600'000, "What 95 % of the statements of a minute, of 10 or more, stay below"},
    {"query_degradation", "", 2, 5, 1, 1e6, "The same of the last hour, as a multiple of yesterday's"},
    {"integrity", "days", 30, kNoThreshold, 0, 1e6, "Since the last wal_integrity_check()"},
    {"disk_free", "MB", 1000, 100, 0, 1e12, "What is free on the file system"},
    {"freelist", "", 0.25, 0.75, 0, 1, "Pages that hold nothing, as a share of all, of a database of 1 MB or more"},
    {"probe_read", "ms", 100, 1000, 0, 3'600'000, "How long reading the schema takes"},
    {"cache_hit_ratio", "", 0.5, kNoThreshold, 0, 1, "Pages found in a cache, of those wanted in an hour"},
    {"idle_in_transaction", "ms", 10'000, 60'000, 0, 1e9, "How long a connection does nothing within a transaction"},
    {"long_transaction", "ms", 60'000, 600'000, 0, 1e9, "How long a transaction is open"},
    {"unfinished_statement", "ms", 10'000, 60'000, 0, 1e9, "How long a statement that has not ended returns no row"},
    {"transactions_upgraded", "", 100, kNoThreshold, 1, 1e9, "Transactions of an hour that began with a read and then wrote; one that failed at that counts as ten"},
    {"unmanaged_processes", "", 1, kNoThreshold, 1, 1e6, "Processes that do not load this"},
    {"backup_age", "h", 168, kNoThreshold, 0, 1e6, "Since the last wal_backup()"},
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
  FixedText<200> description;
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
    setting.description.Append(": from here on system_health says ");
    setting.description.Append(status);
    setting.description.Append(".");
  };
  for (const HealthThreshold& threshold : kHealthThresholds) {
    add(threshold, threshold.warning, "warning");
    add(threshold, threshold.critical, "critical");
  }
  return settings;
}();

}  // namespace walmanager
