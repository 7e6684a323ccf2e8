#include "ext/engine/watched_file.h"

#include "ext/engine/own_vfs.h"
#include "ext/engine/timed_io.h"
#include "ext/engine/wal_index.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

constexpr std::size_t kFiles = 4096;  // that can be watched at the same time
constexpr int kRecoverLock = 2;       // of the -shm file, as wal_index_format.h has the others
constexpr int kRegionBytes = 32768;   // of the wal-index

constinit WatchedPlaces<WatchedFile, kFiles> files;

bool IsBusy(int rc) { return (rc & 0xff) == SQLITE_BUSY; }

}  // namespace

// --- beginning and end

void WatchedFile::Free() {
  StopTelling();
  shown_ = {};
  index_ = nullptr;
  log_ = {};
  files.Free(this);
}

const sqlite3_io_methods* WatchedFile::OwnMethods(sqlite3_file* file) {
  return files.Has(file->pMethods) ? files.OriginalOf(files.Of(file)) : file->pMethods;
}

WatchedFile::Handle WatchedFile::Watch(sqlite3* db, const char* schema, FileWatcher* watcher) {
  sqlite3_vfs* vfs = nullptr;
  if (sqlite3_file_control(db, schema, SQLITE_FCNTL_VFS_POINTER, &vfs) != SQLITE_OK ||
      !IsUnixFamily(vfs)) {
    return {};
  }
  sqlite3_file* file = DatabaseFile(db, schema);
  if (!file) return {};
  WatchedFile* self = nullptr;
  if (files.Has(file->pMethods)) {
    // An object of this connection that is gone has left it.
    self = files.Of(file);
    if (!self) return {};
    if (self->watcher_) {
      // Another connection of the process uses the file by the same object: a shared cache.
      self->PassOnForEver();
      return {};
    }
  }
  if (CacheIsShared(db)) return {};
  if (!self) {
    self = files.Claim(file);
    if (!self) return {};
    self->Replace(file);
  }
  const int state = sqlite3_txn_state(db, schema);
  self->bits_ = 0;
  self->shown_ = {};
  self->io_ = {};
  self->index_ = nullptr;
  self->has_mark_ = state == SQLITE_TXN_READ || state == SQLITE_TXN_WRITE;
  self->knows_header_ = self->uses_log_ = self->may_need_all_ = self->paused_ = false;
  self->blocking_ms_ = 0;
  self->is_refused_ = self->is_conflict_ = self->may_have_recovered_ = false;
  self->header_is_others_ = false;
  self->level_ = 0;
  file->pMethods->xFileControl(file, SQLITE_FCNTL_LOCKSTATE, &self->level_);
  if (WalFile::Ask(db, schema).file()) {
    self->uses_log_ = true;
    if (state == SQLITE_TXN_WRITE) self->bits_ |= HeldLocks::kWrite;
  }
  self->bits_ |= static_cast<std::uint64_t>(self->level_) << HeldLocks::kLevelShift;
  self->is_shared_.store(false, std::memory_order_relaxed);
  self->registry_ = &Registry::Get();
  self->watcher_ = watcher;
  self->wants_log_ = self->uses_log_;
  self->Enter(db, schema, /*may_need_all=*/false);
  return Handle(self);
}

void WatchedFile::WantLog() {
  if (wants_log_ || log_.Get()) return;
  wants_log_ = true;
  watcher_->OpenedLog();
}

void WatchedFile::FindLog(sqlite3* db, const char* schema) {
  wants_log_ = false;
  if (CacheIsShared(db)) return PassOnForEver();
  const sqlite3_file* file = file_.load(std::memory_order_relaxed);
  if (!log_.Get()) log_ = WatchedLog::Watch(db, schema, file, Handle(this));
}

