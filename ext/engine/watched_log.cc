#include "ext/engine/watched_log.h"

#include "ext/core/format/log_format.h"
#include "ext/engine/timed_io.h"
#include "ext/engine/wal_index.h"
#include "ext/engine/watched_file.h"

namespace walmanager {
namespace {

constexpr std::size_t kLogs = 4096;  // that can be watched at the same time

constinit WatchedPlaces<WatchedLog, kLogs> logs;

}  // namespace

WatchedLog::Handle WatchedLog::Watch(sqlite3* db, const char* schema, const sqlite3_file* database,
                                     WatchedFile::Handle owner) {
  sqlite3_file* log = nullptr;
  // The schema may be another file's by now.
  if (DatabaseFile(db, schema) != database ||
      sqlite3_file_control(db, schema, SQLITE_FCNTL_JOURNAL_POINTER, &log) != SQLITE_OK || !log ||
      !log->pMethods) {
    return {};
  }
  if (WatchedLog* self = logs.Has(log->pMethods) ? logs.Of(log) : nullptr) {
    // A watch of the database file that is over has left it.
    self->owner_ = owner;
    return Handle(self);
  }
  const sqlite3_io_methods* original = log->pMethods;
  if (!original->xClose || !original->xRead || !original->xWrite || !original->xSync) return {};
  WatchedLog* self = logs.Claim(log);
  if (!self) return {};
  self->owner_ = owner;
  self->page_at_ = -1;
  // iVersion and entries that are nullptr stay as they are.
  self->methods_ = *original;
  self->methods_.xClose = Close;
  self->methods_.xRead = Read;
  self->methods_.xWrite = Write;
  self->methods_.xSync = Sync;
  // Release: the table is whole before SQLite can see it, in whatever thread.
  std::atomic_thread_fence(std::memory_order_release);
  log->pMethods = &self->methods_;
  return Handle(self);
}

void WatchedLog::Restore(Handle& handle) {
  WatchedLog* self = handle.Get();
  handle = {};
  if (!self) return;
  self->owner_ = {};
  // The log is there: its xClose would have come here.
  sqlite3_file* log = self->file_.load(std::memory_order_relaxed);
  if (log->pMethods != &self->methods_) return;
  log->pMethods = self->original_.load(std::memory_order_relaxed);
  logs.Free(self);
}

const sqlite3_io_methods* WatchedLog::OwnMethods(sqlite3_file* file) {
  return logs.Has(file->pMethods) ? logs.OriginalOf(logs.Of(file)) : file->pMethods;
}

int WatchedLog::Close(sqlite3_file* file) {
  WatchedLog* self = logs.Of(file);
  const sqlite3_io_methods* original = logs.OriginalOf(self);
  if (!self) return original->xClose(file);
  self->owner_ = {};
  if (file->pMethods == &self->methods_) file->pMethods = original;
  const int rc = original->xClose(file);
  logs.Free(self);
  return rc;
}

int WatchedLog::Read(sqlite3_file* file, void* to, int n, sqlite3_int64 at) {
  WatchedLog* self = logs.Of(file);
  const sqlite3_io_methods* original = logs.OriginalOf(self);
  WatchedFile* owner = self ? self->owner_.Get() : nullptr;
  IoPlace* io = owner ? owner->io() : nullptr;
  if (!io) return original->xRead(file, to, n, at);
  return TimedRead(original, file, *io, IoFile::kLog, to, n, at);
}

int WatchedLog::Write(sqlite3_file* file, const void* from, int n, sqlite3_int64 at) {
  WatchedLog* self = logs.Of(file);
  const sqlite3_io_methods* original = logs.OriginalOf(self);
  WatchedFile* owner = self ? self->owner_.Get() : nullptr;
  IoPlace* io = owner ? owner->io() : nullptr;
  if (!io) return original->xWrite(file, from, n, at);
  const std::uint64_t start = at == self->page_at_ ? self->frame_start_ns_ : QuickMonotonicNs();
  self->page_at_ = -1;
  const int rc = original->xWrite(file, from, n, at);
  if (rc != SQLITE_OK) [[unlikely]]
    return CountIfFailed(original, file, *io, IoFile::kLog, rc);
  if (n == static_cast<int>(kFrameHeaderBytes)) {
    self->page_at_ = at + n;
    self->frame_start_ns_ = start;
    io->Write(IoFile::kLog, kFrameHeaderBytes, 0);
  } else {
    io->Write(IoFile::kLog, static_cast<std::uint64_t>(n), QuickNsSince(start));
  }
  return rc;
}

int WatchedLog::Sync(sqlite3_file* file, int flags) {
  WatchedLog* self = logs.Of(file);
  const sqlite3_io_methods* original = logs.OriginalOf(self);
  WatchedFile* owner = self ? self->owner_.Get() : nullptr;
  IoPlace* io = owner ? owner->io() : nullptr;
  if (!io) return original->xSync(file, flags);
  return TimedSync(original, file, *io, IoFile::kLog, flags);
}

}  // namespace walmanager
