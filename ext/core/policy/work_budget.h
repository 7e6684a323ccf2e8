// Limits how much of a processor some work takes: a twentieth, and up to 100 ms at once after a
// rest. One piece of work that takes longer than that delays the next one by four seconds at most.
// Thread rules: any thread. Two threads may find room for the same work: both may do theirs. So the
// one word is relaxed.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace walmanager {

class WorkBudget {
 public:
  static constexpr std::uint64_t kShare = 20, kAtOnceNs = 100'000'000, kMostPieces = 3;

  // Times are in MonotonicNs.
  bool HasRoom(std::uint64_t now_ns) const {
    return paid_until_ns_.load(std::memory_order_relaxed) < now_ns + kShare * kAtOnceNs;
  }
  // Work has taken so much time of a processor.
  void Spend(std::uint64_t now_ns, std::uint64_t work_ns) {
    std::uint64_t paid = paid_until_ns_.load(std::memory_order_relaxed);
    const std::uint64_t most = now_ns + kMostPieces * kShare * kAtOnceNs;
    while (!paid_until_ns_.compare_exchange_weak(
        paid, std::min(std::max(paid, now_ns) + kShare * work_ns, most),
        std::memory_order_relaxed)) {
    }
  }

 private:
  std::atomic<std::uint64_t> paid_until_ns_{0};
};

}  // namespace walmanager