void WatchedFile::Replace(sqlite3_file* file) {
  const sqlite3_io_methods* original = file->pMethods;
  // iVersion and entries that are nullptr stay as they are.
  methods_ = *original;
  methods_.xClose = Close;
  methods_.xRead = Read;
  methods_.xWrite = Write;
  methods_.xSync = Sync;
  methods_.xLock = Lock;
  methods_.xUnlock = Unlock;
  shm_lock_ = original->xShmLock;
  if (original->iVersion >= 2 && original->xShmLock && original->xShmMap && original->xShmUnmap) {
    methods_.xShmMap = ShmMap;
    methods_.xShmLock = ShmLock;
    methods_.xShmUnmap = ShmUnmap;
  }
  // Only such an engine ever says that the next lock may wait. One that does not say how it was
  // built (SQLITE_OMIT_COMPILEOPTION_DIAGS) may be such a one.
  if (!sqlite3_api->compileoption_used || sqlite3_compileoption_used("ENABLE_SETLK_TIMEOUT")) {
    methods_.xFileControl = FileControl;
  }
  // Release: the table is whole before SQLite can see it, in whatever thread.
  std::atomic_thread_fence(std::memory_order_release);
  file->pMethods = &methods_;
}

void WatchedFile::Restore(Handle& handle) {
  WatchedFile* self = handle.Get();
  handle = {};
  if (!self) return;
  WatchedLog::Restore(self->log_);
  self->set_shown({}, 0);
  self->StopTelling();
  // The file is there: its xClose would have come here.
  sqlite3_file* file = self->file_.load(std::memory_order_relaxed);
  if (file->pMethods != &self->methods_) return;
  file->pMethods = self->original_.load(std::memory_order_relaxed);
  self->Free();
}

void WatchedFile::Leave(Handle& handle) {
  if (WatchedFile* self = handle.Get()) {
    self->set_shown({}, 0);
    self->StopTelling();
  }
  handle = {};
}

void WatchedFile::set_shown(const Place& shown, std::uint64_t id) {
  if (shown_.locks && shown_.locks != shown.locks) {
    shown_.locks->store(0, std::memory_order_relaxed);
    shown_.committed->store(0, std::memory_order_relaxed);
  }
  shown_ = shown;
  tag_ = id << HeldLocks::kIdShift;
  Show(bits_);
}

void WatchedFile::FindLocksAgain(sqlite3* db, const char* schema) {
  constexpr std::uint64_t kOfLog = (1U << HeldLocks::kLevelShift) - 1;
  // In WAL mode a connection keeps the database file's SHARED lock between its statements.
  const int at_rest = uses_log_ ? SQLITE_LOCK_SHARED : SQLITE_LOCK_NONE;
  if (!watcher_ || ((bits_ & kOfLog) == 0 && !has_mark_ && level_ <= at_rest)) return;
  sqlite3_file* file = file_.load(std::memory_order_relaxed);
  const int state = sqlite3_txn_state(db, schema);
  const bool had_mark =
      std::exchange(has_mark_, state == SQLITE_TXN_READ || state == SQLITE_TXN_WRITE);
  if (has_mark_ && !had_mark) {  // of a header that is not known
    index_ = nullptr;
    knows_header_ = false;
  }
  files.OriginalOf(this)->xFileControl(file, SQLITE_FCNTL_LOCKSTATE, &level_);
  const bool writes = uses_log_ && state == SQLITE_TXN_WRITE;
  Show((writes ? HeldLocks::kWrite : 0) | static_cast<std::uint64_t>(level_)
                                              << HeldLocks::kLevelShift);
}

int WatchedFile::Close(sqlite3_file* file) {
  WatchedFile* self = files.Of(file);
  const sqlite3_io_methods* original = files.OriginalOf(self);
  if (!self) return original->xClose(file);
  // Not the words in the control file: the process may be a forked child.
  self->StopTelling();
  self->shown_ = {};
  if (file->pMethods == &self->methods_) file->pMethods = original;
  const int rc = original->xClose(file);
  self->Free();
  return rc;
}

// --- reads and writes

