#include "ext/checkpoint/reader_wait.h"

#include <algorithm>
#include <utility>

#include "ext/core/base/time_units.h"
#include "ext/core/policy/stall_allowance.h"
#include "ext/system/clock.h"

namespace walmanager {

std::uint64_t ReaderWait::LongestNs(const Rule& rule, const SettingValues& values) {
  return static_cast<std::uint64_t>(StallBudgetMs(rule, values) * 1e6);
}

void ReaderWait::Charge(layout::Counter& stall_since_ns, std::uint64_t start_ns) {
  const std::uint64_t now = MonotonicNs();
  // Relaxed: the one word is the whole account.
  std::uint64_t seen = Get(stall_since_ns);
  while (!stall_since_ns.compare_exchange_weak(
      seen, StallAllowance(seen).AfterWait(now - start_ns, now), std::memory_order_relaxed)) {
  }
}

bool ReaderWait::MayHelp(const Rule& rule, std::uint64_t now_ns) const {
  state_.mutex.AssertHeld();
  const std::uint64_t most = LongestNs(rule, state_.strategy.values());
  return rule.builtin && state_.connections.open() && state_.oldest_reader.frame() &&
         !state_.oldest_reader.IsOlderThan(most, now_ns) && now_ns >= not_before_ns_ &&
         AllowedNs(most, now_ns) > 0;
}

std::uint64_t ReaderWait::AllowedNs(std::uint64_t most, std::uint64_t now_ns) const {
  const auto current = state_.control.Get();
  ControlRegion& region = current->region();
  const std::uint64_t allowed =
      std::min(most, StallAllowance(Get(region.engine().stall_since_ns)).LeftNs(now_ns));
  // Less than the readers need would be waited in vain.
  const std::uint64_t needed =
      std::max(region.learned().WaitForReadersNs(), std::min(needed_ns_, most));
  return allowed < needed ? 0 : allowed;
}

std::uint64_t ReaderWait::BudgetNs(const Rule& rule, const WalIndex& index, std::uint64_t began_ns,
                                   std::uint64_t now_ns) {
  state_.mutex.AssertHeld();
  const std::uint64_t most = LongestNs(rule, state_.strategy.values());
  // Other settings, or another strategy: what was in vain may not be now.
  if (std::exchange(settings_, state_.strategy.generation()) != state_.strategy.generation()) {
    needed_ns_ = not_before_ns_ = 0;
  }
  // What this commit has waited already counts.
  const std::uint64_t waited = now_ns - began_ns;
  const auto rest = [&](std::uint64_t budget) { return budget - std::min(budget, waited); };
  if (state_.connections.open()) state_.WatchReaders(index, now_ns);
  if (!state_.oldest_reader.frame()) return rest(std::min(most, kLongestCopyNs));
  // A reader that has been there for longer than the wait would be is not waited for.
  if (state_.oldest_reader.IsOlderThan(most, now_ns)) return 0;
  if (now_ns < not_before_ns_) return 0;
  // A rule of the user's has a budget of its own.
  if (!rule.builtin) return rest(most);
  return rest(AllowedNs(most, now_ns));
}

void ReaderWait::Ended(std::uint64_t start_ns, std::uint64_t copying_ns, std::uint64_t budget_ns,
                       const Rule& rule, bool in_vain) {
  state_.mutex.AssertHeld();
  constexpr std::uint64_t kGivenUpNs = 10'000 * kMs, kSpacing = 50;
  const std::uint64_t now = MonotonicNs(), took = now - start_ns;
  const std::uint64_t waited = took - std::min(took, copying_ns);
  if (!rule.builtin) {
    if (in_vain) not_before_ns_ = now + kSpacing * budget_ns;
    return;
  }
  const auto current = state_.control.Get();
  Charge(current->region().engine().stall_since_ns, now - waited);
  if (!in_vain) {
    needed_ns_ = waited + waited / 8;
    return;
  }
  // It has copied for long, or a call or a fork has ended it: it says nothing of the readers.
  if (waited < budget_ns - budget_ns / 8) return;
  const std::uint64_t most =
      std::min(LongestNs(rule, state_.strategy.values()), StallAllowance::kMostNs);
  needed_ns_ = std::min(most, budget_ns + budget_ns / 2);
  // No wait that is allowed would have been long enough.
  if (budget_ns >= most - most / 8) not_before_ns_ = now + kGivenUpNs;
}

}  // namespace walmanager
