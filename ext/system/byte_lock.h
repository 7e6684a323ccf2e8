// Locks on single bytes of a file, as POSIX has them (fcntl F_SETLK): advisory, of the whole
// process, and gone with it.
//
// The rule that is easy to break: a process loses all its locks on a file when it closes any of its
// descriptors of that file.
// Thread rules: any thread; threads of one process do not exclude each other.
#pragma once

#include <cstdint>
#include <optional>

namespace walmanager {

enum class ByteLock { kShared, kExclusive, kNone };

// Never waits. False where another process holds it.
bool SetByteLock(int fd, ByteLock lock, std::int64_t byte);
// Tries again and again until `wait_ns` are over.
bool SetByteLockWithin(int fd, ByteLock lock, std::int64_t byte, std::uint64_t wait_ns);
// The other process that holds the byte, as the PID namespace of this one numbers it; 0: it is of a
// namespace that this one does not show. nullopt: no other process holds it.
std::optional<std::int64_t> OtherHolderOfByte(int fd, std::int64_t byte);

}  // namespace walmanager
