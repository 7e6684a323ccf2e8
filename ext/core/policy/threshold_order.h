// Of the two thresholds of a health check the critical one is not reached before the warning. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "ext/core/policy/settings.h"

namespace walmanager {

// What the setting `index` may be beside the other threshold of its check, which has the value of
// `in_force`; nullopt where `value` may be set, or the setting is not one of two thresholds.
std::optional<std::string> AllowedBesideOther(std::size_t index, std::int64_t value,
                                              const SettingValues& in_force);

}  // namespace walmanager
