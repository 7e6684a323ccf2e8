#include "ext/checkpoint/copied_frames.h"

#include <array>
#include <map>
#include <vector>

#include "ext/core/format/log_format.h"
#include "ext/engine/log_file.h"
#include "ext/engine/own_vfs.h"

namespace walmanager {
namespace {

// Writes the newest frame of each page among the first `index.backfill` into the database, and
// syncs. To the system the pages have that content already, so no reader sees a change. Frame
// header: https://www.sqlite.org/fileformat.html, section 4.1.
bool CopyFrames(const WalIndex& index, sqlite3_file* log, sqlite3_file* database) {
  std::map<std::uint32_t, std::uint32_t> newest;  // frame by page
  for (std::uint32_t frame = 1; frame <= index.backfill; ++frame) {
    std::array<std::byte, kFrameHeaderBytes> bytes;
    if (log->pMethods->xRead(log, bytes.data(), static_cast<int>(bytes.size()),
                             FramePlace(frame, index.page_size)) != SQLITE_OK) {
      return false;
    }
    const FrameHeader header = DecodeFrameHeader(bytes);
    if (header.salt1 != index.salt1 || header.salt2 != index.salt2) return false;
    newest[header.page] = frame;
  }
  std::vector<char> content(index.page_size);
  for (const auto& [page, frame] : newest) {
    if (page == 0 || page > index.database_pages) continue;  // cut off since
    if (log->pMethods->xRead(log, content.data(), static_cast<int>(content.size()),
                             FramePlace(frame, index.page_size) + kFrameHeaderBytes) != SQLITE_OK ||
        database->pMethods->xWrite(database, content.data(), static_cast<int>(content.size()),
                                   (std::int64_t{page} - 1) * index.page_size) != SQLITE_OK) {
      return false;
    }
  }
  return log->pMethods->xSync(log, SQLITE_SYNC_NORMAL) == SQLITE_OK &&
         database->pMethods->xSync(database, SQLITE_SYNC_NORMAL) == SQLITE_OK;
}

}  // namespace

void CopiedFrames::Sync() {
  if (!connections_.open()) return;
  SyncDatabase();
  SyncLog();
}

void CopiedFrames::SyncDatabase() { SyncFile(DatabaseFile(connections_.checkpoint(), "main")); }

void CopiedFrames::SyncLog() { SyncFile(LogFile(connections_.checkpoint())); }

void CopiedFrames::SyncFile(sqlite3_file* file) {
  if (!file || connections_.cancelled()) return;
  if (file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) == SQLITE_OK) return;
  error_ = "syncing what was copied failed: the log is kept, and copied again";
  PinLog();
}

bool CopiedFrames::PinLog() {
  const std::uint64_t now = connections_.times_opened();
  if (pinned_in_ != now && OwnFileOf(connections_.checkpoint())->Pin(kReadLock0 + 1)) {
    pinned_in_ = now;
  }
  return pinned_in_ == now;
}

bool CopiedFrames::CopyAgain() {
  sqlite3* db = connections_.checkpoint();
  sqlite3_file* file = DatabaseFile(db, "main");
  sqlite3_file* log = LogFile(db);
  if (!log || !PinLog()) return false;
  const auto lock = [&](int which, int flags) {
    return file->pMethods->xShmLock(file, which, 1, flags) == SQLITE_OK;
  };
  if (!lock(kCheckpointLock, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE)) return false;
  const auto index = connections_.Look();
  const bool copied = index && CopyFrames(*index, log, file);
  lock(kCheckpointLock, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
  if (!copied) return false;
  OwnFileOf(db)->Unpin(kReadLock0 + 1);
  pinned_in_ = 0;
  error_.clear();
  return true;
}

}  // namespace walmanager
