// The settings in a control file of layout 5 or 6, for a file that is made anew: statistics of
// older versions are lost, settings are not.
// Thread rules: those of the file.
#pragma once

#include <cstdint>
#include <optional>

#include "ext/core/policy/stored_settings.h"

namespace walmanager {

// nullopt: another layout, or nothing that can be read.
std::optional<StoredSettings> ReadOldSettings(int fd, std::uint64_t layout_number);

}  // namespace walmanager
