// How long commits may wait for readers so that the log can start over: a tenth of the time, and
// 300 ms at once. All processes share one word of the control file, which says since when the
// allowance has accrued.
//
// A wait takes up to two lifetimes of a reader. The readers of older frames must leave before all
// frames can be copied; those that have begun meanwhile must leave before the log can start over.
// With readers of at most a twentieth of the time in which the log grows by its limit, a tenth of
// the time is therefore enough.
// Pure: times are CLOCK_MONOTONIC in nanoseconds.
#pragma once

#include <algorithm>
#include <cstdint>

namespace walmanager {

class StallAllowance {
 public:
  static constexpr std::uint64_t kMostNs = 300'000'000;

  // `since_ns`: the word; 0, or one that cannot be: all of it is left.
  explicit StallAllowance(std::uint64_t since_ns) : since_ns_(since_ns) {}

  std::uint64_t LeftNs(std::uint64_t now_ns) const {
    const std::uint64_t since = Since(now_ns);
    return since < now_ns ? std::min(kMostNs, (now_ns - since) / kPart) : 0;
  }
  // The word after a wait that ended at `now_ns` and took so long. What was waited beyond the
  // allowance is owed, up to three seconds of accruing.
  std::uint64_t AfterWait(std::uint64_t waited_ns, std::uint64_t now_ns) const {
    return std::min(Since(now_ns) + kPart * std::min(waited_ns, kMostNs), now_ns + kFullNs);
  }

 private:
  static constexpr std::uint64_t kPart = 10;
  static constexpr std::uint64_t kFullNs = kPart * kMostNs;

  // From kFullNs ago to kFullNs ahead.
  std::uint64_t Since(std::uint64_t now_ns) const {
    const std::uint64_t first = now_ns - std::min(now_ns, kFullNs);
    return since_ns_ > now_ns + kFullNs ? first : std::max(since_ns_, first);
  }

  std::uint64_t since_ns_;
};

}  // namespace walmanager
