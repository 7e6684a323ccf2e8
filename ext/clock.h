// The clocks of DESIGN.md, decision 10: monotonic for durations, wall clock for display.
#pragma once

#include <time.h>

#include <atomic>
#include <cstdint>

#if defined(__x86_64__)
#include <x86intrin.h>

#include "ext/core/wide.h"
#endif

namespace walmanager {

inline std::int64_t ClockNs(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Nanoseconds since some point before this process; never runs backwards. 20 to 30 ns a call.
inline std::uint64_t MonotonicNs() { return static_cast<std::uint64_t>(ClockNs(CLOCK_MONOTONIC)); }

// The same to within microseconds, in half the time: from the processor's own counter where the
// system uses that for its clock, too. May run backwards by as much from one call to the next; what
// is computed from two of them is to be bounded by zero.
inline std::uint64_t QuickMonotonicNs();

// Milliseconds since 1970-01-01 UTC; jumps when somebody sets the clock.
inline std::int64_t UnixMs() { return ClockNs(CLOCK_REALTIME) / 1'000'000; }

#if defined(__x86_64__)
// How nanoseconds follow from ticks of the counter: base_ns + (ticks - base_ticks) * multiplier /
// 2^32, until until_ticks. Made anew from time to time, since the system corrects its clock.
struct TickCalibration {
  std::atomic<std::uint64_t> base_ticks{0}, base_ns{0};
  std::atomic<std::uint64_t> multiplier{0};
  mutable std::atomic<std::uint64_t> until_ticks{0};  // 0: not known yet, or no more
  void Void() const { until_ticks.store(0, std::memory_order_relaxed); }
};
// The one in force; those before it stay as they are, for who was stopped while he read one.
extern std::atomic<const TickCalibration*> tick_calibration;
std::uint64_t CalibrateTicks();

inline std::uint64_t QuickMonotonicNs() {
  // Acquire: who sees it, sees it whole.
  const TickCalibration& calibration = *tick_calibration.load(std::memory_order_acquire);
  const std::uint64_t ticks = __rdtsc();
  if (ticks >= calibration.until_ticks.load(std::memory_order_relaxed)) return CalibrateTicks();
  // Signed: processors may differ by some ticks.
  const auto since =
      static_cast<std::int64_t>(ticks - calibration.base_ticks.load(std::memory_order_relaxed));
  return calibration.base_ns.load(std::memory_order_relaxed) +
         static_cast<std::uint64_t>(
             static_cast<Int128>(since) *
                 static_cast<Int128>(calibration.multiplier.load(std::memory_order_relaxed)) >>
             32);
}
#else
inline std::uint64_t QuickMonotonicNs() { return MonotonicNs(); }
#endif

}  // namespace walmanager
