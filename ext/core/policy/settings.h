// The settings of wal_config: their names, ranges and meanings, as data. What a database's values
// are is stored in the control file by name; this file says what may be stored.
//
// To add a setting: one line in settings.cc and one enumerator here. The thresholds of health
// checks follow after these; they come from health_thresholds.h and have no enumerators.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ext/core/base/value.h"
#include "ext/core/policy/health_thresholds.h"

namespace walmanager {

enum class SettingKind { kInteger, kSwitch, kReal, kChoice };

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
  kAlertIntervalMs,
  kAlertSamples,
  kReplicator,
  kReaderLeaseMs,
  kLockMetrics,
  kLockWaitMs,
  kAllowCancel,
  kCount
};

// Values of all kinds are kept in one word: an integer, of a switch 0 off and 1 on, of a real
// number the bits of a double, of a choice its place in `choices`.
struct SettingSpec {
  const char* name;
  SettingKind kind;
  std::int64_t default_value;
  std::int64_t minimum;
  std::int64_t maximum;
  const char* unit;
  const char* description;
  std::span<const char* const> choices = {};
};

// Those with an enumerator come first.
inline constexpr std::size_t kNamedSettingCount = static_cast<std::size_t>(Setting::kCount);
inline constexpr std::size_t kSettingCount = kNamedSettingCount + kThresholdSettingCount;

std::span<const SettingSpec> SettingSpecs();
// The settings that conditions of rules may use, because their names are identifiers: all but the
// thresholds.
std::span<const SettingSpec> NamedSettingSpecs();
// In any case of letters.
std::optional<std::size_t> FindSetting(std::string_view name);

std::int64_t DefaultOf(Setting setting);

// "an integer from 1 to 1000000", "a number from 0 to 1", "'on' or 'off'", "'a', 'b' or 'c'".
std::string AllowedValues(const SettingSpec& spec);
bool IsInRange(const SettingSpec& spec, std::int64_t value);
// The value as SQL shows it: INTEGER, REAL, or TEXT.
Value ShownSetting(const SettingSpec& spec, std::int64_t value);
// The word of a setting for a value of SQL; nullopt where the value is not one of AllowedValues. A
// whole number may be REAL, a real number INTEGER, and both may be TEXT that is exactly a number,
// as in a column with numeric affinity. A switch is 'on', 'off', 1 or 0, a choice one of its words,
// in any case of letters.
std::optional<std::int64_t> GivenSetting(const SettingSpec& spec, const Value& value);

// The values in force in one database: each as it was set, or the default. A plain value.
class SettingValues {
 public:
  SettingValues();
  std::int64_t operator[](Setting setting) const {
    return values_[static_cast<std::size_t>(setting)];
  }
  std::int64_t at(std::size_t index) const { return values_[index]; }
  // Of a setting that is a real number.
  double RealAt(std::size_t index) const { return std::bit_cast<double>(values_[index]); }
  // Ignores a value out of range: the bytes of the control file are not trusted.
  void Set(std::size_t index, std::int64_t value);
  // For a value that is more than this process can have.
  void Lower(Setting setting, std::int64_t most) {
    std::int64_t& value = values_[static_cast<std::size_t>(setting)];
    if (value > most) value = most;
  }
  bool operator==(const SettingValues&) const = default;

 private:
  std::array<std::int64_t, kSettingCount> values_;
};

}  // namespace walmanager
