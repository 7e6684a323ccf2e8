#include "ext/system/owned_slabs.h"

#include <algorithm>
#include <utility>

#include "ext/core/control/connection_entry.h"
#include "ext/core/control/query_statistics.h"

namespace walmanager {
namespace {

std::uint64_t OwnPid() { return static_cast<std::uint64_t>(ThisProcess().pid); }

}  // namespace

bool OwnedSlabs::TryOwn(std::size_t slab) {
  // The lock is the truth: it is free only where no live process owns the slab.
  return !owned_[slab] && memory_->HasSlab(slab) &&
         (fd_ < 0 || SetByteLock(fd_, ByteLock::kExclusive, ByteOf(slab)));
}

std::size_t OwnedSlabs::Find(std::size_t* missing) {
  memory_->Follow();
  *missing = kShared;
  const std::size_t used = memory_->slabs();
  // First those that name no owner: asking for the lock of each that another process has would take
  // a system call.
  for (std::size_t i = lowest_free_; i < used; ++i) {
    if (memory_->slab(i).owner.load(std::memory_order_relaxed) == 0 && TryOwn(i)) return i;
  }
  // Then, before the file grows, those of processes that were killed.
  if (used < layout::kConnections && TryOwn(used)) return used;
  for (std::size_t i = lowest_free_; i < used; ++i) {
    if (TryOwn(i)) return i;
  }
  for (std::size_t i = used; i < layout::kConnections; ++i) {
    if (TryOwn(i)) return i;
    if (memory_->HasSlab(i)) continue;
    *missing = i;
    break;
  }
  return kShared;
}

std::size_t OwnedSlabs::Claim() {
  for (;;) {
    std::size_t missing = kShared;
    if (const auto slab = ClaimOneThatIsThere(&missing)) return *slab;
    // Without the mutex: a write to the file may not end.
    if (missing == kShared || !memory_->MakeSlab(missing)) break;
  }
  memory_->file()->header.connections_not_shown.fetch_add(1, std::memory_order_relaxed);
  hidden_here_.fetch_add(1, std::memory_order_relaxed);
  return kShared;
}

std::optional<std::size_t> OwnedSlabs::ClaimOneThatIsThere(std::size_t* missing) {
  const MutexLock lock(mutex_);
  layout::Header& header = memory_->file()->header;
  const std::size_t i = Find(missing);
  if (i >= kShared) return std::nullopt;
  owned_[i] = true;
  while (lowest_free_ < owned_.size() && owned_[lowest_free_]) ++lowest_free_;
  layout::ConnectionSlab& slab = memory_->slab(i);
  memory_->ExpectWrites(&slab, sizeof slab);
  slab.owner.store(ThisProcess().token, std::memory_order_relaxed);
  slab.pid.store(OwnPid(), std::memory_order_relaxed);
  slab.pid_namespace.store(ThisProcess().pid_namespace, std::memory_order_relaxed);
  slab.committed.store(0, std::memory_order_relaxed);
  ClearConnection(slab.info);
  // A killed owner may have left counters in a shared file; private memory has no killed owners.
  if (fd_ >= 0) QueryStatistics(memory_).ReleaseHot(i);
  std::uint64_t used = header.slabs_used.load(std::memory_order_relaxed);
  while (used < i + 1 && !header.slabs_used.compare_exchange_weak(used, i + 1)) {
  }
  return i;
}

bool OwnedSlabs::LeaveFile() {
  if (!mutex_.try_lock()) return false;
  const MutexLock lock(mutex_, std::adopt_lock);
  // The file's count is without them from here on.
  layout::Counter& count = memory_->file()->header.connections_not_shown;
  const std::uint64_t hidden = hidden_here_.load();
  const std::uint64_t taken = count.load() >= hidden ? hidden : 0;
  count.fetch_sub(taken);
  ShowPid(layout::kHasLeft);
  const bool left = memory_->LeaveFile();
  ShowPid(0);
  if (left) {
    fd_ = -1;
    count.store(hidden);
  } else {
    count.fetch_add(taken);
  }
  return left;
}

void OwnedSlabs::ShowPid(std::uint64_t flags) {
  for (std::size_t i = 0; i < owned_.size(); ++i) {
    if (owned_[i]) memory_->slab(i).pid.store(OwnPid() | flags, std::memory_order_relaxed);
  }
}

std::set<std::int64_t> OwnedSlabs::LeftByPids() const {
  std::set<std::int64_t> pids;
  const MutexLock lock(mutex_);
  memory_->Follow();
  const std::size_t used = memory_->slabs();
  for (std::size_t i = 0; i < used; ++i) {
    if (!memory_->HasSlab(i)) continue;
    const layout::ConnectionSlab& slab = memory_->slab(i);
    const std::uint64_t pid = slab.pid.load(std::memory_order_relaxed);
    if ((pid & layout::kHasLeft) == 0) continue;
    if (slab.pid_namespace.load(std::memory_order_relaxed) != ThisProcess().pid_namespace) continue;
    pids.insert(static_cast<std::int64_t>(pid & ~layout::kHasLeft));
  }
  return pids;
}

std::int64_t OwnedSlabs::not_shown() const {
  const std::uint64_t count =
      memory_->file()->header.connections_not_shown.load(std::memory_order_relaxed);
  constexpr std::uint64_t kMost = 1'000'000;  // a torn count is none
  return count > kMost ? 0 : static_cast<std::int64_t>(count);
}

void OwnedSlabs::Release(std::size_t slab) {
  const MutexLock lock(mutex_);
  if (slab >= kShared) {
    hidden_here_.fetch_sub(1, std::memory_order_relaxed);
    if (not_shown() > 0) {
      memory_->file()->header.connections_not_shown.fetch_sub(1, std::memory_order_relaxed);
    }
    return;
  }
  QueryStatistics(memory_).ReleaseHot(slab);
  memory_->slab(slab).info.id.store(0, std::memory_order_relaxed);
  memory_->slab(slab).owner.store(0, std::memory_order_relaxed);
  if (fd_ >= 0) SetByteLock(fd_, ByteLock::kNone, ByteOf(slab));
  owned_[slab] = false;
  lowest_free_ = std::min(lowest_free_, slab);
}

std::optional<std::int64_t> OwnedSlabs::LivingOwner(std::size_t slab) const {
  const MutexLock lock(mutex_);
  if (owned_[slab]) return ThisProcess().pid;
  return fd_ >= 0 ? OtherHolderOfByte(fd_, ByteOf(slab)) : std::nullopt;
}

std::optional<LockHolder> OwnedSlabs::FindCommitter(std::uint64_t header) const {
  if (header == 0) return std::nullopt;
  memory_->Follow();
  const std::size_t used = memory_->slabs();
  for (std::size_t i = 0; i < used; ++i) {
    if (!memory_->HasSlab(i)) continue;
    const layout::ConnectionSlab& slab = memory_->slab(i);
    if (slab.committed.load(std::memory_order_relaxed) != header ||
        slab.info.id.load(std::memory_order_relaxed) == 0) {
      continue;
    }
    const auto pid = LivingOwner(i);
    if (!pid) continue;
    LockHolder committer = ReadLockHolder(slab.info, {}, LockKind::kWrite);
    committer.pid = *pid;
    // What it does now is another matter.
    committer.state = HolderState::kUnknown;
    committer.transaction_ns = 0;
    return committer;
  }
  return std::nullopt;
}

std::optional<LockHolder> OwnedSlabs::FindLockHolder(LockKind lock, std::uint64_t asking) const {
  std::optional<LockHolder> found;
  memory_->Follow();
  const std::size_t used = memory_->slabs();
  for (std::size_t i = 0; i < used; ++i) {
    if (!memory_->HasSlab(i)) continue;
    const layout::ConnectionSlab& slab = memory_->slab(i);
    const std::uint64_t id = slab.info.id.load(std::memory_order_relaxed);
    const HeldLocks held(slab.info.locks.load(std::memory_order_relaxed), id);
    if (id == 0 || id == asking || !held.Excludes(lock)) continue;
    // Another thread may have ended the transaction, where the lock's end was not seen.
    if (slab.info.role.load(std::memory_order_relaxed) ==
            static_cast<std::uint64_t>(ConnectionRole::kApplication) &&
        slab.info.started_ns.load(std::memory_order_relaxed) == 0 &&
        slab.info.transaction.load(std::memory_order_relaxed) == 0) {
      continue;
    }
    const auto pid = LivingOwner(i);
    if (!pid) continue;  // a process that was killed has left its words there
    LockHolder holder = ReadLockHolder(slab.info, held, lock);
    holder.pid = *pid;
    const bool is_older =
        found && holder.transaction_ns != 0 &&
        (found->transaction_ns == 0 || holder.transaction_ns < found->transaction_ns);
    if (!found || is_older) found = std::move(holder);
  }
  return found;
}

OwnedSlabs::OwnWork OwnedSlabs::ReadOwnWork() const {
  OwnWork work;
  const MutexLock lock(mutex_);
  for (std::size_t i = 0; i < owned_.size(); ++i) {
    if (!owned_[i]) continue;
    const layout::ConnectionInfo& info = memory_->slab(i).info;
    work.statements += info.statements.load(std::memory_order_relaxed);
    work.goes_on = work.goes_on || info.started_ns.load(std::memory_order_relaxed) != 0 ||
                   info.transaction.load(std::memory_order_relaxed) != 0;
  }
  return work;
}

std::vector<ConnectionEntry> OwnedSlabs::ReadOwnConnections() const {
  std::vector<ConnectionEntry> connections;
  const MutexLock lock(mutex_);
  for (std::size_t i = 0; i < owned_.size(); ++i) {
    if (!owned_[i]) continue;
    ConnectionEntry entry = ReadConnection(memory_->slab(i));
    if (entry.id != 0) connections.push_back(std::move(entry));
  }
  return connections;
}

}  // namespace walmanager
