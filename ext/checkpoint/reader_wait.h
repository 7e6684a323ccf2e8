// How long a commit waits for readers so that the log can start over, and what its waits have
// taught. What all processes may wait together is in the control file (stall_allowance.h).
//
// Thread rules: the caller holds the mutex of CheckpointState, except where a function says more.
#pragma once

#include <cstdint>

#include "ext/checkpoint/checkpoint_state.h"
#include "ext/core/base/mutex.h"
#include "ext/core/control/shared_words.h"
#include "ext/core/policy/strategy.h"

namespace walmanager {

class ReaderWait {
 public:
  // What a commit copies itself, or waits for while the thread copies.
  static constexpr std::uint64_t kLongestCopyNs = 20'000'000;

  // `state` outlives it.
  explicit ReaderWait(CheckpointState& state) : state_(state) {}

  // The most that the rule lets one commit wait, in nanoseconds.
  static std::uint64_t LongestNs(const Rule& rule, const SettingValues& values);
  // A wait of this thread began at `start_ns`, and is over: `stall_since_ns` of the control file
  // counts it. Any thread.
  static void Charge(layout::Counter& stall_since_ns, std::uint64_t start_ns);

  // Whether a commit may wait although copying was just in vain: a reader was in the way that a
  // wait may outlast, or that has left since. Asks no lock.
  bool MayHelp(const Rule& rule, std::uint64_t now_ns) const;
  // How long a commit that began at `began_ns` and found the log at `index` waits under this rule;
  // 0 where a wait would be in vain, or is not allowed now.
  std::uint64_t BudgetNs(const Rule& rule, const WalIndex& index, std::uint64_t began_ns,
                         std::uint64_t now_ns);
  // Learns from a wait that began at `start_ns`, without the time in which it copied. In vain: some
  // readers still pin the log.
  void Ended(std::uint64_t start_ns, std::uint64_t copying_ns, std::uint64_t budget_ns,
             const Rule& rule, bool in_vain);

 private:
  // What the allowance leaves of `most`; 0 where that is less than readers have needed.
  std::uint64_t AllowedNs(std::uint64_t most, std::uint64_t now_ns) const REQUIRES(state_.mutex);

  CheckpointState& state_;
  // The least that is worth a wait, and when commits wait again.
  std::uint64_t needed_ns_ GUARDED_BY(state_.mutex) = 0;
  std::uint64_t not_before_ns_ GUARDED_BY(state_.mutex) = 0;
  std::uint64_t settings_ GUARDED_BY(state_.mutex) = 0;  // the generation that these two are of
};

}  // namespace walmanager
