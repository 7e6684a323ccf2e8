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
    {"stall_budget_ms", SettingKind::kInteger, 50, 0, 10'000, "ms",
     "The most that a commit waits for readers under a built-in strategy, whose rules say 10 to "
     "50; "
     "rules of your own say it themselves. 0: it never waits."},
    {"backpressure", SettingKind::kSwitch, 0, 0, 1, "",
     "Commits wait as the log grows past its limit: 1 ms each at 10 % beyond it, 100 ms at twice "
     "the "
     "limit, so that the disk does not fill."},
    {"slow_query_ms", SettingKind::kInteger, 100, 0, 3'600'000, "ms",
     "From here on a statement counts as slow, and its plan is kept."},
    {"statement_metrics", SettingKind::kSwitch, 1, 0, 1, "",
     "Statements are measured: query_performance."},
    {"sample_interval_ms", SettingKind::kInteger, 1000, 10, 3'600'000, "ms",
     "Time between two looks at what changed without a commit of ours: settings, the control file, "
     "rules that depend on time."},
    {"max_queries", SettingKind::kInteger, 1000, 10, 1024, "",
     "Statements that are told apart in query_performance; those not seen for the longest time "
     "make "
     "room."},
    {"auto_optimize", SettingKind::kSwitch, 0, 0, 1, "",
     "PRAGMA optimize is run on a connection of ours when nobody has committed for ten seconds, at "
     "most once an hour. While it writes, others find the database locked for a moment."},
    {"read_pool_size", SettingKind::kInteger, 20, 0, 256, "",
     "Connections of the pool of readers. Not in effect in this version."},
    {"read_pool_timeout_ms", SettingKind::kInteger, 30'000, 1, 3'600'000, "ms",
     "The most that a call of the pool of readers takes. Not in effect in this version."},
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
