#include "ext/clock.h"

#include <array>
#include <atomic>
#include <fstream>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>

#include "ext/core/wide.h"
#endif

namespace walmanager {
#if defined(__x86_64__)
namespace {

// How nanoseconds follow from ticks of the counter: base_ns + (ticks - base_ticks) * multiplier /
// 2^32. Made anew from time to time, since the system corrects its clock.
struct Calibration {
  std::atomic<std::uint64_t> base_ticks{0}, base_ns{0};
  std::atomic<std::uint64_t> multiplier{0};  // 0: not known yet
  std::atomic<std::uint64_t> until_ticks{0};
};

constexpr std::uint64_t kFirstNs = 20'000'000;  // from there on the error is below 10^-5
constexpr std::uint64_t kEveryNs = 10'000'000'000;

// The one in force and those before: whoever was stopped while it read one finds it as it was.
std::array<Calibration, 16> calibrations;
std::atomic<std::size_t> in_force{0};
std::atomic<bool> calibrating{false};
std::atomic<std::uint64_t> first_ticks{0}, first_ns{0};

// The counter runs at one speed in all states of the processor (Intel SDM 3B, 18.17.1; AMD APM 3,
// Fn8000_0007), and the system has not found it wanting.
bool CounterIsGood() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(0x80000007, &a, &b, &c, &d) == 0 || (d & (1u << 8)) == 0) return false;
  std::ifstream source("/sys/devices/system/clocksource/clocksource0/current_clocksource");
  std::string name;
  return std::getline(source, name) && name == "tsc";
}

bool UseCounter() {
  static const bool good = CounterIsGood();
  return good;
}

std::uint64_t Calibrate() {
  const std::uint64_t ticks = __rdtsc(), now = MonotonicNs();
  if (!UseCounter() || calibrating.exchange(true)) return now;
  if (first_ticks == 0) {
    first_ticks = ticks;
    first_ns = now;
  } else if (now - first_ns >= kFirstNs && ticks > first_ticks) {
    const std::size_t next = (in_force + 1) % calibrations.size();
    Calibration& made = calibrations[next];
    const auto multiplier = static_cast<std::uint64_t>(
        (static_cast<UInt128>(now - first_ns) << 32) / (ticks - first_ticks));
    const bool young = now - first_ns < kEveryNs;
    const std::uint64_t lasts_ns = young ? now - first_ns : kEveryNs;
    made.base_ticks = ticks;
    made.base_ns = now;
    made.multiplier = multiplier;
    made.until_ticks =
        ticks + static_cast<std::uint64_t>((static_cast<UInt128>(lasts_ns) << 32) / multiplier);
    in_force = next;
    if (!young) {
      first_ticks = ticks;
      first_ns = now;
    }
  }
  calibrating = false;
  return now;
}

}  // namespace

std::uint64_t QuickMonotonicNs() {
  // Relaxed: each word is good by itself, and one of another calibration is off by little.
  const Calibration& calibration = calibrations[in_force.load(std::memory_order_acquire)];
  const std::uint64_t ticks = __rdtsc();
  // Signed: processors may differ by some ticks.
  const auto since =
      static_cast<std::int64_t>(ticks - calibration.base_ticks.load(std::memory_order_relaxed));
  if (ticks >= calibration.until_ticks.load(std::memory_order_relaxed)) return Calibrate();
  return calibration.base_ns.load(std::memory_order_relaxed) +
         static_cast<std::uint64_t>(static_cast<Int128>(since) *
                                        calibration.multiplier.load(std::memory_order_relaxed) >>
                                    32);
}
#else
std::uint64_t QuickMonotonicNs() { return MonotonicNs(); }
#endif

}  // namespace walmanager
