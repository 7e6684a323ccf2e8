#include "ext/system/byte_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "ext/system/clock.h"

namespace walmanager {
namespace {

constexpr useconds_t kPollMicroseconds = 200;

struct flock OneByte(short type, std::int64_t byte) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return lock;
}

short TypeOf(ByteLock lock) {
  switch (lock) {
    case ByteLock::kShared:
      return F_RDLCK;
    case ByteLock::kExclusive:
      return F_WRLCK;
    case ByteLock::kNone:
      return F_UNLCK;
  }
  return F_UNLCK;
}

}  // namespace

bool SetByteLock(int fd, ByteLock lock, std::int64_t byte) {
  struct flock wanted = OneByte(TypeOf(lock), byte);
  return fcntl(fd, F_SETLK, &wanted) == 0;
}

bool SetByteLockWithin(int fd, ByteLock lock, std::int64_t byte, std::uint64_t wait_ns) {
  const std::uint64_t deadline = MonotonicNs() + wait_ns;
  while (!SetByteLock(fd, lock, byte)) {
    if (MonotonicNs() >= deadline) return false;
    usleep(kPollMicroseconds);
  }
  return true;
}

std::optional<std::int64_t> OtherHolderOfByte(int fd, std::int64_t byte) {
  struct flock lock = OneByte(F_WRLCK, byte);
  if (fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return std::nullopt;
  return std::max<std::int64_t>(lock.l_pid, 0);
}

}  // namespace walmanager
