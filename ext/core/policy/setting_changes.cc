#include "ext/core/policy/setting_changes.h"

#include <algorithm>
#include <set>

namespace walmanager {
namespace {

constexpr char kSetting[] = "setting", kStrategy[] = "strategy";

bool IsSame(const Rule& a, const Rule& b) {
  return a.priority == b.priority && a.name == b.name && a.condition == b.condition &&
         a.mode == b.mode && a.runs == b.runs && a.stall_budget_ms == b.stall_budget_ms;
}

std::set<std::string> OwnStrategies(const StoredSettings& settings) {
  std::set<std::string> names;
  for (const Rule& rule : settings.rules) names.insert(rule.strategy);
  return names;
}

}  // namespace

std::vector<SettingChange> ChangesBetween(const StoredSettings& before,
                                          const StoredSettings& after) {
  std::vector<SettingChange> changes;
  const SettingValues old_values = before.Values(), new_values = after.Values();
  for (std::size_t i = 0; i < SettingSpecs().size(); ++i) {
    const SettingSpec& spec = SettingSpecs()[i];
    if (old_values.at(i) == new_values.at(i)) continue;
    changes.push_back({kSetting, std::string(spec.name) + ": " +
                                     ShownSetting(spec, old_values.at(i)).Shown() + " before, " +
                                     ShownSetting(spec, new_values.at(i)).Shown() + " now"});
  }
  if (before.strategy != after.strategy) {
    changes.push_back({kStrategy, before.strategy + " before, " + after.strategy + " now"});
  }
  const auto had = OwnStrategies(before), has = OwnStrategies(after);
  for (const std::string& name : has) {
    const auto old_rules = before.RulesOf(name), new_rules = after.RulesOf(name);
    if (had.count(name) == 0) {
      changes.push_back({kStrategy, name + " was defined"});
    } else if (!std::equal(old_rules.begin(), old_rules.end(), new_rules.begin(), new_rules.end(),
                           IsSame)) {
      changes.push_back({kStrategy, name + " was defined anew"});
    }
  }
  for (const std::string& name : had) {
    if (has.count(name) == 0) changes.push_back({kStrategy, name + " was dropped"});
  }
  return changes;
}

}  // namespace walmanager
