// Settings and strategies in the control file (settings_entries.h reads and writes them).
#pragma once

#include <array>
#include <cstdint>

#include "ext/core/control/layout_sizes.h"

namespace walmanager::layout {

struct SettingEntry {
  char name[64];
  std::int64_t value;  // of a setting that is a real number: the bits of a double
  std::int64_t changed_at_ms;
  char changed_by[40];
  std::uint64_t adopted;  // 1: followed PRAGMA wal_autocheckpoint
};
static_assert(sizeof(SettingEntry) == 128);

struct RuleEntry {
  char strategy[64];
  char name[64];
  char condition[1024];
  std::int64_t priority;
  double stall_budget_ms;
  std::uint64_t mode;
  std::uint64_t runs;
};
static_assert(sizeof(RuleEntry) == 1184);

struct SettingsBlock {
  char active_strategy[64];
  std::int64_t strategy_changed_at_ms;  // 0: never
  char strategy_changed_by[40];
  std::uint64_t setting_count;
  std::uint64_t rule_count;
  std::array<SettingEntry, kFirstSettings> settings;
  std::array<RuleEntry, kFirstRules> rules;
};
static_assert(sizeof(SettingsBlock) % 8 == 0);

// The settings and rules after those of the block.
struct MoreSettings {
  std::array<SettingEntry, kSettings - kFirstSettings> settings;
  std::array<RuleEntry, kRules - kFirstRules> rules;
};

}  // namespace walmanager::layout
