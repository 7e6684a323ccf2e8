#include "ext/core/control/held_locks.h"

namespace walmanager {

const char* LockKindName(LockKind lock) {
  constexpr const char* kNames[] = {"write",  "checkpoint", "recovery",
                                    "shared", "reserved",   "exclusive"};
  return kNames[static_cast<std::size_t>(lock)];
}

bool HeldLocks::Excludes(LockKind lock) const {
  // The lock levels of xLock: https://www.sqlite.org/c3ref/c_lock_exclusive.html.
  constexpr std::uint64_t kShared = 1, kReserved = 2, kPending = 3;
  switch (lock) {
    case LockKind::kWrite:
      return (bits_ & kWrite) != 0;
    case LockKind::kCheckpoint:
      return (bits_ & (kCheckpoint | kRecovery)) != 0;
    case LockKind::kRecovery:
      return (bits_ & kRecovery) != 0 || level() >= kReserved;
    case LockKind::kShared:
      return level() >= kPending;
    case LockKind::kReserved:
      return level() >= kReserved;
    default:
      return level() >= kShared;
  }
}

}  // namespace walmanager
