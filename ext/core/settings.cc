#include "ext/core/settings.h"

namespace walmanager {
namespace {

constexpr std::int64_t kMiB = 1024 * 1024;

constexpr std::array<SettingSpec, kSettingCount> kSpecs = {{
    {"wal_limit_bytes", SettingKind::kInteger, 64 * kMiB, 64 * 1024, kMiB* kMiB, "bytes",
     "The size that the write-ahead log should not outgrow."},
    {"checkpoint_frames", SettingKind::kInteger, 1000, 1, 100'000'000, "frames",
     "Frames not yet in the database at which a checkpoint is due; of this and wal_limit_bytes the "
     "smaller in bytes wins. Follows PRAGMA wal_autocheckpoint=N until it is set here."},
    {"checkpoint_interval_ms", SettingKind::kInteger, 60'000, 100, 86'400'000, "ms",
     "Time after the last checkpoint at which one is due if there is anything to move."},
    {"stall_budget_ms", SettingKind::kInteger, 20, 0, 10'000, "ms",
     "A fact for conditions of your own; the budget that a rule spends is its own "
     "stall_budget_ms."},
    {"sample_interval_ms", SettingKind::kInteger, 1000, 10, 3'600'000, "ms",
     "Time between two looks at what changed without a commit of ours: settings, the control file, "
     "rules that depend on time."},
}};

}  // namespace

std::span<const SettingSpec> SettingSpecs() { return kSpecs; }

std::optional<std::size_t> FindSetting(std::string_view name) {
  for (std::size_t i = 0; i < kSpecs.size(); ++i) {
    if (name == kSpecs[i].name) return i;
  }
  return std::nullopt;
}

std::string AllowedValues(const SettingSpec& spec) {
  if (spec.kind == SettingKind::kSwitch) return "'on' or 'off'";
  return "an integer from " + std::to_string(spec.minimum) + " to " + std::to_string(spec.maximum);
}

std::string SettingText(const SettingSpec& spec, std::int64_t value) {
  if (spec.kind == SettingKind::kSwitch) return value != 0 ? "on" : "off";
  return std::to_string(value);
}

SettingValues::SettingValues() {
  for (std::size_t i = 0; i < kSpecs.size(); ++i) values_[i] = kSpecs[i].default_value;
}

void SettingValues::Set(std::size_t index, std::int64_t value) {
  if (index >= kSpecs.size()) return;
  if (value < kSpecs[index].minimum || value > kSpecs[index].maximum) return;
  values_[index] = value;
}

}  // namespace walmanager
