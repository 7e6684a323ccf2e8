// Settings as a control file has them, and as the rest of the program does.
// The bytes of the file may be hostile. So decoding ends a text at the end of its field, and skips
// an entry whose name or rule is not valid.
#pragma once

#include <cstdint>
#include <span>

#include "ext/core/control/layout_settings.h"
#include "ext/core/policy/stored_settings.h"

namespace walmanager {

// `head`: of which the entries are not read. Names that this version does not know are kept.
StoredSettings DecodeSettings(const layout::SettingsBlock& head,
                              std::span<const layout::SettingEntry> settings,
                              std::span<const layout::RuleEntry> rules, std::uint64_t generation);
// All but the entries.
void EncodeHead(const StoredSettings& settings, layout::SettingsBlock& head);
void EncodeSetting(const StoredSetting& setting, layout::SettingEntry& entry);
void EncodeRule(const Rule& rule, layout::RuleEntry& entry);

}  // namespace walmanager
