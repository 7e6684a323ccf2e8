// The slabs of connections in one control file: which of them this process owns. Each connection
// counts in a slab that it alone writes. A process owns a slab while it holds the lock on the
// slab's byte of the file, so the slab of a killed process is free at once. Private memory has no
// locks: there all slabs are this process's. Thread rules: any thread, once Begin() was called.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "ext/core/base/mutex.h"
#include "ext/core/control/connection_entry.h"
#include "ext/core/control/control_layout.h"
#include "ext/core/control/layout_locks.h"
#include "ext/core/control/lock_waits.h"
#include "ext/system/byte_lock.h"
#include "ext/system/mapped_control.h"
#include "ext/system/registry.h"

namespace walmanager {

class OwnedSlabs {
 public:
  // That of the connections which find no slab of their own.
  static constexpr std::size_t kShared = layout::kConnections;

  OwnedSlabs() : owned_(layout::kConnections) {}
  // Before any other thread knows the object. `memory` outlives it; `fd`: of the file, -1 for
  // private memory.
  void Begin(MappedControl* memory, int fd) NO_THREAD_SAFETY_ANALYSIS {
    memory_ = memory;
    fd_ = fd;
  }
  // Makes the memory private (MappedControl::LeaveFile), and uses the descriptor no more. All slabs
  // of this process stay its own. In the file they say that it has left. False where that cannot be
  // now.
  bool LeaveFile() EXCLUDES(mutex_);
  // The processes of this PID namespace that have left so, and may have ended since.
  std::set<std::int64_t> LeftByPids() const EXCLUDES(mutex_);

  // A slab that this process alone writes, until Release(); kShared where all are taken, or the
  // file cannot grow. It describes no connection yet.
  std::size_t Claim();
  // What Claim() returned: it describes no connection from here on, and another one may claim it.
  void Release(std::size_t slab);
  // Connections of all processes that found no slab of their own; of those of a killed process some
  // may be counted until no process has the file open.
  std::int64_t not_shown() const;
  // Whether a connection of this process is among them.
  bool hides_some_here() const { return hidden_here_.load(std::memory_order_relaxed) != 0; }

  // What the connections of this process are at, as far as they show it.
  struct OwnWork {
    bool goes_on = false;          // a statement runs, or a transaction is open
    std::uint64_t statements = 0;  // that have ended, on the connections that are open
  };
  OwnWork ReadOwnWork() const;
  // Those connections, without their pid: no look at locks.
  std::vector<ConnectionEntry> ReadOwnConnections() const;
  // The connection that keeps the connection `asking` from having `lock`, as it shows itself; of
  // several the one whose transaction is the oldest. It holds the lock at this moment, or has let
  // go of it in this moment. nullopt: none shows that.
  std::optional<LockHolder> FindLockHolder(LockKind lock, std::uint64_t asking) const
      EXCLUDES(mutex_);
  // The connection whose commit has left the log's header with this checksum; nullopt: none that is
  // open shows that. Its state and its transaction are not among what is returned.
  std::optional<LockHolder> FindCommitter(std::uint64_t header) const EXCLUDES(mutex_);
  // Calls `each(slab, pid)` for each slab with a living owner, of any process; pid as in
  // ConnectionEntry.
  template <typename Each>
  void ForEach(Each each) const EXCLUDES(mutex_);

 private:
  static std::int64_t ByteOf(std::size_t slab) {
    return layout::kLockSlab + static_cast<std::int64_t>(slab);
  }
  // The process that has the slab, as in ConnectionEntry; nullopt: it is gone.
  std::optional<std::int64_t> LivingOwner(std::size_t slab) const EXCLUDES(mutex_);
  bool TryOwn(std::size_t slab) REQUIRES(mutex_);
  void ShowPid(std::uint64_t flags) REQUIRES(mutex_);
  // The first slab that can be had; kShared where there is none. `missing`: the first that the file
  // would have to grow for; kShared where that would not help.
  std::size_t Find(std::size_t* missing) REQUIRES(mutex_);
  std::optional<std::size_t> ClaimOneThatIsThere(std::size_t* missing) EXCLUDES(mutex_);

  MappedControl* memory_ = nullptr;
  // Words of slabs are read relaxed: which process has a slab is said by its lock, and what a slab
  // shows by ReadConnection() and the connection's id in the words (held_locks.h).
  std::atomic<std::uint64_t> hidden_here_{
      0};  // connections of this process without a slab; a count
  mutable Mutex mutex_;
  int fd_ GUARDED_BY(mutex_) = -1;
  std::vector<bool> owned_ GUARDED_BY(mutex_);      // slabs of this process
  std::size_t lowest_free_ GUARDED_BY(mutex_) = 0;  // all before it are owned_
};

template <typename Each>
void OwnedSlabs::ForEach(Each each) const {
  const MutexLock lock(mutex_);
  memory_->Follow();
  const std::size_t used = memory_->slabs();
  for (std::size_t i = 0; i < used; ++i) {
    layout::ConnectionSlab& slab = memory_->slab(i);
    // A slab may reach into a section that is not there, where it must not be written.
    if (!memory_->HasSlab(i)) continue;
    if (slab.owner.load(std::memory_order_relaxed) == 0) continue;
    // Held by this process, or by another that is alive.
    if (owned_[i]) {
      each(slab, std::optional(ThisProcess().pid));
    } else if (fd_ >= 0) {
      const auto holder = OtherHolderOfByte(fd_, ByteOf(i));
      if (holder) each(slab, *holder > 0 ? holder : std::nullopt);
    }
  }
}

}  // namespace walmanager
