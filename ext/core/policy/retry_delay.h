// How long to wait before the next attempt to checkpoint, after attempts that moved nothing.
// Pure: the time comes in as CLOCK_MONOTONIC. Thread rules: one thread at a time changes it; any
// thread may ask for not_before_ns().
#pragma once

#include <atomic>
#include <cstdint>

namespace walmanager {

class RetryDelay {
 public:
  static constexpr std::uint64_t kFirstNs = 5'000'000;
  static constexpr std::uint64_t kLongestNs = 100'000'000;

  // An attempt at `now_ns` moved nothing. True where the delay reaches its longest by this attempt:
  // then the attempts have failed for long enough to deserve a line in the checkpoint log.
  bool MovedNothing(std::uint64_t now_ns);
  // An attempt moved something, or there was nothing to move.
  void Reset() { delay_ns_ = not_before_ns_ = 0; }

  bool lasts() const { return delay_ns_ > 0; }
  // No attempt before this; 0: at once.
  std::uint64_t not_before_ns() const { return not_before_ns_.load(std::memory_order_relaxed); }

 private:
  std::uint64_t delay_ns_ = 0;
  std::atomic<std::uint64_t> not_before_ns_{0};  // a time that stands for itself: read relaxed
};

}  // namespace walmanager
