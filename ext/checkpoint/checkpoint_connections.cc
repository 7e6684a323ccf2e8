#include "ext/checkpoint/checkpoint_connections.h"

#include <algorithm>

#include "ext/engine/log_file.h"
#include "ext/engine/own_vfs.h"
#include "ext/system/clock.h"
#include "ext/system/descriptor_room.h"
#include "ext/system/file_id_at.h"
#include "ext/system/file_system.h"
#include "ext/system/size_signal.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kLongestGivenUpNs = 3'600'000'000'000;
constexpr int kOpenFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;

bool HasOtherLog(sqlite3* own) { return own && OwnFileOf(own) && OwnFileOf(own)->log.differs; }

}  // namespace

CheckpointConnections::Allowed CheckpointConnections::Permit(const HostConnection& host) {
  if (open()) {
    const volatile void* host_index = MapWalIndex(host.log);
    // The same memory means the same file: no program has moved or replaced the database.
    if (host_index && MapWalIndex(OwnWalFile(checkpoint_.get())) == host_index)
      return Allowed::kYes;
    Close();
  }
  const OwnPermission permission = MayOpenOwn(host.db, host.schema, host.log);
  unguarded_because_ = permission.because;
  permitted_vfs_ = permission.vfs;
  if (!permission.vfs) return Allowed::kNever;
  permitted_index_ = permission.index;
  return Allowed::kYes;
}

CheckpointConnections::Allowed CheckpointConnections::Open() {
  if (open()) return Allowed::kYes;
  if (!permitted_vfs_) return Allowed::kNotNow;
  const std::uint64_t now = MonotonicNs();
  if (now < given_up_until_ns_) {
    unguarded_because_ = given_up_because_;
    return Allowed::kNever;
  }
  const Allowed allowed = TryOpen();
  if (allowed != Allowed::kNotNow) {
    failing_since_ns_ = 0;
    if (allowed == Allowed::kYes) on_change_(true);
    return allowed;
  }
  constexpr std::uint64_t kSecond = 1'000'000'000;
  if (failing_since_ns_ == 0) failing_since_ns_ = now;
  if (now - failing_since_ns_ < kSecond) return allowed;
  return GiveUp(unguarded_because_);
}

CheckpointConnections::Allowed CheckpointConnections::GiveUp(const std::string& because,
                                                             std::uint64_t for_ns) {
  given_up_until_ns_ = MonotonicNs() + for_ns;
  given_up_because_ = unguarded_because_ = because;
  return Allowed::kNever;
}

CheckpointConnections::Allowed CheckpointConnections::GiveUpSinceLogDiffers() {
  // SQLite writes each attempt to the host's error log, so each wait is longer than the last.
  const std::uint64_t for_ns = log_differs_ns_;
  log_differs_ns_ = std::min(2 * log_differs_ns_, kLongestGivenUpNs);
  return GiveUp(kFilesReplaced, for_ns);
}

CheckpointConnections::Allowed CheckpointConnections::Failed(const Error& error) {
  unguarded_because_ = error.message;
  // Where a key is needed, or the process may no longer write, that stays so. Other errors pass.
  const bool never =
      error.code == ErrorCode::kNotADatabase || error.code == ErrorCode::kNotPermitted;
  if (never) Revoke();
  return never ? Allowed::kNever : Allowed::kNotNow;
}

CheckpointConnections::Allowed CheckpointConnections::Forbid(const char* because) {
  Revoke();
  unguarded_because_ = because;
  return Allowed::kNever;
}

CheckpointConnections::Allowed CheckpointConnections::CheckOpened(sqlite3* db) {
  sqlite3_wal_hook(db, nullptr, nullptr);
  // This PRAGMA reads one page and parses no schema. It fails where a key is needed.
  const auto version = QueryText(db, "PRAGMA schema_version");
  if (HasOtherLog(db)) return GiveUpSinceLogDiffers();
  if (!version.ok()) return Failed(version.error());
  if (sqlite3_db_readonly(db, "main") != 0) {
    return Forbid("this process may no longer write the database file");
  }
  // The file was replaced, or the host has closed and opened it: the next commit permits again.
  if (MapWalIndex(OwnWalFile(db)) != permitted_index_) {
    return Forbid("the file at its path is another one");
  }
  return Allowed::kYes;
}

