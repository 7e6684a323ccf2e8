// The locks of SQLite that a connection can hold or wait for, and how a connection shows in the
// control file which of them it holds (layout::ConnectionInfo::locks).
#pragma once

#include <cstddef>
#include <cstdint>

namespace walmanager {

// `kWrite`, `kCheckpoint` and `kRecovery` are locks of the log, the others of the database file in
// rollback mode (https://www.sqlite.org/lockingv3.html).
enum class LockKind : std::uint8_t {
  kWrite,
  kCheckpoint,
  kRecovery,
  kShared,
  kReserved,
  kExclusive
};
inline constexpr std::size_t kLockKinds = 6;
const char* LockKindName(LockKind lock);  // 'write' and so on

// In one word: the id of the connection, so that the word of an earlier owner of the slab says
// nothing, and its locks.
class HeldLocks {
 public:
  static constexpr std::uint64_t kWrite = 1, kCheckpoint = 2, kRecovery = 4;
  static constexpr int kLevelShift = 3;  // SQLite's lock level of the database file: 0 to 4
  static constexpr int kIdShift = 8;

  HeldLocks() = default;
  // As `word` shows them of the connection `id`; none where it is another connection's.
  HeldLocks(std::uint64_t word, std::uint64_t id)
      : bits_(word >> kIdShift == id ? word & ((1U << kIdShift) - 1) : 0) {}

  // Whether a connection with these locks keeps another one from having `lock`.
  bool Excludes(LockKind lock) const;
  bool checkpoints() const { return (bits_ & kCheckpoint) != 0; }
  bool recovers() const { return (bits_ & kRecovery) != 0; }

 private:
  std::uint64_t level() const { return bits_ >> kLevelShift & 7; }
  std::uint64_t bits_ = 0;
};

}  // namespace walmanager
