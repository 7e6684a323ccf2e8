// Describes what a change of the settings changed, for wal_alerts. Pure.
#pragma once

#include <string>
#include <vector>

#include "ext/core/policy/stored_settings.h"

namespace walmanager {

struct SettingChange {
  const char* what;    // "setting" or "strategy"
  std::string detail;  // "wal_limit_bytes: 67108864 before, 1000000 now"
};

// In the order of settings.cc, then the strategies.
std::vector<SettingChange> ChangesBetween(const StoredSettings& before,
                                          const StoredSettings& after);

}  // namespace walmanager