CheckpointConnections::Allowed CheckpointConnections::TryOpen() {
  // Another file at this path would be opened with the -wal and -shm files of this database, and
  // harm it.
  if (IsAtPath(path_, id_) != AtPath::kSame) {
    return Forbid("the database file is not to be found at its path");
  }
  if (!IsThere(path_ + "-wal")) return GiveUp("the -wal file is not to be found at its path");
  if (!HasDescriptorsToSpare()) return Failed(Error{FewDescriptorsBecause()});
  if (!MayLeaveDescriptors()) {
    Revoke();  // nothing tries again before the next commit
    return GiveUp(FewDescriptorsBecause());
  }
  if (control_) counted_generation_ = control_->generation();
  auto checkpoint = OpenOne();
  if (!checkpoint.ok()) return Failed(checkpoint.error());
  auto guard = OpenOne();
  if (!guard.ok()) return Failed(guard.error());
  for (sqlite3* db : {checkpoint.value().get(), guard.value().get()}) {
    if (const Allowed allowed = CheckOpened(db); allowed != Allowed::kYes) return allowed;
  }
  // Of the two connections only the other may checkpoint when it closes.
  sqlite3_db_config(guard.value().get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  auto read = Prepare(guard.value().get(), std::string(kOwnSql) + "PRAGMA schema_version");
  if (!read.ok()) return Failed(read.error());
  {
    const MutexLock lock(interrupt_mutex_);
    checkpoint_ = std::move(checkpoint.value());
  }
  open_ = true;
  ++times_opened_;
  guard_ = std::move(guard.value());
  guard_read_ = std::move(read.value());
  unguarded_because_.clear();
  return Allowed::kYes;
}

Result<OwnedDb> CheckpointConnections::OpenOne() {
  auto opened = OpenOwnConnection(path_, kOpenFlags, permitted_vfs_);
  if (opened.ok() && control_) OwnFileOf(opened.value().get())->io->CountIn(control_->Get());
  return opened;
}

bool CheckpointConnections::MayLeaveDescriptors() {
  if (leaves_descriptors_) return true;
  std::atomic<int>& databases = registry_.copied_databases;
  if (databases.fetch_add(1) < MostCopiedDatabases()) return leaves_descriptors_ = true;
  databases.fetch_sub(1);
  return false;
}

Result<OwnedDb> CheckpointConnections::OpenAnother() {
  if (!permitted_vfs_) return Error{unguarded_because_};
  if (!HasDescriptorsToSpare() || !MayLeaveDescriptors()) return Error{FewDescriptorsBecause()};
  auto another = OpenOne();
  if (another.ok()) {
    sqlite3_db_config(another.value().get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    sqlite3_wal_hook(another.value().get(), nullptr, nullptr);
  }
  return another;
}

Result<OwnedDb> CheckpointConnections::OpenToExplain() {
  const bool has_room =
      leaves_descriptors_ || 2 * (registry_.copied_databases + 1) <= MostCopiedDatabases();
  if (!has_room) return Error{FewDescriptorsBecause()};
  // As TryOpen() asks, and why.
  if (MonotonicNs() < given_up_until_ns_ || IsAtPath(path_, id_) != AtPath::kSame ||
      !IsThere(path_ + "-wal")) {
    return Error{"the files are not those that the program has open"};
  }
  auto another = OpenAnother();
  if (!another.ok()) return another;
  sqlite3* db = another.value().get();
  const auto version = QueryText(db, "PRAGMA schema_version");
  if (HasOtherLog(db)) {
    (void)GiveUpSinceLogDiffers();
    return Error{kFilesReplaced};
  }
  if (!version.ok()) return version.error();
  if (MapWalIndex(OwnWalFile(db)) != permitted_index_) {
    return Error{"the file at its path is another one"};
  }
  return another;
}

void CheckpointConnections::Close() noexcept {
  // The last reference to a control file closes it, which takes a mutex of the registry. So it goes
  // after both closes below, where mutexes of SQLite's and interrupt_mutex_ are held.
  const auto counted_in = [](sqlite3* own) {
    return own ? OwnFileOf(own)->io->counted_in() : nullptr;
  };
  const std::shared_ptr<ControlFile> controls[] = {counted_in(checkpoint_.get()),
                                                   counted_in(guard_.get())};
  if (open()) on_change_(false);
  open_ = false;
  guard_read_.reset();
  guard_.reset();
  // The last close of the database runs a checkpoint, which an earlier interrupt would end.
  if (interrupted_.exchange(false) && checkpoint_) {
    (void)AtCEdge([this] {
      (void)QueryText(checkpoint_.get(), "SELECT 1");
      return SQLITE_OK;
    });
  }
  const MutexLock lock(interrupt_mutex_);
  const NoSizeSignal no_signal;
  checkpoint_.reset();
}

bool CheckpointConnections::LogDiffers() {
  if (HasOtherLog(checkpoint_.get()) || HasOtherLog(guard_.get())) return true;
  if (OwnFileOf(checkpoint_.get())->log.seen) log_differs_ns_ = kGivenUpNs;
  return false;
}

void CheckpointConnections::CloseSinceLogDiffers() {
  Close();
  GiveUpSinceLogDiffers();
}

void CheckpointConnections::MarkUsed() {
  last_used_ns_ = MonotonicNs();
  if (!control_ || !open() || control_->generation() == counted_generation_) return;
  counted_generation_ = control_->generation();
  for (sqlite3* db : {checkpoint_.get(), guard_.get()}) {
    OwnFileOf(db)->io->CountIn(control_->Get());
  }
}

void CheckpointConnections::SetInterruptible(bool interruptible) {
  const MutexLock lock(interrupt_mutex_);
  interruptible_ = interruptible;
}

void CheckpointConnections::Cancel() {
  ++cancels_;
  const MutexLock lock(interrupt_mutex_);
  if (!interruptible_ || !checkpoint_) return;
  sqlite3_interrupt(checkpoint_.get());
  interrupted_ = true;
}

void CheckpointConnections::FollowCloseBehaviour(const CloseBehaviour& behaviour) {
  if (!open()) return;
  sqlite3_db_config(checkpoint_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
                    behaviour.checkpoint ? 0 : 1, nullptr);
  int persist = behaviour.persist_wal ? 1 : 0;
  for (sqlite3* db : {checkpoint_.get(), guard_.get()}) {
    sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
  }
}

std::optional<WalIndex> CheckpointConnections::Look() const {
  return open() ? ReadWalIndex(OwnWalFile(checkpoint_.get())) : std::nullopt;
}

std::optional<std::array<bool, kReadMarks>> CheckpointConnections::TryReadMarks() const {
  if (!open()) return std::nullopt;
  sqlite3_file* file = DatabaseFile(checkpoint_.get(), "main");
  std::array<bool, kReadMarks> held{};
  for (int mark = 0; mark < kReadMarks; ++mark) {
    constexpr int kExclusive = SQLITE_SHM_EXCLUSIVE;
    const int rc =
        file->pMethods->xShmLock(file, kReadLock0 + mark, 1, SQLITE_SHM_LOCK | kExclusive);
    held[static_cast<std::size_t>(mark)] = rc == SQLITE_BUSY;
    if (rc == SQLITE_OK) {
      file->pMethods->xShmLock(file, kReadLock0 + mark, 1, SQLITE_SHM_UNLOCK | kExclusive);
    }
  }
  return held;
}

bool CheckpointConnections::IsHeldByReaders(int mark) const {
  sqlite3_file* file = DatabaseFile(checkpoint_.get(), "main");
  const auto lock = [&](int flags) {
    return file->pMethods->xShmLock(file, kReadLock0 + mark, 1, flags | SQLITE_SHM_SHARED);
  };
  if (lock(SQLITE_SHM_LOCK) != SQLITE_OK) return false;
  lock(SQLITE_SHM_UNLOCK);
  return true;
}

bool CheckpointConnections::IsPinned() const {
  sqlite3_file* file = DatabaseFile(checkpoint_.get(), "main");
  const auto lock = [&](int flags) {
    return file->pMethods->xShmLock(file, kReadLock0 + 1, kReadMarks - 1,
                                    flags | SQLITE_SHM_EXCLUSIVE);
  };
  if (lock(SQLITE_SHM_LOCK) != SQLITE_OK) return true;
  lock(SQLITE_SHM_UNLOCK);
  return false;
}

}  // namespace walmanager
