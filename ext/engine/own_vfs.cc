#include "ext/engine/own_vfs.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <new>
#include <utility>

#include "ext/core/format/wal_index_format.h"
#include "ext/engine/timed_io.h"
#include "ext/system/registry.h"

extern "C" {
int sqlite3_walmanager_init(sqlite3*, char**, const sqlite3_api_routines*);
int sqlite3_walmanagerprocess_init(sqlite3*, char**, const sqlite3_api_routines*);
}

namespace walmanager {
namespace {

// The entry points that another copy of this library asks for.
constexpr std::pair<const char*, int (*)(sqlite3*, char**, const sqlite3_api_routines*)>
    kEntryPoints[] = {{"sqlite3_walmanager_init", sqlite3_walmanager_init},
                      {"sqlite3_walmanagerprocess_init", sqlite3_walmanagerprocess_init}};

struct OwnVfs {
  sqlite3_vfs base;
  char name[64];
};

OwnFile* Own(sqlite3_file* file) { return reinterpret_cast<OwnFile*>(file); }
sqlite3_file* Real(sqlite3_file* file) { return Own(file)->real; }
sqlite3_vfs* Host(sqlite3_vfs* vfs) { return static_cast<sqlite3_vfs*>(vfs->pAppData); }

// To look at the wal-index without the locks of this file in between.
WalFile IndexOf(const OwnFile* own) {
  return own->index_mapped ? WalFile::InWalMode(own->real) : WalFile();
}

struct RealFile final : PagedFile {
  explicit RealFile(const OwnFile* own) : file(own->real), io(own->io) {}
  int Read(void* to, int bytes, std::int64_t at) override {
    return TimedRead(file->pMethods, file, *io, IoFile::kDatabase, to, bytes, at);
  }
  int Write(const void* from, int bytes, std::int64_t at) override {
    return TimedWrite(file->pMethods, file, *io, IoFile::kDatabase, from, bytes, at);
  }
  int Truncate(std::int64_t size) override { return file->pMethods->xTruncate(file, size); }
  int Size(std::int64_t* size) override {
    sqlite3_int64 bytes = 0;
    const int rc = file->pMethods->xFileSize(file, &bytes);
    *size = bytes;
    return rc;
  }
  sqlite3_file* const file;
  OwnIo* const io;
};

// --- the file: every method but xShmLock and xClose passes on. Methods for which the content or
// the size of the file matters write the gathered pages first.

int Close(sqlite3_file* file) {
  const int flushed = Own(file)->Flush();
  delete Own(file)->pieces;
  delete Own(file)->io;
  const int rc = Real(file)->pMethods ? Real(file)->pMethods->xClose(Real(file)) : SQLITE_OK;
  file->pMethods = nullptr;
  return rc != SQLITE_OK ? rc : flushed;
}
int Read(sqlite3_file* f, void* to, int n, sqlite3_int64 at) {
  LargePieces* pieces = Own(f)->pieces;
  return pieces ? pieces->Read(to, n, at)
                : TimedRead(Real(f)->pMethods, Real(f), *Own(f)->io, IoFile::kDatabase, to, n, at);
}
int Write(sqlite3_file* f, const void* from, int n, sqlite3_int64 at) {
  LargePieces* pieces = Own(f)->pieces;
  return pieces
             ? pieces->Write(from, n, at)
             : TimedWrite(Real(f)->pMethods, Real(f), *Own(f)->io, IoFile::kDatabase, from, n, at);
}
int Truncate(sqlite3_file* f, sqlite3_int64 size) {
  LargePieces* pieces = Own(f)->pieces;
  return pieces ? pieces->Truncate(size) : Real(f)->pMethods->xTruncate(Real(f), size);
}
int Sync(sqlite3_file* f, int flags) {
  const int rc = Own(f)->Flush();
  if (rc != SQLITE_OK) return rc;
  return TimedSync(Real(f)->pMethods, Real(f), *Own(f)->io, IoFile::kDatabase, flags);
}
int FileSize(sqlite3_file* f, sqlite3_int64* size) {
  const int rc = Own(f)->Flush();
  return rc != SQLITE_OK ? rc : Real(f)->pMethods->xFileSize(Real(f), size);
}
int Lock(sqlite3_file* f, int level) {
  // In WAL mode the engine takes this lock only at the last close: then it copies the log, and
  // deletes the file at the log's path.
  OwnFile* own = Own(f);
  if (level == SQLITE_LOCK_EXCLUSIVE && own->log.BeforeWriting(IndexOf(own)) != SQLITE_OK) {
    return SQLITE_BUSY;
  }
  return Real(f)->pMethods->xLock(Real(f), level);
}
int Unlock(sqlite3_file* f, int level) { return Real(f)->pMethods->xUnlock(Real(f), level); }
int CheckReservedLock(sqlite3_file* f, int* held) {
  return Real(f)->pMethods->xCheckReservedLock(Real(f), held);
}
int FileControl(sqlite3_file* f, int op, void* arg) {
  // SQLite repeats this hint again and again while the file grows.
  const int rc = op == SQLITE_FCNTL_SIZE_HINT ? SQLITE_OK : Own(f)->Flush();
  if (rc != SQLITE_OK) return rc;
  return Real(f)->pMethods->xFileControl(Real(f), op, arg);
}
int SectorSize(sqlite3_file* f) { return Real(f)->pMethods->xSectorSize(Real(f)); }
int DeviceCharacteristics(sqlite3_file* f) {
  return Real(f)->pMethods->xDeviceCharacteristics(Real(f));
}
int ShmMap(sqlite3_file* f, int region, int bytes, int extend, void volatile** memory) {
  const int rc = Real(f)->pMethods->xShmMap(Real(f), region, bytes, extend, memory);
  if (rc == SQLITE_OK) Own(f)->index_mapped = true;
  return CountIfFailed(Real(f)->pMethods, Real(f), *Own(f)->io, IoFile::kSharedMemory, rc);
}
void ShmBarrier(sqlite3_file* f) { Real(f)->pMethods->xShmBarrier(Real(f)); }
int ShmUnmap(sqlite3_file* f, int remove) {
  Own(f)->shared_locks = Own(f)->exclusive_locks = Own(f)->pinned_locks = 0;
  Own(f)->index_mapped = false;
  if (Own(f)->shown) Own(f)->ShowLocks();
  Own(f)->log.file = nullptr;  // the engine closes it next
  return Real(f)->pMethods->xShmUnmap(Real(f), remove);
}
int Fetch(sqlite3_file* f, sqlite3_int64 at, int n, void** memory) {
  if (const int rc = Own(f)->Flush(); rc != SQLITE_OK) return rc;
  return Real(f)->pMethods->xFetch(Real(f), at, n, memory);
}
int Unfetch(sqlite3_file* f, sqlite3_int64 at, void* memory) {
  return Real(f)->pMethods->xUnfetch(Real(f), at, memory);
}

// Whether what begins with this lock, which is held, may begin.
int LookAtLog(OwnFile* own, int lock, bool exclusive) {
  // On mark 0 all is read from the database.
  if (!exclusive && lock > kReadLock0) return own->log.BeforeReading(IndexOf(own));
  if (exclusive && lock == kCheckpointLock) return own->log.BeforeReading(IndexOf(own));
  if (exclusive && lock == kWriteLock) return own->log.BeforeWriting(IndexOf(own));
  return SQLITE_OK;
}

int ShmLock(sqlite3_file* f, int offset, int n, int flags) {
  OwnFile* own = Own(f);
  const bool take = (flags & SQLITE_SHM_LOCK) != 0;
  const bool exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
  const std::uint32_t locks = ((1u << n) - 1u) << offset;
  // The connection has read, or copied.
  if (!take) own->io->Flush();
  if (take && exclusive && offset == kWriteLock && !own->may_write_lock) return SQLITE_BUSY;
  // The engine expects that a connection never asks for a lock that it holds itself.
  if (take && exclusive && (own->shared_locks & locks) != 0) return SQLITE_BUSY;
  if (!take && !exclusive && (own->pinned_locks & locks) != 0) return SQLITE_OK;
  const int rc = own->real->pMethods->xShmLock(own->real, offset, n, flags);
  if (rc != SQLITE_OK) return rc;
  if (take) {
    if (const int match = LookAtLog(own, offset, exclusive); match != SQLITE_OK) {
      // A pin stays.
      if (exclusive || (own->pinned_locks & locks) == 0) {
        own->real->pMethods->xShmLock(own->real, offset, n,
                                      (flags & ~SQLITE_SHM_LOCK) | SQLITE_SHM_UNLOCK);
      }
      return match;
    }
  }
  std::uint32_t& held = exclusive ? own->exclusive_locks : own->shared_locks;
  held = take ? held | locks : held & ~locks;
  if (exclusive && own->shown) own->ShowLocks();
  return rc;
}

constexpr sqlite3_io_methods kMethods = {3,
                                         Close,
                                         Read,
                                         Write,
                                         Truncate,
                                         Sync,
                                         FileSize,
                                         Lock,
                                         Unlock,
                                         CheckReservedLock,
                                         FileControl,
                                         SectorSize,
                                         DeviceCharacteristics,
                                         ShmMap,
                                         ShmLock,
                                         ShmBarrier,
                                         ShmUnmap,
                                         Fetch,
                                         Unfetch};

// --- the log: every method passes on, and what reads, writes or syncs is counted

struct OwnLogFile {
  sqlite3_file base;
  OwnFile* owner;  // closes after its log
  sqlite3_file* real;
};
OwnLogFile* OwnLogOf(sqlite3_file* file) { return reinterpret_cast<OwnLogFile*>(file); }
sqlite3_file* RealLog(sqlite3_file* file) { return OwnLogOf(file)->real; }

int CloseLog(sqlite3_file* f) {
  const int rc = RealLog(f)->pMethods->xClose(RealLog(f));
  f->pMethods = nullptr;
  return rc;
}
int ReadLog(sqlite3_file* f, void* to, int n, sqlite3_int64 at) {
  sqlite3_file* real = RealLog(f);
  return TimedRead(real->pMethods, real, *OwnLogOf(f)->owner->io, IoFile::kLog, to, n, at);
}
int WriteLog(sqlite3_file* f, const void* from, int n, sqlite3_int64 at) {
  sqlite3_file* real = RealLog(f);
  return TimedWrite(real->pMethods, real, *OwnLogOf(f)->owner->io, IoFile::kLog, from, n, at);
}
int TruncateLog(sqlite3_file* f, sqlite3_int64 size) {
  return RealLog(f)->pMethods->xTruncate(RealLog(f), size);
}
int SyncLog(sqlite3_file* f, int flags) {
  sqlite3_file* real = RealLog(f);
  return TimedSync(real->pMethods, real, *OwnLogOf(f)->owner->io, IoFile::kLog, flags);
}
int LogSize(sqlite3_file* f, sqlite3_int64* size) {
  return RealLog(f)->pMethods->xFileSize(RealLog(f), size);
}
int LockLog(sqlite3_file* f, int level) { return RealLog(f)->pMethods->xLock(RealLog(f), level); }
int UnlockLog(sqlite3_file* f, int level) {
  return RealLog(f)->pMethods->xUnlock(RealLog(f), level);
}
int CheckReservedLockOfLog(sqlite3_file* f, int* held) {
  return RealLog(f)->pMethods->xCheckReservedLock(RealLog(f), held);
}
int ControlLog(sqlite3_file* f, int op, void* arg) {
  return RealLog(f)->pMethods->xFileControl(RealLog(f), op, arg);
}
int SectorSizeOfLog(sqlite3_file* f) { return RealLog(f)->pMethods->xSectorSize(RealLog(f)); }
int CharacteristicsOfLog(sqlite3_file* f) {
  return RealLog(f)->pMethods->xDeviceCharacteristics(RealLog(f));
}

// SQLite neither maps a log nor asks it for shared memory.
constexpr sqlite3_io_methods kLogMethods = {1,
                                            CloseLog,
                                            ReadLog,
                                            WriteLog,
                                            TruncateLog,
                                            SyncLog,
                                            LogSize,
                                            LockLog,
                                            UnlockLog,
                                            CheckReservedLockOfLog,
                                            ControlLog,
                                            SectorSizeOfLog,
                                            CharacteristicsOfLog,
                                            nullptr,
                                            nullptr,
                                            nullptr,
                                            nullptr,
                                            nullptr,
                                            nullptr};

// --- the VFS: xOpen wraps the database file and the log, the rest passes on to the host's

std::size_t RealOffset() { return (sizeof(OwnFile) + 7) / 8 * 8; }

int OpenLog(sqlite3_vfs* host, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  OwnFile* own = Own(sqlite3_database_file_object(name));
  if (!own->makes_log) flags &= ~SQLITE_OPEN_CREATE;
  static_assert(sizeof(OwnLogFile) <= sizeof(OwnFile));
  OwnLogFile* log = OwnLogOf(file);
  *log = {};
  log->owner = own;
  log->real = reinterpret_cast<sqlite3_file*>(reinterpret_cast<char*>(file) + RealOffset());
  const int rc = host->xOpen(host, name, log->real, flags, out_flags);
  if (log->real->pMethods) file->pMethods = &kLogMethods;
  own->log = {};
  // A log that no other connection uses needs no comparison.
  if (rc == SQLITE_OK && !own->makes_log) own->log.file = file;
  own->log.path = name;
  return rc;
}

int Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  sqlite3_vfs* host = Host(vfs);
  // Temporary files are the host's own objects.
  if ((flags & SQLITE_OPEN_WAL) != 0 && name) return OpenLog(host, name, file, flags, out_flags);
  if ((flags & SQLITE_OPEN_MAIN_DB) == 0) return host->xOpen(host, name, file, flags, out_flags);
  OwnFile* own = Own(file);
  std::memset(static_cast<void*>(own), 0, sizeof *own);
  own->real = reinterpret_cast<sqlite3_file*>(reinterpret_cast<char*>(own) + RealOffset());
  own->io = new (std::nothrow) OwnIo();
  if (!own->io) return SQLITE_NOMEM;
  const int rc = host->xOpen(host, name, own->real, flags, out_flags);
  if (!own->real->pMethods) {
    delete own->io;
    return rc;
  }
  own->methods = kMethods;
  own->methods.iVersion = std::min(kMethods.iVersion, own->real->pMethods->iVersion);
  own->base.pMethods = &own->methods;
  return rc;
}
int Delete(sqlite3_vfs* v, const char* name, int sync) {
  return Host(v)->xDelete(Host(v), name, sync);
}
int Access(sqlite3_vfs* v, const char* name, int flags, int* out) {
  return Host(v)->xAccess(Host(v), name, flags, out);
}
int FullPathname(sqlite3_vfs* v, const char* name, int n, char* out) {
  return Host(v)->xFullPathname(Host(v), name, n, out);
}
int Randomness(sqlite3_vfs* v, int n, char* out) { return Host(v)->xRandomness(Host(v), n, out); }
int Sleep(sqlite3_vfs* v, int microseconds) { return Host(v)->xSleep(Host(v), microseconds); }
int CurrentTime(sqlite3_vfs* v, double* out) { return Host(v)->xCurrentTime(Host(v), out); }
int GetLastError(sqlite3_vfs* v, int n, char* out) {
  return Host(v)->xGetLastError(Host(v), n, out);
}
int CurrentTimeInt64(sqlite3_vfs* v, sqlite3_int64* out) {
  return Host(v)->xCurrentTimeInt64(Host(v), out);
}

void* DlOpen(sqlite3_vfs* v, const char* name) { return Host(v)->xDlOpen(Host(v), name); }
void DlError(sqlite3_vfs* v, int n, char* out) { Host(v)->xDlError(Host(v), n, out); }
void (*DlSym(sqlite3_vfs* v, void* library, const char* symbol))(void) {
  if (!library) {
    for (const auto& [name, entry] : kEntryPoints) {
      if (std::strcmp(symbol, name) == 0) return reinterpret_cast<void (*)()>(entry);
    }
  }
  return Host(v)->xDlSym(Host(v), library, symbol);
}
void DlClose(sqlite3_vfs* v, void* library) { Host(v)->xDlClose(Host(v), library); }

constexpr std::array<const char*, 3> kUnixFamily = {"unix", "unix-excl", "unix-posix"};

}  // namespace

