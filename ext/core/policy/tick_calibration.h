// How nanoseconds follow from ticks of a processor's counter: base_ns + (ticks - base_ticks) *
// multiplier / 2^32, until until_ticks.
//
// Thread rules: one thread sets it up before others see it; At() and Void() from any thread. So the
// members may be relaxed: the pointer to it is published with release (clock.cc). A thread that
// does not see Void() yet uses the calibration for a moment longer.
#pragma once

#include <atomic>
#include <cstdint>

#include "ext/core/base/wide.h"

namespace walmanager {

struct TickCalibration {
  std::atomic<std::uint64_t> base_ticks{0}, base_ns{0};
  std::atomic<std::uint64_t> multiplier{0};
  mutable std::atomic<std::uint64_t> until_ticks{0};  // 0: not known yet, or no more
  void Void() const { until_ticks.store(0, std::memory_order_relaxed); }

  // Sets `*ns`. False where the calibration is of no use: its time is over, or the counter has
  // started again, as on some machines after a suspend.
  bool At(std::uint64_t ticks, std::uint64_t* ns) const {
    if (ticks >= until_ticks.load(std::memory_order_relaxed)) return false;
    const auto since =
        static_cast<std::int64_t>(ticks - base_ticks.load(std::memory_order_relaxed));
    if (since < -kMostSkewTicks) return false;
    *ns = base_ns.load(std::memory_order_relaxed) +
          static_cast<std::uint64_t>(
              static_cast<Int128>(since) *
                  static_cast<Int128>(multiplier.load(std::memory_order_relaxed)) >>
              32);
    return true;
  }

 private:
  // Counters of two processors may differ by some ticks: less than half a millisecond.
  static constexpr std::int64_t kMostSkewTicks = 1 << 20;
};

}  // namespace walmanager
