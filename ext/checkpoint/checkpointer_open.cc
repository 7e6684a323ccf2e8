// The part of Checkpointer that opens and closes its connections: whether they may be, how they are
// opened, and what they leave behind at the last close.
#include <algorithm>
#include <thread>

#include "ext/checkpoint/checkpointer.h"
#include "ext/engine/log_file.h"
#include "ext/engine/own_vfs.h"
#include "ext/engine/wal_index.h"
#include "ext/system/clock.h"
#include "ext/system/file_id_at.h"
#include "ext/system/file_system.h"
#include "ext/system/registry.h"
#include "ext/system/size_signal.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kLongestGivenUpNs = 3'600'000'000'000;

bool LogDiffers(sqlite3* own) { return own && OwnFileOf(own) && OwnFileOf(own)->log.differs; }

}  // namespace

Checkpointer::Allowed Checkpointer::Permit(const HostConnection& host) {
  if (open()) {
    const volatile void* host_index = MapWalIndex(host.log);
    // The same memory means the same file: nobody moved or replaced the database since.
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

Checkpointer::Allowed Checkpointer::Open() {
  if (open()) return Allowed::kYes;
  if (!permitted()) return Allowed::kNotNow;
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

Checkpointer::Allowed Checkpointer::GiveUp(const std::string& because, std::uint64_t for_ns) {
  given_up_until_ns_ = MonotonicNs() + for_ns;
  given_up_because_ = unguarded_because_ = because;
  return Allowed::kNever;
}

Checkpointer::Allowed Checkpointer::GiveUpSinceLogDiffers() {
  // SQLite tells the host's error log of each attempt: ever more seldom.
  const std::uint64_t for_ns = log_differs_ns_;
  log_differs_ns_ = std::min(2 * log_differs_ns_, kLongestGivenUpNs);
  return GiveUp(kFilesReplaced, for_ns);
}

bool Checkpointer::CloseIfLogDiffers() {
  if (!LogDiffers(checkpoint_.get()) && !LogDiffers(guard_.get())) {
    if (OwnFileOf(checkpoint_.get())->log.seen) log_differs_ns_ = kGivenUpNs;
    return false;
  }
  // What was copied before is right, and nobody else syncs it.
  SyncFile(DatabaseFile(checkpoint_.get(), "main"));
  Close();
  GiveUpSinceLogDiffers();
  return true;
}

Checkpointer::Allowed Checkpointer::TryOpen() {
  // A key is needed, or the process may no longer write: that stays so. All else passes.
  const auto failed = [&](const Error& error) {
    unguarded_because_ = error.message;
    const bool never =
        error.code == ErrorCode::kNotADatabase || error.code == ErrorCode::kNotPermitted;
    if (never) Revoke();
    return never ? Allowed::kNever : Allowed::kNotNow;
  };
  // To open another file under this name would, by the names of its -wal and -shm, harm this one.
  if (IsAtPath(path_, id_) != AtPath::kSame) {
    Revoke();
    unguarded_because_ = "the database file is not to be found at its path";
    return Allowed::kNever;
  }
  if (!IsThere(path_ + "-wal")) {
    return GiveUp("the -wal file is not to be found at its path");
  }
  constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
  auto checkpoint = OpenOwnConnection(path_, kFlags, permitted_vfs_);
  if (!checkpoint.ok()) return failed(checkpoint.error());
  auto guard = OpenOwnConnection(path_, kFlags, permitted_vfs_);
  if (!guard.ok()) return failed(guard.error());
  for (sqlite3* db : {checkpoint.value().get(), guard.value().get()}) {
    sqlite3_wal_hook(db, nullptr, nullptr);
    // A read, so that the connection is in WAL mode: it reads one page and parses no schema. It
    // fails where a key would be needed.
    auto version = QueryText(db, "PRAGMA schema_version");
    if (LogDiffers(db)) return GiveUpSinceLogDiffers();
    if (!version.ok()) return failed(version.error());
    if (sqlite3_db_readonly(db, "main") != 0) {
      Revoke();
      unguarded_because_ = "this process may no longer write the database file";
      return Allowed::kNever;
    }
    if (MapWalIndex(OwnWalFile(db)) != permitted_index_) {
      // Exchanged since, or the host has closed and opened it: the next commit permits anew.
      Revoke();
      unguarded_because_ = "the file at its path is another one";
      return Allowed::kNever;
    }
  }
  // Its close shall never be the one that checkpoints: that is left to the other.
  sqlite3_db_config(guard.value().get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  auto read = Prepare(guard.value().get(), std::string(kOwnSql) + "PRAGMA schema_version");
  if (!read.ok()) return failed(read.error());
  {
    const std::lock_guard lock(interrupt_mutex_);
    checkpoint_ = std::move(checkpoint.value());
  }
  open_ = true;
  guard_ = std::move(guard.value());
  guard_read_ = std::move(read.value());
  sqlite3_busy_handler(checkpoint_.get(), OnBusy, this);
  unguarded_because_.clear();
  return Allowed::kYes;
}

void Checkpointer::Close() noexcept {
  if (open()) on_change_(false);
  open_ = pinned_ = false;
  guard_read_.reset();
  guard_.reset();
  // The last close of all runs a checkpoint, which an interrupt of before would end.
  if (interrupted_.exchange(false) && checkpoint_) {
    (void)AtCEdge([this] {
      (void)QueryText(checkpoint_.get(), "SELECT 1");
      return SQLITE_OK;
    });
  }
  const std::lock_guard lock(interrupt_mutex_);
  const NoSizeSignal no_signal;
  checkpoint_.reset();
}

void Checkpointer::Cancel() {
  ++cancels_;
  const std::lock_guard lock(interrupt_mutex_);
  if (optimizer_) sqlite3_interrupt(optimizer_);
  if (!checkpoint_) return;
  sqlite3_interrupt(checkpoint_.get());
  interrupted_ = true;
}

void Checkpointer::FollowCloseBehaviour(const CloseBehaviour& behaviour) {
  if (!open()) return;
  sqlite3_db_config(checkpoint_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
                    behaviour.checkpoint ? 0 : 1, nullptr);
  int persist = behaviour.persist_wal ? 1 : 0;
  for (sqlite3* db : {checkpoint_.get(), guard_.get()}) {
    sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
  }
}

}  // namespace walmanager