std::optional<int> OwnFile::ReadMark() const {
  for (int mark = 0; mark < kReadMarks; ++mark) {
    if (shared_locks & (1u << (kReadLock0 + mark))) return mark;
  }
  return std::nullopt;
}

bool OwnFile::Pin(int lock) {
  if (ShmLock(&base, lock, 1, SQLITE_SHM_LOCK | SQLITE_SHM_SHARED) != SQLITE_OK) return false;
  pinned_locks |= 1u << lock;
  return true;
}

void OwnFile::Unpin(int lock) {
  pinned_locks &= ~(1u << lock);
  ShmLock(&base, lock, 1, SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED);
}

void OwnFile::ShowLocksIn(layout::Counter* where, std::uint64_t id) {
  shown = where;
  shown_id = id;
  if (shown) ShowLocks();
}

void OwnFile::ShowLocks() const {
  // The locks before the read marks have the same bits there.
  static_assert(HeldLocks::kWrite == 1 << kWriteLock &&
                HeldLocks::kCheckpoint == 1 << kCheckpointLock);
  constexpr std::uint32_t kBits = (1U << kReadLock0) - 1;
  shown->store(shown_id << HeldLocks::kIdShift | (exclusive_locks & kBits),
               std::memory_order_relaxed);
}

void OwnFile::UseLargePieces() {
  if (!pieces) pieces = new LargePieces(std::make_unique<RealFile>(this));
}

