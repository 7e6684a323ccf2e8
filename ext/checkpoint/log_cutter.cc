#include "ext/checkpoint/log_cutter.h"

#include <algorithm>
#include <array>
#include <memory>

#include "ext/core/format/log_format.h"
#include "ext/engine/log_file.h"
#include "ext/engine/own_vfs.h"
#include "ext/engine/wal_index.h"
#include "ext/system/clock.h"

namespace walmanager {
namespace {

// Replaces the log's xTruncate while TRUNCATE runs: instead of being cut, the file gets the header
// with which the log starts over, and keeps its size. The frames of the old log stay behind the
// header. After a crash, recovery finds a log without frames, since the old frames have other
// salts. The header is not synced here, since TRUNCATE holds the write lock. Until it is, the old
// header and frames may come back after a crash; they replay what the database has already.
struct StartingOver {
  sqlite3_io_methods methods;  // first: the log's pMethods point here
  WalFile database;

  static int WriteHeader(sqlite3_file* log, sqlite3_int64 size) {
    const auto& self = *reinterpret_cast<const StartingOver*>(log->pMethods);
    std::array<std::byte, kLogHeaderBytes> before;
    // SQLite has put the new salts into the wal-index by now.
    const auto index = ReadWalIndex(self.database);
    if (size != 0 || !index || index->max_frame != 0 ||
        log->pMethods->xRead(log, before.data(), static_cast<int>(before.size()), 0) != SQLITE_OK) {
      return SQLITE_IOERR_TRUNCATE;
    }
    const auto next = NextLogHeader(before, {index->salt1, index->salt2});
    if (!next) return SQLITE_IOERR_TRUNCATE;
    return log->pMethods->xWrite(log, next->data(), static_cast<int>(next->size()), 0);
  }
};

// Whether the file's header belongs to the log of the wal-index. After a log has started over, the
// file has the header of the old log until the first commit. If the old frames were cut then,
// recovery would replay a part of the old log.
bool HeaderBelongsTo(sqlite3_file* log, const WalIndex& index) {
  std::array<std::byte, kLogHeaderBytes> bytes;
  if (index.max_frame == 0 ||
      log->pMethods->xRead(log, bytes.data(), static_cast<int>(bytes.size()), 0) != SQLITE_OK) {
    return false;
  }
  const LogHeader header = DecodeLogHeader(bytes);
  return header.salt1 == index.salt1 && header.salt2 == index.salt2;
}

}  // namespace

std::int64_t LogCutter::Cut(std::int64_t limit, std::int64_t step, std::uint64_t deadline_ns) {
  OwnFile* own = OwnFileOf(connections_.checkpoint());
  sqlite3_file* file = &own->base;
  sqlite3_file* log = LogFile(connections_.checkpoint());
  sqlite3_int64 bytes = 0;
  if (!log) return 0;
  connections_.MarkUsed();
  constexpr int kExclusive = SQLITE_SHM_EXCLUSIVE;
  while (log->pMethods->xFileSize(log, &bytes) == SQLITE_OK && bytes > limit &&
         MonotonicNs() < deadline_ns) {
    // While this connection has the write lock, the file has no frames that the wal-index does not
    // count yet.
    own->may_write_lock = true;
    const int rc = file->pMethods->xShmLock(file, kWriteLock, 1, SQLITE_SHM_LOCK | kExclusive);
    own->may_write_lock = false;
    if (rc != SQLITE_OK) break;
    const auto index = connections_.Look();
    const bool safe =
        index &&
        (HeaderBelongsTo(log, *index) ||
         (index->max_frame == 0 && log_started_over_ != 0 && index->salt1 == log_started_over_));
    const bool fits = safe && kLogHeaderBytes + std::int64_t{index->max_frame} *
                                                    (index->page_size + kFrameHeaderBytes) <
                                  limit;
    const bool cut =
        fits && !connections_.IsPinned() &&
        log->pMethods->xTruncate(log, std::max<sqlite3_int64>(limit, bytes - step)) == SQLITE_OK;
    file->pMethods->xShmLock(file, kWriteLock, 1, SQLITE_SHM_UNLOCK | kExclusive);
    if (!cut) break;
  }
  return bytes;
}

bool LogCutter::StartLogOver() {
  sqlite3_file* log = LogFile(connections_.checkpoint());
  if (!log || copied_frames_.owes_sync()) return false;
  connections_.MarkUsed();
  // A connection on mark 0 reads the database file alone. It does not keep the log from starting
  // over, but then it could no longer write in its transaction: SQLITE_BUSY_SNAPSHOT.
  const auto held = connections_.TryReadMarks();
  if (!held || (*held)[0]) return false;
  const sqlite3_io_methods* const methods = log->pMethods;
  StartingOver instead{*methods, OwnWalFile(connections_.checkpoint())};
  instead.methods.xTruncate = StartingOver::WriteHeader;
  log->pMethods = &instead.methods;
  const auto put_back = [&](sqlite3_file* file) { file->pMethods = methods; };
  const std::unique_ptr<sqlite3_file, decltype(put_back)> until_then(log, put_back);
  log_started_over_ = 0;
  return checkpointer_.RunGuarded(CheckpointMode::kTruncate, 0).result ==
         CheckpointResult::kComplete;
}

void LogCutter::SyncNewHeader() {
  sqlite3_file* log = LogFile(connections_.checkpoint());
  const auto index = connections_.Look();
  if (!log || !index || index->max_frame != 0) return;
  if (log->pMethods->xSync(log, SQLITE_SYNC_NORMAL) == SQLITE_OK) log_started_over_ = index->salt1;
}

}  // namespace walmanager
