#include "ext/core/policy/threshold_order.h"

#include <bit>

namespace walmanager {

std::optional<std::string> AllowedBesideOther(std::size_t index, std::int64_t value,
                                              const SettingValues& in_force) {
  if (index < kNamedSettingCount) return std::nullopt;
  const HealthThreshold& threshold = *kThresholdSettings[index - kNamedSettingCount].threshold;
  if (!threshold.warning || !threshold.critical) return std::nullopt;
  // The two of a check are neighbours, the warning first.
  const bool is_warning =
      index - kNamedSettingCount + 1 < kThresholdSettingCount &&
      kThresholdSettings[index - kNamedSettingCount + 1].threshold == &threshold;
  const std::size_t other = is_warning ? index + 1 : index - 1;
  const double given = std::bit_cast<double>(value);
  const double limit = in_force.RealAt(other);
  const bool is_most = is_warning != threshold.is_lower_worse;
  if (is_most ? given <= limit : given >= limit) return std::nullopt;
  const std::string name = SettingSpecs()[other].name;
  return ShownSetting(SettingSpecs()[other], in_force.at(other)).Shown() +
         (is_most ? " or less" : " or more") + ", which is " + name + " now; set " + name +
         " first to move both";
}

}  // namespace walmanager