int WatchedFile::Read(sqlite3_file* file, void* to, int n, sqlite3_int64 at) {
  WatchedFile* self = files.Of(file);
  const sqlite3_io_methods* original = files.OriginalOf(self);
  IoPlace* io = self ? self->io() : nullptr;
  if (!io) return original->xRead(file, to, n, at);
  return TimedRead(original, file, *io, IoFile::kDatabase, to, n, at);
}

int WatchedFile::Write(sqlite3_file* file, const void* from, int n, sqlite3_int64 at) {
  WatchedFile* self = files.Of(file);
  const sqlite3_io_methods* original = files.OriginalOf(self);
  IoPlace* io = self ? self->io() : nullptr;
  if (!io) return original->xWrite(file, from, n, at);
  return TimedWrite(original, file, *io, IoFile::kDatabase, from, n, at);
}

int WatchedFile::Sync(sqlite3_file* file, int flags) {
  WatchedFile* self = files.Of(file);
  const sqlite3_io_methods* original = files.OriginalOf(self);
  IoPlace* io = self ? self->io() : nullptr;
  if (!io) return original->xSync(file, flags);
  return TimedSync(original, file, *io, IoFile::kDatabase, flags);
}

int WatchedFile::ShmMap(sqlite3_file* file, int region, int bytes, int extend,
                        void volatile** memory) {
  WatchedFile* self = files.Of(file);
  const sqlite3_io_methods* original = files.OriginalOf(self);
  const int rc = original->xShmMap(file, region, bytes, extend, memory);
  if (!self || !self->Counts()) return rc;
  // The log is open by now.
  if (rc == SQLITE_OK && region == 0) self->WantLog();
  if (!self->io_.is_there()) return rc;
  return CountIfFailed(original, file, self->io_, IoFile::kSharedMemory, rc);
}

// --- the locks of the database file

LockKind WatchedFile::KindOf(int level) {
  return level == SQLITE_LOCK_SHARED     ? LockKind::kShared
         : level == SQLITE_LOCK_RESERVED ? LockKind::kReserved
                                         : LockKind::kExclusive;
}

int WatchedFile::Lock(sqlite3_file* file, int level) {
  WatchedFile* self = files.Of(file);
  const int rc = files.OriginalOf(self)->xLock(file, level);
  if (!self || !self->Counts()) return rc;
  if (rc == SQLITE_OK) {
    if (level > self->level_) self->ShowLevel(level);
    if (self->is_refused_) [[unlikely]] {
      self->Grant(KindOf(level));
      if (level > SQLITE_LOCK_SHARED) self->Grant(LockKind::kRecovery);
      self->may_have_recovered_ = self->is_refused_ && level == SQLITE_LOCK_SHARED;
    }
  } else if (IsBusy(rc)) {
    const bool exclusive = level == SQLITE_LOCK_EXCLUSIVE;
    // At a close in WAL mode SQLite asks whether it is the last one.
    if (exclusive && self->uses_log_ && !self->may_need_all_) return rc;
    // Only to roll a journal back that a killed process left it is taken without RESERVED.
    const bool recovers = exclusive && !self->uses_log_ && self->level_ < SQLITE_LOCK_RESERVED;
    // It may have PENDING now, which keeps new readers out.
    int has = self->level_;
    if (exclusive) files.OriginalOf(self)->xFileControl(file, SQLITE_FCNTL_LOCKSTATE, &has);
    if (has > self->level_) self->ShowLevel(has);
    self->Refuse(recovers ? LockKind::kRecovery : KindOf(level));
  }
  return rc;
}

int WatchedFile::Unlock(sqlite3_file* file, int level) {
  WatchedFile* self = files.Of(file);
  const int rc = files.OriginalOf(self)->xUnlock(file, level);
  if (!self || !self->Counts() || rc != SQLITE_OK || level >= self->level_) return rc;
  self->ShowLevel(level);
  if (self->may_have_recovered_) self->Grant(LockKind::kRecovery);
  return rc;
}

