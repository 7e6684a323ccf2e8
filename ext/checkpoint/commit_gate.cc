#include "ext/checkpoint/commit_gate.h"

#include <time.h>

#include <algorithm>

#include "ext/core/control/shared_words.h"
#include "ext/core/policy/backpressure.h"
#include "ext/system/clock.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kPauseNs = 50'000;

void SleepNs(std::uint64_t ns) {
  const timespec time{static_cast<time_t>(ns / 1'000'000'000),
                      static_cast<long>(ns % 1'000'000'000)};
  nanosleep(&time, nullptr);
}

}  // namespace

void CommitGate::Pause() { SleepNs(1); }

bool CommitGate::IsDue(ControlRegion& region, const LogEnd& log, std::uint64_t now_ns) const {
  return region.settings_generation() != look_settings_.load(std::memory_order_relaxed) ||
         log.salt1 != look_salt_.load(std::memory_order_relaxed) ||
         log.max_frame >= look_frame_.load(std::memory_order_relaxed) ||
         now_ns >= last_look_ns() + sample_interval_ns() ||
         Get(region.header().gate_until_ns) > now_ns;
}

void CommitGate::Plan(const LookPlan& plan, const WalIndex& index,
                      std::uint64_t settings_generation, std::uint64_t sample_interval_ns,
                      std::uint64_t now_ns) {
  look_frame_.store(plan.look_frame, std::memory_order_relaxed);
  look_salt_.store(index.salt1, std::memory_order_relaxed);
  look_settings_.store(settings_generation, std::memory_order_relaxed);
  last_look_ns_.store(now_ns, std::memory_order_relaxed);
  sample_interval_ns_.store(sample_interval_ns, std::memory_order_relaxed);
  wait_ns_.store(plan.wait_ns, std::memory_order_relaxed);
  wait_frame_.store(plan.wait_frame, std::memory_order_relaxed);
  pressure_frame_.store(plan.pressure_frame, std::memory_order_relaxed);
}

void CommitGate::WaitAtGate(layout::Counter& gate_until_ns, std::uint64_t gate_ns,
                            std::uint64_t now_ns) const {
  const std::uint64_t until = std::min(gate_ns, now_ns + std::max(wait_ns(), kGateNs));
  while (Get(gate_until_ns) == gate_ns && MonotonicNs() < until) Pause();
  // The process that should open this gate has died, or the value is corrupt. Clear it, so that no
  // later commit waits for it.
  if (MonotonicNs() >= until) gate_until_ns.compare_exchange_strong(gate_ns, 0);
}

bool CommitGate::PauseForCopier(const layout::Counter& brake_frame, std::uint64_t longest_ns,
                                std::uint64_t now_ns) {
  if (longest_ns > kPauseNs) {
    const std::uint64_t until = now_ns + longest_ns;
    while (Get(brake_frame) != 0 && MonotonicNs() < until) SleepNs(kPauseNs);
    return true;
  }
  // A commit pauses for 50 µs on average. On a machine whose CPUs are all busy a sleep takes
  // milliseconds: then the next commits do not pause until the average is 50 µs again.
  std::int64_t debt = pause_debt_ns_.load(std::memory_order_relaxed);
  if (debt > 0) {
    pause_debt_ns_.store(debt - static_cast<std::int64_t>(kPauseNs), std::memory_order_relaxed);
    return false;
  }
  Pause();
  debt =
      static_cast<std::int64_t>(MonotonicNs() - now_ns) - 2 * static_cast<std::int64_t>(kPauseNs);
  pause_debt_ns_.store(std::max<std::int64_t>(debt, 0), std::memory_order_relaxed);
  return true;
}

void CommitGate::SlowDown(const WalFile& log, std::uint32_t max_frame) const {
  const std::uint64_t limit = pressure_frame_.load(std::memory_order_relaxed);
  if (max_frame <= limit) return;
  if (const auto now_there = ReadWalIndex(log); now_there && now_there->max_frame > limit) {
    SleepNs(BackpressureNs(now_there->max_frame, limit));
  }
}

}  // namespace walmanager
