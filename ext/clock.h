// The clocks of DESIGN.md, decision 10: monotonic for durations, wall clock for display.
#pragma once

#include <time.h>

#include <cstdint>

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
std::uint64_t QuickMonotonicNs();

// Milliseconds since 1970-01-01 UTC; jumps when somebody sets the clock.
inline std::int64_t UnixMs() { return ClockNs(CLOCK_REALTIME) / 1'000'000; }

}  // namespace walmanager