// --- the locks of the log

int WatchedFile::FileControl(sqlite3_file* file, int op, void* argument) {
  WatchedFile* self = files.Of(file);
  const bool sets_timeout = op == SQLITE_FCNTL_LOCK_TIMEOUT && argument;
  const int wanted = sets_timeout ? *static_cast<int*>(argument) : 0;
  const int rc = files.OriginalOf(self)->xFileControl(file, op, argument);
  if (self && sets_timeout) self->blocking_ms_ = rc == SQLITE_OK ? wanted : 0;
  return rc;
}

int WatchedFile::LockBlocking(sqlite3_file* file, int offset, int n, int flags) {
  const sqlite3_io_methods* original = files.OriginalOf(this);
  // A try first: it alone tells whether the lock is free.
  int none = 0;
  if (original->xFileControl(file, SQLITE_FCNTL_LOCK_TIMEOUT, &none) != SQLITE_OK) {
    return original->xShmLock(file, offset, n, flags);
  }
  const int tried = original->xShmLock(file, offset, n, flags);
  int wanted = blocking_ms_;
  original->xFileControl(file, SQLITE_FCNTL_LOCK_TIMEOUT, &wanted);
  if (!IsBusy(tried)) return tried;
  if (offset == kWriteLock) Refuse(LockKind::kWrite);
  if (offset == kCheckpointLock && n == 1) Refuse(LockKind::kCheckpoint);
  return original->xShmLock(file, offset, n, flags);
}

int WatchedFile::ShmLock(sqlite3_file* file, int offset, int n, int flags) {
  auto* self = reinterpret_cast<WatchedFile*>(const_cast<sqlite3_io_methods*>(file->pMethods));
  // Each way ends in a jump.
  if (!files.Has(self) || self->file_.load(std::memory_order_relaxed) != file || !self->Counts())
      [[unlikely]] {
    return PassShmLock(file, offset, n, flags);
  }
  if (offset < kReadLock0 || self->is_refused_ || !self->index_) {
    return self->LockAndLook(file, offset, n, flags);
  }
  if ((flags & SQLITE_SHM_SHARED) != 0) {
    // Where the mark cannot be had, SQLite tries another one, or the statement fails.
    self->has_mark_ = (flags & SQLITE_SHM_LOCK) != 0;
    if (self->has_mark_) self->header_ = self->index_[kChecksum];
  }
  return self->shm_lock_(file, offset, n, flags);
}

int WatchedFile::PassShmLock(sqlite3_file* file, int offset, int n, int flags) {
  WatchedFile* self = files.Of(file);
  return self && self->Counts() ? self->LockAndLook(file, offset, n, flags)
                                : files.OriginalOf(self)->xShmLock(file, offset, n, flags);
}

int WatchedFile::LockAndLook(sqlite3_file* file, int offset, int n, int flags) {
  constexpr int kTakes = SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE;
  if (offset == kWriteLock && (flags & SQLITE_SHM_LOCK) == 0) {
    FollowOwnCommit();
    // Before another connection can have the lock and show it.
    Show(bits_ & ~HeldLocks::kWrite);
    return shm_lock_(file, offset, n, flags);
  }
  const int rc = blocking_ms_ != 0 && (flags & kTakes) == kTakes
                     ? LockBlocking(file, offset, n, flags)
                     : shm_lock_(file, offset, n, flags);
  if (rc == SQLITE_OK && offset == kWriteLock && !is_refused_) [[likely]] {
    Show(bits_ | HeldLocks::kWrite);
    if (!has_mark_ || !HeaderDiffers()) return rc;
  }
  AfterShmLock(file, offset, n, flags, rc);
  return rc;
}

