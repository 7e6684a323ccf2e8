// The settings of wal_config: their names, ranges and meanings, as data. What a database's values
// are is stored in the control file by name; this file says what may be stored.
//
// To add a setting: one line in settings.cc and, where code reads it, one enumerator here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ext/core/result.h"

namespace walmanager {

enum class SettingKind { kInteger, kSwitch };

// In the order of settings.cc.
enum class Setting : std::size_t {
  kWalLimitBytes,
  kCheckpointFrames,
  kCheckpointIntervalMs,
  kStallBudgetMs,
  kBackpressure,
  kSlowQueryMs,
  kStatementMetrics,
  kSampleIntervalMs,
  kMaxQueries,
  kAutoOptimize,
  kReadPoolSize,
  kReadPoolTimeoutMs,
  kCount
};

struct SettingSpec {
  const char* name;
  SettingKind kind;
  std::int64_t default_value;  // of a switch: 0 off, 1 on
  std::int64_t minimum;
  std::int64_t maximum;
  const char* unit;
  const char* description;
};

inline constexpr std::size_t kSettingCount = static_cast<std::size_t>(Setting::kCount);

std::span<const SettingSpec> SettingSpecs();
std::optional<std::size_t> FindSetting(std::string_view name);

// "an integer from 1 to 1000000", "'on' or 'off'".
std::string AllowedValues(const SettingSpec& spec);
// 64, "on".
std::string SettingText(const SettingSpec& spec, std::int64_t value);

// The values in force in one database: what was set, else the default. A plain value; copy freely.
class SettingValues {
 public:
  SettingValues();
  std::int64_t operator[](Setting setting) const {
    return values_[static_cast<std::size_t>(setting)];
  }
  std::int64_t at(std::size_t index) const { return values_[index]; }
  // Ignores what is out of range: the bytes of the control file are not trusted.
  void Set(std::size_t index, std::int64_t value);

 private:
  std::array<std::int64_t, kSettingCount> values_;
};

}  // namespace walmanager
