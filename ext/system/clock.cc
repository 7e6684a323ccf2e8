#include "ext/system/clock.h"

#include <array>
#include <atomic>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>

#include "ext/core/base/wide.h"
#include "ext/system/system_text.h"
#endif

namespace walmanager {
#if defined(__x86_64__)
namespace {

constexpr std::uint64_t kFirstNs = 20'000'000;  // from there on the error is below 10^-5
constexpr std::uint64_t kEveryNs = 10'000'000'000;

std::array<TickCalibration, 16> calibrations;
std::size_t in_force = 0;  // guarded by calibrating
std::atomic<bool> calibrating{false};
std::atomic<std::uint64_t> first_ticks{0}, first_ns{0};

// The counter runs at one speed in all states of the processor (Intel SDM 3B, 18.17.1; AMD APM 3,
// Fn8000_0007), and the system has not found it wanting.
bool CounterIsGood() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(0x80000007, &a, &b, &c, &d) == 0 || (d & (1u << 8)) == 0) return false;
  return FirstLineOf("/sys/devices/system/clocksource/clocksource0/current_clocksource") == "tsc";
}

bool UseCounter() {
  static const bool good = CounterIsGood();
  return good;
}

}  // namespace

std::atomic<const TickCalibration*> tick_calibration{&calibrations[0]};

std::uint64_t CalibrateTicks() {
  const std::uint64_t ticks = __rdtsc(), now = MonotonicNs();
  if (!UseCounter() || calibrating.exchange(true)) return now;
  if (first_ticks == 0) {
    first_ticks = ticks;
    first_ns = now;
  } else if (ticks <= first_ticks) {
    first_ticks = 0;  // set back, as after a suspend: begin anew
  } else if (now - first_ns >= kFirstNs) {
    const std::size_t next = (in_force + 1) % calibrations.size();
    TickCalibration& made = calibrations[next];
    const auto multiplier = static_cast<std::uint64_t>(
        (static_cast<UInt128>(now - first_ns) << 32) / (ticks - first_ticks));
    // The counter ran while the clock stood still, or the other way round: begin anew.
    const std::uint64_t before = tick_calibration.load()->multiplier;
    if (before != 0 &&
        (multiplier > before + before / 1000 || multiplier < before - before / 1000)) {
      first_ticks = ticks;
      first_ns = now;
      tick_calibration.load()->Void();
      calibrating = false;
      return now;
    }
    const bool young = now - first_ns < kEveryNs;
    const std::uint64_t lasts_ns = young ? now - first_ns : kEveryNs;
    made.base_ticks = ticks;
    made.base_ns = now;
    made.multiplier = multiplier;
    made.until_ticks =
        ticks + static_cast<std::uint64_t>((static_cast<UInt128>(lasts_ns) << 32) / multiplier);
    in_force = next;
    // Release: pairs with QuickMonotonicNs().
    tick_calibration.store(&made, std::memory_order_release);
    if (!young) {
      first_ticks = ticks;
      first_ns = now;
    }
  }
  calibrating = false;
  return now;
}
#endif

}  // namespace walmanager
