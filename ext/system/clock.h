// The clocks of ext/README.md, decision 11: monotonic for durations, wall clock for display.
#pragma once

#include <time.h>

#include <atomic>
#include <cstdint>

#if defined(__x86_64__)
#include <x86intrin.h>

#include "ext/core/policy/tick_calibration.h"
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
// system uses it for its clock, too. It may run backwards by microseconds from one call to the
// next, so a difference of two of these times may be negative: treat that as zero.
inline std::uint64_t QuickMonotonicNs();

// Milliseconds since 1970-01-01 UTC; jumps when the clock is set.
inline std::int64_t UnixMs() { return ClockNs(CLOCK_REALTIME) / 1'000'000; }

#if defined(__x86_64__)
// The calibration in force, made anew from time to time, since the system corrects its clock.
// Earlier ones never change, so a thread that is preempted while it reads one sees consistent data.
extern std::atomic<const TickCalibration*> tick_calibration;
std::uint64_t CalibrateTicks();

inline std::uint64_t QuickMonotonicNs() {
  // Acquire: the calibration that the pointer leads to is seen whole.
  const TickCalibration& calibration = *tick_calibration.load(std::memory_order_acquire);
  std::uint64_t ns = 0;
  return calibration.At(__rdtsc(), &ns) ? ns : CalibrateTicks();
}
#else
inline std::uint64_t QuickMonotonicNs() { return MonotonicNs(); }
#endif

}  // namespace walmanager
