#include "ext/core/policy/retry_delay.h"

#include <algorithm>

namespace walmanager {

bool RetryDelay::MovedNothing(std::uint64_t now_ns) {
  const std::uint64_t before = delay_ns_;
  delay_ns_ = before == 0 ? kFirstNs : std::min(2 * before, kLongestNs);
  not_before_ns_ = now_ns + delay_ns_;
  return delay_ns_ == kLongestNs && before < kLongestNs;
}

}  // namespace walmanager
