// A period in which committing threads run every checkpoint themselves, because the background
// thread must not or cannot work on the database, and the reason.
//
// Time comes in as CLOCK_MONOTONIC. Thread rules: any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "ext/core/base/mutex.h"

namespace walmanager {

class InlinePeriod {
 public:
  static constexpr std::uint64_t kUsualNs = 10'000'000'000;

  // Lasts for at least `for_ns` from now on. True where none lasted at `now_ns`; then `because` is
  // the reason. It allocates nothing where one lasts.
  bool Begin(std::uint64_t now_ns, const char* because, std::uint64_t for_ns = kUsualNs) {
    if (until_ns_ >= now_ns + for_ns) return false;
    const bool is_new = until_ns_.exchange(now_ns + for_ns) < now_ns;
    if (is_new) {
      const MutexLock lock(mutex_);
      because_ = because;
    }
    return is_new;
  }
  bool LastsAt(std::uint64_t now_ns) const { return now_ns < until_ns_; }
  // Of the period that began last.
  std::string because() const {
    const MutexLock lock(mutex_);
    return because_;
  }

 private:
  std::atomic<std::uint64_t> until_ns_{0};
  mutable Mutex mutex_;
  std::string because_ GUARDED_BY(mutex_);
};

}  // namespace walmanager
