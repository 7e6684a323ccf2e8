#include "ext/core/policy/stored_settings.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

#include "ext/core/base/ascii_case.h"
#include "ext/core/base/sort_by_key.h"
#include "ext/core/base/value.h"

namespace walmanager {
namespace {

const SettingSpec& CheckpointFrames() {
  return SettingSpecs()[static_cast<std::size_t>(Setting::kCheckpointFrames)];
}

// The strategies of rules that are grouped by strategy: "a, b, c".
std::string StrategiesOf(std::span<const Rule> rules) {
  std::string names;
  std::string_view last;
  for (const Rule& rule : rules) {
    if (rule.strategy == last) continue;
    last = rule.strategy;
    (names += names.empty() ? "" : ", ") += rule.strategy;
  }
  return names;
}

}  // namespace

const StoredSetting* StoredSettings::Find(std::string_view name) const {
  for (const StoredSetting& setting : settings) {
    if (setting.name == name) return &setting;
  }
  return nullptr;
}

SettingValues StoredSettings::Values() const {
  SettingValues values;
  for (const StoredSetting& setting : settings) {
    if (const auto index = FindSetting(setting.name)) values.Set(*index, setting.value);
  }
  return values;
}

std::vector<Rule> StoredSettings::RulesOf(std::string_view name) const {
  std::vector<Rule> found;
  const auto wanted = [&](const Rule& rule) { return rule.strategy == name; };
  const auto builtin = BuiltinRules();
  std::copy_if(builtin.begin(), builtin.end(), std::back_inserter(found), wanted);
  if (found.empty()) std::copy_if(rules.begin(), rules.end(), std::back_inserter(found), wanted);
  // They are stored in this order, but the bytes of the control file are not trusted.
  SortSmallestFirst(found, [](const Rule& rule) { return rule.priority; });
  return found;
}

std::optional<std::string> StoredSettings::FindStrategy(std::string_view name) const {
  for (const std::span<const Rule> some : {BuiltinRules(), std::span<const Rule>(rules)}) {
    for (const Rule& rule : some) {
      if (EqualIgnoringCase(rule.strategy, name)) return rule.strategy;
    }
  }
  return std::nullopt;
}

std::string StoredSettings::StrategyNames() const {
  const std::string own = OwnStrategyNames();
  return StrategiesOf(BuiltinRules()) + (own.empty() ? "" : ", " + own);
}

std::string StoredSettings::OwnStrategyNames() const { return StrategiesOf(rules); }

void StoredSettings::Set(const SettingSpec& spec, std::optional<std::int64_t> value,
                         const ChangeMark& mark) {
  std::erase_if(settings, [&](const StoredSetting& setting) { return setting.name == spec.name; });
  if (value) settings.push_back({spec.name, *value, mark.at_ms, mark.by, /*adopted=*/false});
}

bool StoredSettings::AdoptCheckpointFrames(std::int64_t frames, const ChangeMark& mark) {
  const SettingSpec& spec = CheckpointFrames();
  const StoredSetting* current = Find(spec.name);
  if (current && !current->adopted) return false;
  if (frames < spec.minimum || frames > spec.maximum) return false;
  if (frames == (current ? current->value : spec.default_value)) return false;
  Set(spec, frames, mark);
  settings.back().adopted = true;
  return true;
}

Status StoredSettings::SelectStrategy(std::string_view name, const ChangeMark& mark) {
  auto found = FindStrategy(name);
  if (!found) return Error{"strategy " + ShownText(name) + " is not one of " + StrategyNames()};
  strategy = std::move(*found);
  strategy_changed = mark;
  return Ok{};
}

Status StoredSettings::DefineStrategy(std::string_view name, std::vector<Rule> defined) {
  if (IsBuiltinStrategy(name)) {
    return Error{"strategy " + ShownText(name) + " is built in and fixed; give yours another name"};
  }
  // Under its old spelling, which may be the active strategy's.
  const std::string spelled = FindStrategy(name).value_or(std::string(name));
  for (Rule& rule : defined) rule.strategy = spelled;
  std::erase_if(rules, [&](const Rule& rule) { return rule.strategy == spelled; });
  SortSmallestFirst(defined, [](const Rule& rule) { return rule.priority; });
  std::move(defined.begin(), defined.end(), std::back_inserter(rules));
  return Ok{};
}

Status StoredSettings::DropStrategy(std::string_view name) {
  const std::string shown = "strategy " + ShownText(name) + " ";
  if (IsBuiltinStrategy(name)) return Error{shown + "is built in and cannot be dropped"};
  const auto found = FindStrategy(name);
  if (!found && rules.empty()) {
    return Error{shown + "does not exist: no strategy of your own is defined"};
  }
  if (!found) return Error{shown + "is not one of your own, which are " + OwnStrategyNames()};
  if (strategy == *found) return Error{shown + "is active; choose another with wal_strategy first"};
  std::erase_if(rules, [&](const Rule& rule) { return rule.strategy == *found; });
  return Ok{};
}

void StoredSettings::TakeOverLater(const StoredSettings& elsewhere) {
  for (const StoredSetting& setting : elsewhere.settings) {
    const StoredSetting* here = Find(setting.name);
    if (here && here->changed_at_ms >= setting.changed_at_ms) continue;
    std::erase_if(settings, [&](const StoredSetting& each) { return each.name == setting.name; });
    settings.push_back(setting);
  }
  std::vector<Rule> added;
  std::copy_if(elsewhere.rules.begin(), elsewhere.rules.end(), std::back_inserter(added),
               [&](const Rule& rule) { return !FindStrategy(rule.strategy); });
  std::move(added.begin(), added.end(), std::back_inserter(rules));
  if (elsewhere.strategy_changed.at_ms <= strategy_changed.at_ms) return;
  (void)SelectStrategy(elsewhere.strategy,
                       elsewhere.strategy_changed);  // its rules are here by now
}

}  // namespace walmanager
