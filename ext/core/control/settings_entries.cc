#include "ext/core/control/settings_entries.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "ext/core/control/shared_words.h"

namespace walmanager {
namespace {

// Letters, digits, underscores, and dots as in "wal_size.warning".
bool IsSettingName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return c == '_' || c == '.' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z');
  });
}

std::optional<Rule> DecodeRule(const layout::RuleEntry& entry) {
  if (entry.mode >= kCheckpointModes || entry.runs > 1) return std::nullopt;
  Rule rule;
  rule.strategy = Text(entry.strategy);
  rule.name = Text(entry.name);
  rule.condition = Text(entry.condition);
  rule.priority = entry.priority;
  rule.mode = static_cast<CheckpointMode>(entry.mode);
  rule.runs = static_cast<RuleRuns>(entry.runs);
  rule.stall_budget_ms = entry.stall_budget_ms;
  if (!CheckName("", rule.strategy).ok() || !CheckRule(rule).ok()) return std::nullopt;
  return rule;
}

}  // namespace

StoredSettings DecodeSettings(const layout::SettingsBlock& head,
                              std::span<const layout::SettingEntry> settings,
                              std::span<const layout::RuleEntry> rules, std::uint64_t generation) {
  StoredSettings stored;
  stored.generation = generation;
  for (const layout::SettingEntry& entry : settings) {
    if (!IsSettingName(Text(entry.name))) continue;
    stored.settings.push_back({Text(entry.name), entry.value, entry.changed_at_ms,
                               Text(entry.changed_by), entry.adopted == 1});
  }
  for (const layout::RuleEntry& entry : rules) {
    if (auto rule = DecodeRule(entry)) stored.rules.push_back(std::move(*rule));
  }
  const std::string strategy = Text(head.active_strategy);
  stored.strategy_changed = {Text(head.strategy_changed_by), head.strategy_changed_at_ms};
  if (!stored.RulesOf(strategy).empty()) stored.strategy = strategy;
  return stored;
}

void EncodeHead(const StoredSettings& settings, layout::SettingsBlock& head) {
  SetText(head.active_strategy, settings.strategy);
  SetText(head.strategy_changed_by, settings.strategy_changed.by);
  head.strategy_changed_at_ms = settings.strategy_changed.at_ms;
  head.setting_count = settings.settings.size();
  head.rule_count = settings.rules.size();
}

void EncodeSetting(const StoredSetting& setting, layout::SettingEntry& entry) {
  SetText(entry.name, setting.name);
  entry.value = setting.value;
  entry.changed_at_ms = setting.changed_at_ms;
  SetText(entry.changed_by, setting.changed_by);
  entry.adopted = setting.adopted ? 1 : 0;
}

void EncodeRule(const Rule& rule, layout::RuleEntry& entry) {
  SetText(entry.strategy, rule.strategy);
  SetText(entry.name, rule.name);
  SetText(entry.condition, rule.condition);
  entry.priority = rule.priority;
  entry.stall_budget_ms = rule.stall_budget_ms;
  entry.mode = static_cast<std::uint64_t>(rule.mode);
  entry.runs = static_cast<std::uint64_t>(rule.runs);
}

}  // namespace walmanager
