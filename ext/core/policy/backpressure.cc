#include "ext/core/policy/backpressure.h"

#include <algorithm>

namespace walmanager {

std::uint64_t BackpressureNs(std::uint64_t wal_frames, std::uint64_t limit_frames) {
  constexpr double kNsAtTwiceTheLimit = 100e6;
  constexpr double kMostNs = 1e9;
  if (limit_frames == 0 || wal_frames <= limit_frames) return 0;
  const double over =
      static_cast<double>(wal_frames - limit_frames) / static_cast<double>(limit_frames);
  return static_cast<std::uint64_t>(std::min(kNsAtTwiceTheLimit * over * over, kMostNs));
}

}  // namespace walmanager
