#include "ext/core/policy/backpressure.h"

#include <algorithm>

namespace walmanager {
namespace {

// The part by which the log is over its limit.
double Excess(std::uint64_t wal_frames, std::uint64_t limit_frames) {
  if (limit_frames == 0 || wal_frames <= limit_frames) return 0;
  return static_cast<double>(wal_frames - limit_frames) / static_cast<double>(limit_frames);
}

constexpr double kMostNs = 1e9;

}  // namespace

std::uint64_t BackpressureNs(std::uint64_t wal_frames, std::uint64_t limit_frames) {
  constexpr double kNsAtTwiceTheLimit = 100e6;
  const double over = Excess(wal_frames, limit_frames);
  return static_cast<std::uint64_t>(std::min(kNsAtTwiceTheLimit * over * over, kMostNs));
}

std::uint64_t CopierPauseNs(std::uint64_t wal_frames, std::uint64_t limit_frames) {
  constexpr double kSteeperFrom = 0.1, kWithin = 0.25, kNsThere = 50e6;
  const double part =
      std::max(Excess(wal_frames, limit_frames) - kSteeperFrom, 0.0) / (kWithin - kSteeperFrom);
  const double more = std::min(kNsThere * part * part, kMostNs);
  return BackpressureNs(wal_frames, limit_frames) + static_cast<std::uint64_t>(more);
}

}  // namespace walmanager
