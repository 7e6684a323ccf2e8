// A mutex that is waited for, but not for longer than a given time: its holder may be in a call of
// a file system that does not answer.
#pragma once

#include <unistd.h>

#include <cstdint>

#include "ext/core/base/mutex.h"
#include "ext/system/clock.h"

namespace walmanager {

// Waits for at most `wait_ns`, and not at all for 0.
inline bool LockWithin(Mutex& mutex, std::uint64_t wait_ns) TRY_ACQUIRE(true, mutex) {
  constexpr useconds_t kPollUs = 200;
  if (mutex.try_lock()) return true;
  const std::uint64_t deadline = MonotonicNs() + wait_ns;
  while (MonotonicNs() < deadline) {
    usleep(kPollUs);
    if (mutex.try_lock()) return true;
  }
  return false;
}

}  // namespace walmanager
