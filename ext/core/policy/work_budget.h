// Limits the part of a processor that work takes which can be put off: a twentieth, and at the
// beginning and after a rest up to 100 ms at once.
// Thread rules: any thread. Work that begins in two threads at once is counted when it ends.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace walmanager {

class WorkBudget {
 public:
  static constexpr std::uint64_t kShare = 20, kAtOnceNs = 100'000'000;

  // Times are in MonotonicNs.
  bool HasRoom(std::uint64_t now_ns) const {
    return paid_until_ns_.load(std::memory_order_relaxed) < now_ns + kShare * kAtOnceNs;
  }
  // Work has taken so much time of a processor.
  void Spend(std::uint64_t now_ns, std::uint64_t work_ns) {
    std::uint64_t paid = paid_until_ns_.load(std::memory_order_relaxed);
    while (!paid_until_ns_.compare_exchange_weak(paid, std::max(paid, now_ns) + kShare * work_ns,
                                                 std::memory_order_relaxed)) {
    }
  }

 private:
  std::atomic<std::uint64_t> paid_until_ns_{0};
};

}  // namespace walmanager