bool IsUnixFamily(sqlite3_vfs* vfs) {
  if (!vfs || !vfs->zName) return false;
  for (const char* name : kUnixFamily) {
    if (std::strcmp(vfs->zName, name) == 0) return sqlite3_vfs_find(name) == vfs;
  }
  return false;
}

const char* OwnVfsFor(sqlite3_vfs* host) {
  static std::array<std::atomic<OwnVfs*>, kUnixFamily.size()> registered{};
  if (!IsUnixFamily(host)) return nullptr;
  for (std::size_t i = 0; i < kUnixFamily.size(); ++i) {
    if (std::strcmp(host->zName, kUnixFamily[i]) != 0) continue;
    // Acquire: pairs with the release below, so the name is seen. Under the mutex relaxed is
    // enough.
    if (const OwnVfs* known = registered[i].load(std::memory_order_acquire)) return known->name;
    const MutexLock lock(Registry::Get().opening_mutex);
    if (const OwnVfs* known = registered[i].load(std::memory_order_relaxed)) return known->name;
    auto* vfs = new OwnVfs{};
    std::snprintf(vfs->name, sizeof vfs->name, "walmanager-%s", host->zName);
    vfs->base.iVersion = 2;
    vfs->base.szOsFile = static_cast<int>(RealOffset()) + host->szOsFile;
    vfs->base.mxPathname = host->mxPathname;
    vfs->base.zName = vfs->name;
    vfs->base.pAppData = host;
    vfs->base.xOpen = Open;
    vfs->base.xDelete = Delete;
    vfs->base.xAccess = Access;
    vfs->base.xFullPathname = FullPathname;
    vfs->base.xDlOpen = DlOpen;
    vfs->base.xDlError = DlError;
    vfs->base.xDlSym = DlSym;
    vfs->base.xDlClose = DlClose;
    vfs->base.xRandomness = Randomness;
    vfs->base.xSleep = Sleep;
    vfs->base.xCurrentTime = CurrentTime;
    vfs->base.xGetLastError = GetLastError;
    vfs->base.xCurrentTimeInt64 = CurrentTimeInt64;
    if (sqlite3_vfs_register(&vfs->base, /*makeDflt=*/0) != SQLITE_OK) {
      delete vfs;
      return nullptr;
    }
    registered[i].store(vfs, std::memory_order_release);
    return vfs->name;
  }
  return nullptr;
}

bool IsOwnVfs(const sqlite3_vfs* vfs) { return vfs->xOpen == Open; }

OwnFile* OwnFileOf(sqlite3* own_connection) {
  return reinterpret_cast<OwnFile*>(DatabaseFile(own_connection, "main"));
}

WalFile OwnWalFile(sqlite3* own_connection) {
  OwnFile* own = OwnFileOf(own_connection);
  return own && own->index_mapped ? WalFile::InWalMode(&own->base) : WalFile();
}

}  // namespace walmanager
