// The settings and strategies of a database as the control file stores them, with the process and
// time of each change, and the rules by which they may change. Defaults are not stored.
//
// Plain values; a function checks first and changes after, so an error changes nothing. The
// caller holds the settings lock of the database (control_file.h) while it changes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ext/core/base/result.h"
#include "ext/core/policy/settings.h"
#include "ext/core/policy/strategy.h"

namespace walmanager {

// The process that makes a change, and when: "python3 (pid 4711)", Unix time.
struct ChangeMark {
  std::string by;
  std::int64_t at_ms = 0;
};

struct StoredSetting {
  std::string name;
  std::int64_t value = 0;
  std::int64_t changed_at_ms = 0;
  std::string changed_by;
  bool adopted = false;  // followed PRAGMA wal_autocheckpoint, and may follow it again
};

struct StoredSettings {
  std::uint64_t generation = 0;
  std::string strategy = kDefaultStrategy;
  ChangeMark strategy_changed;  // at_ms 0: never
  std::vector<StoredSetting> settings;
  std::vector<Rule> rules;  // strategies of the user's own, in priority order within a strategy

  const StoredSetting* Find(std::string_view name) const;
  SettingValues Values() const;
  // The rules of one strategy, built in or of the user's own, in priority order; none: no such one.
  std::vector<Rule> RulesOf(std::string_view name) const;
  // The name of a strategy as it was defined, for a name in any case of letters; nullopt: no such
  // one.
  std::optional<std::string> FindStrategy(std::string_view name) const;
  // "a, b, c": for messages.
  std::string StrategyNames() const;
  // The same without the built-in ones; empty where there is none.
  std::string OwnStrategyNames() const;

  // nullopt: back to the default. The value must be in the setting's range.
  void Set(const SettingSpec& spec, std::optional<std::int64_t> value, const ChangeMark& mark);
  // PRAGMA wal_autocheckpoint=N: followed while checkpoint_frames is at its default or was itself
  // set so. False where it is not followed, or nothing changes.
  bool AdoptCheckpointFrames(std::int64_t frames, const ChangeMark& mark);
  // Names of strategies: in any case of letters.
  Status SelectStrategy(std::string_view name, const ChangeMark& mark);
  // The rules must have been checked. A strategy that is there keeps its spelling.
  Status DefineStrategy(std::string_view name, std::vector<Rule> defined);
  Status DropStrategy(std::string_view name);
  // Takes over what was set elsewhere: settings and the active strategy that were changed later
  // there, and strategies that are not defined here.
  void TakeOverLater(const StoredSettings& elsewhere);
};

}  // namespace walmanager
