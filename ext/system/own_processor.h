// A processor of its own for a thread among several that begin at the same time.
//
// The scheduler often places two threads that are woken together on the same CPU, and a statement
// of milliseconds is over before it has moved one of them. So each thread binds itself for two
// milliseconds to CPUs on which no other one began; after that the scheduler decides again.
// Thread rules: in the thread that it is for.
#pragma once

#include <sched.h>

#include <atomic>
#include <cstdint>

namespace walmanager {

class OwnProcessor {
 public:
  // `taken`: the processors of the others, a bit for each of the first 64. Where there is no other
  // one, or the system does not let it choose, nothing changes.
  explicit OwnProcessor(std::atomic<std::uint64_t>& taken);
  ~OwnProcessor();
  OwnProcessor(const OwnProcessor&) = delete;
  OwnProcessor& operator=(const OwnProcessor&) = delete;
  // Back to all that it may use, if the two milliseconds are over at `now_ns` (MonotonicNs).
  void LetGoInTime(std::uint64_t now_ns) {
    if (bound_ && now_ns >= until_ns_) LetGo();
  }

 private:
  void LetGo();

  std::atomic<std::uint64_t>& taken_;
  std::uint64_t mine_ = 0;
  cpu_set_t allowed_;  // before
  bool bound_ = false;
  std::uint64_t until_ns_ = 0;
};

}  // namespace walmanager
