#include "ext/system/old_settings.h"

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "ext/core/control/settings_entries.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kFirstOldLayout = 5, kLastOldLayout = 6;
constexpr std::size_t kOldSettings = 192, kOldRules = 128;
constexpr off_t kGenerationAt = 128, kBlocksAt = 4096;
constexpr std::size_t kHeadBytes = offsetof(layout::SettingsBlock, settings);
constexpr std::size_t kBlockBytes = kHeadBytes + kOldSettings * sizeof(layout::SettingEntry) +
                                    kOldRules * sizeof(layout::RuleEntry);
static_assert(kBlockBytes == 176'256);

bool ReadAt(int fd, void* to, std::size_t bytes, std::size_t at) {
  return pread(fd, to, bytes, static_cast<off_t>(at)) == static_cast<ssize_t>(bytes);
}

}  // namespace

std::optional<StoredSettings> ReadOldSettings(int fd, std::uint64_t layout_number) {
  if (layout_number < kFirstOldLayout || layout_number > kLastOldLayout) return std::nullopt;
  std::uint64_t generation = 0;
  if (!ReadAt(fd, &generation, sizeof generation, kGenerationAt)) return std::nullopt;
  const std::size_t at = kBlocksAt + (generation & 1) * kBlockBytes;
  layout::SettingsBlock head{};
  if (!ReadAt(fd, &head, kHeadBytes, at)) return std::nullopt;
  std::vector<layout::SettingEntry> settings(
      std::min<std::uint64_t>(head.setting_count, kOldSettings));
  std::vector<layout::RuleEntry> rules(std::min<std::uint64_t>(head.rule_count, kOldRules));
  const std::size_t settings_at = at + kHeadBytes;
  const std::size_t rules_at = settings_at + kOldSettings * sizeof(layout::SettingEntry);
  if (!ReadAt(fd, settings.data(), settings.size() * sizeof settings[0], settings_at) ||
      !ReadAt(fd, rules.data(), rules.size() * sizeof rules[0], rules_at)) {
    return std::nullopt;
  }
  return DecodeSettings(head, settings, rules, generation);
}

}  // namespace walmanager