void WatchedFile::AfterShmLock(sqlite3_file* file, int offset, int n, int flags, int rc) {
  const bool take = (flags & SQLITE_SHM_LOCK) != 0;
  const bool exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
  if (offset == kWriteLock && exclusive) {
    if (rc == SQLITE_OK) Show(take ? bits_ | HeldLocks::kWrite : bits_ & ~HeldLocks::kWrite);
    if (take) AfterWriteLock(rc);
  } else if (offset >= kReadLock0) {
    if (exclusive) return;  // a mark is moved, or a checkpoint waits for readers
    has_mark_ = take && rc == SQLITE_OK;
    if (!take) {
      // The transaction that read has ended, so SQLite begins anew with the newest snapshot.
      is_conflict_ = false;
    } else if (rc == SQLITE_OK) {
      RememberHeader(file);
      Grant(LockKind::kRecovery);
    }
  } else if (offset == kRecoverLock && !exclusive) {
    // A reader asks whether another connection rebuilds the wal-index.
    if (take && IsBusy(rc)) Refuse(LockKind::kRecovery);
    if (take && rc == SQLITE_OK) Grant(LockKind::kRecovery);
  } else if (exclusive) {
    const bool recovers = offset == kRecoverLock || n > 1;
    const std::uint64_t bits = recovers ? HeldLocks::kRecovery : HeldLocks::kCheckpoint;
    if (rc == SQLITE_OK) Show(take ? bits_ | bits : bits_ & ~bits);
    if (!take || recovers) return;
    if (rc == SQLITE_OK) Grant(LockKind::kCheckpoint);
    if (IsBusy(rc)) Refuse(LockKind::kCheckpoint);
  }
}

void WatchedFile::AfterWriteLock(int rc) {
  const bool checkpoints = (bits_ & HeldLocks::kCheckpoint) != 0;
  // A reader that finds a torn header tries the lock, too, and goes on without it.
  if (!has_mark_ && !checkpoints && blocking_ms_ == 0) return;
  if (rc == SQLITE_OK && has_mark_ && !checkpoints && HeaderDiffers()) [[unlikely]] {
    header_is_others_ = true;
    if (!BeginRefusal(LockKind::kWrite)) return;
    is_conflict_ = true;
    watcher_->Conflicts(index_[kChecksum]);
  } else if (rc == SQLITE_OK) {
    Grant(LockKind::kWrite);
  } else if (IsBusy(rc)) {
    Refuse(LockKind::kWrite);
  }
}

int WatchedFile::ShmUnmap(sqlite3_file* file, int remove) {
  WatchedFile* self = files.Of(file);
  if (self) {
    self->index_ = nullptr;
    self->uses_log_ = self->has_mark_ = self->knows_header_ = self->wants_log_ = false;
  }
  return files.OriginalOf(self)->xShmUnmap(file, remove);
}

void WatchedFile::MapIndex(sqlite3_file* file) {
  uses_log_ = true;
  WantLog();
  void volatile* region = nullptr;
  // SQLite has read the header there, so it is mapped until xShmUnmap.
  if (files.OriginalOf(this)->xShmMap(file, 0, kRegionBytes, 0, &region) == SQLITE_OK && region) {
    index_ = static_cast<const volatile std::uint64_t*>(region);
    knows_header_ = true;
  }
}

void WatchedFile::Refuse(LockKind lock) {
  if (BeginRefusal(lock)) watcher_->Refused(lock);
}

bool WatchedFile::BeginRefusal(LockKind lock) {
  if (paused_) return false;
  // What was refused before is had, or is not wanted any more.
  if (is_refused_ && refused_ != lock) EndRefusal();
  is_refused_ = true;
  is_conflict_ = may_have_recovered_ = false;
  refused_ = lock;
  return true;
}

void WatchedFile::EndRefusal() {
  is_refused_ = is_conflict_ = may_have_recovered_ = false;
  watcher_->Granted();
}

bool WatchedFile::SettleAtEnd() {
  if (is_refused_ && may_have_recovered_) EndRefusal();
  const bool failed = is_refused_;
  is_refused_ = is_conflict_ = may_have_recovered_ = false;
  return !failed;
}

}  // namespace walmanager
