#include "ext/core/policy/stored_settings.h"

#include <algorithm>
#include <iterator>

#include "ext/core/base/value.h"

namespace walmanager {
namespace {

const SettingSpec& CheckpointFrames() {
  return SettingSpecs()[static_cast<std::size_t>(Setting::kCheckpointFrames)];
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
  // Stored in this order already, but the bytes of the control file are not trusted.
  std::stable_sort(found.begin(), found.end(),
                   [](const Rule& a, const Rule& b) { return a.priority < b.priority; });
  return found;
}

std::string StoredSettings::StrategyNames() const {
  std::string names;
  std::string_view last;
  const auto add = [&](const Rule& rule) {
    if (rule.strategy == last) return;
    last = rule.strategy;
    (names += names.empty() ? "" : ", ") += rule.strategy;
  };
  for (const Rule& rule : BuiltinRules()) add(rule);
  for (const Rule& rule : rules) add(rule);
  return names;
}

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
  if (RulesOf(name).empty()) {
    return Error{"strategy " + ShownText(name) + " is not one of " + StrategyNames()};
  }
  strategy = name;
  strategy_changed = mark;
  return Ok{};
}

Status StoredSettings::DefineStrategy(std::string_view name, std::vector<Rule> defined) {
  if (IsBuiltinStrategy(name)) {
    return Error{"strategy " + ShownText(name) + " is built in and fixed; give yours another name"};
  }
  std::erase_if(rules, [&](const Rule& rule) { return rule.strategy == name; });
  std::stable_sort(defined.begin(), defined.end(),
                   [](const Rule& a, const Rule& b) { return a.priority < b.priority; });
  std::move(defined.begin(), defined.end(), std::back_inserter(rules));
  return Ok{};
}

Status StoredSettings::DropStrategy(std::string_view name) {
  const std::string shown = "strategy " + ShownText(name) + " ";
  if (IsBuiltinStrategy(name)) return Error{shown + "is built in and cannot be dropped"};
  if (RulesOf(name).empty()) return Error{shown + "is not one of " + StrategyNames()};
  if (strategy == name) return Error{shown + "is active; choose another with wal_strategy first"};
  std::erase_if(rules, [&](const Rule& rule) { return rule.strategy == name; });
  return Ok{};
}

}  // namespace walmanager
