// The part of Checkpointer that is no checkpoint: syncing what was copied, copying it again where
// that failed, shrinking the log, PRAGMA optimize, the sign of a replicator.
#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <vector>

#include "ext/checkpoint/checkpointer.h"
#include "ext/core/format/log_format.h"
#include "ext/engine/log_file.h"
#include "ext/engine/own_vfs.h"
#include "ext/engine/wal_index.h"
#include "ext/system/clock.h"

namespace walmanager {
namespace {

// Writes the newest frame of each page among the first `index.backfill` into the database, and
// syncs. The pages hold that content already, as far as the system knows: nobody who reads sees a
// change. Frame header: https://www.sqlite.org/fileformat.html, section 4.1.
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

// Stands in for the log's xTruncate while TRUNCATE runs: the log gets the header with which it
// starts over, and keeps the frames of the log before behind it. After a crash recovery finds a log
// without a frame, since theirs have other salts. The size of the file stays.
// Not synced, since TRUNCATE holds the write lock: until it is, the old header with all of its
// frames replays what the database has already.
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

// Whether the file's header belongs to the log of the wal-index. Until the first commit to a log
// that starts over the header of the one before stands in the file: to cut that one's frames would
// make recovery replay a part of it.
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

void Checkpointer::Sync() {
  if (!open()) return;
  SyncFile(DatabaseFile(checkpoint_.get(), "main"));
  SyncLog();
}

void Checkpointer::SyncLog() { SyncFile(LogFile(checkpoint_.get())); }

void Checkpointer::SyncFile(sqlite3_file* file) {
  if (!file || cancelled()) return;
  if (file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) == SQLITE_OK) return;
  sync_error_ = "syncing what was copied failed: the log is kept, and copied again";
  PinLog();
}

// A reader on mark 1, as far as the others see: nobody can start the log over.
bool Checkpointer::PinLog() {
  if (!pinned_) pinned_ = OwnFileOf(checkpoint_.get())->Pin(kReadLock0 + 1);
  return pinned_;
}

bool Checkpointer::CopyAgain() {
  sqlite3_file* file = DatabaseFile(checkpoint_.get(), "main");
  sqlite3_file* log = LogFile(checkpoint_.get());
  if (!log || !PinLog()) return false;
  const auto lock = [&](int which, int flags) {
    return file->pMethods->xShmLock(file, which, 1, flags) == SQLITE_OK;
  };
  if (!lock(kCheckpointLock, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE)) return false;
  const auto index = Look();
  const bool copied = index && CopyFrames(*index, log, file);
  lock(kCheckpointLock, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
  if (!copied) return false;
  OwnFileOf(checkpoint_.get())->Unpin(kReadLock0 + 1);
  pinned_ = false;
  sync_error_.clear();
  return true;
}

std::int64_t Checkpointer::ShrinkLog(std::int64_t limit, std::int64_t step,
                                     std::uint64_t deadline_ns) {
  OwnFile* own = OwnFileOf(checkpoint_.get());
  sqlite3_file* file = &own->base;
  sqlite3_file* log = LogFile(checkpoint_.get());
  sqlite3_int64 bytes = 0;
  if (!log) return 0;
  last_used_ns_ = MonotonicNs();
  constexpr int kExclusive = SQLITE_SHM_EXCLUSIVE;
  while (log->pMethods->xFileSize(log, &bytes) == SQLITE_OK && bytes > limit &&
         MonotonicNs() < deadline_ns) {
    // With the write lock nobody has frames in the file that the wal-index does not count yet.
    own->may_write_lock = true;
    const int rc = file->pMethods->xShmLock(file, kWriteLock, 1, SQLITE_SHM_LOCK | kExclusive);
    own->may_write_lock = false;
    if (rc != SQLITE_OK) break;
    const auto index = Look();
    const bool safe =
        index &&
        (HeaderBelongsTo(log, *index) ||
         (index->max_frame == 0 && log_started_over_ != 0 && index->salt1 == log_started_over_));
    const bool fits = safe && kLogHeaderBytes + std::int64_t{index->max_frame} *
                                                    (index->page_size + kFrameHeaderBytes) <
                                  limit;
    const bool cut =
        fits && NobodyPins() &&
        log->pMethods->xTruncate(log, std::max<sqlite3_int64>(limit, bytes - step)) == SQLITE_OK;
    file->pMethods->xShmLock(file, kWriteLock, 1, SQLITE_SHM_UNLOCK | kExclusive);
    if (!cut) break;
  }
  return bytes;
}

bool Checkpointer::StartLogOver() {
  sqlite3_file* log = LogFile(checkpoint_.get());
  if (!log || owes_sync()) return false;
  last_used_ns_ = MonotonicNs();
  // A connection that reads the database alone is on mark 0. It does not keep the log from starting
  // over, but after that it could not write any more: SQLITE_BUSY_SNAPSHOT.
  const auto held = TryReadMarks();
  if (!held || (*held)[0]) return false;
  const sqlite3_io_methods* const methods = log->pMethods;
  StartingOver instead{*methods, OwnWalFile(checkpoint_.get())};
  instead.methods.xTruncate = StartingOver::WriteHeader;
  log->pMethods = &instead.methods;
  const auto put_back = [&](sqlite3_file* file) { file->pMethods = methods; };
  const std::unique_ptr<sqlite3_file, decltype(put_back)> until_then(log, put_back);
  log_started_over_ = 0;
  if (RunGuarded(CheckpointMode::kTruncate, 0).result != CheckpointResult::kComplete) return false;
  return true;
}

void Checkpointer::SyncNewHeader() {
  sqlite3_file* log = LogFile(checkpoint_.get());
  const auto index = Look();
  if (!log || !index || index->max_frame != 0) return;
  if (log->pMethods->xSync(log, SQLITE_SYNC_NORMAL) == SQLITE_OK) log_started_over_ = index->salt1;
}

Result<OwnedDb> Checkpointer::OpenSpare() {
  if (!permitted()) return Error{unguarded_because_};
  auto spare = OpenOwnConnection(
      path_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
      permitted_vfs_);
  if (spare.ok())
    sqlite3_db_config(spare.value().get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  return spare;
}

void Checkpointer::Explain(const std::function<void(sqlite3*, std::uint32_t)>& ask) {
  if (Open() != Allowed::kYes) return;
  auto opened = OpenOwnConnection(
      path_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
      permitted_vfs_);
  if (!opened.ok()) return;
  sqlite3* db = opened.value().get();
  sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_wal_hook(db, nullptr, nullptr);
  const auto version = QueryText(db, "PRAGMA schema_version");
  if (!version.ok() || !version.value()) return;
  ask(db, static_cast<std::uint32_t>(std::stoll(*version.value())));
}

Status Checkpointer::Optimize() {
  if (Open() != Allowed::kYes) return Error{unguarded_because_};
  auto opened = OpenOwnConnection(
      path_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE,
      permitted_vfs_);
  if (!opened.ok()) return opened.error();
  sqlite3* db = opened.value().get();
  const auto be_interruptible = [&](sqlite3* what) {
    const std::lock_guard lock(interrupt_mutex_);
    optimizer_ = what;
  };
  be_interruptible(db);
  const std::unique_ptr<sqlite3, std::function<void(sqlite3*)>> until_then(
      db, [&](sqlite3*) { be_interruptible(nullptr); });
  sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_wal_hook(db, nullptr, nullptr);
  constexpr int kOptimizeLooksAtAllTables = 3046000;
  const auto run = [&](const std::string& sql) -> Status {
    const auto done = QueryText(db, sql);
    if (!done.ok()) return done.error();
    return Ok{};
  };
  if (Status status = run("PRAGMA analysis_limit=400"); !status.ok()) return status;
  if (sqlite3_libversion_number() < kOptimizeLooksAtAllTables) {
    // Older ones look only at tables for which the planner of this connection has asked for
    // statistics: ask, once per index.
    auto indexes = Prepare(db,
                           "SELECT t.name, i.name, c.name FROM sqlite_master t, "
                           "pragma_index_list(t.name) i, pragma_index_info(i.name) c "
                           "WHERE t.type='table' AND c.seqno=0 AND c.name IS NOT NULL");
    if (!indexes.ok()) return indexes.error();
    while (sqlite3_step(indexes.value().get()) == SQLITE_ROW && !cancelled()) {
      const std::string table = ColumnText(indexes.value().get(), 0);
      const std::string column = ColumnText(indexes.value().get(), 2);
      (void)Prepare(db,
                    "SELECT 1 FROM " + QuoteName(table) + " WHERE " + QuoteName(column) + "=?1");
    }
  }
  OwnFileOf(db)->may_write_lock = true;
  last_used_ns_ = MonotonicNs();
  return run(sqlite3_libversion_number() < kOptimizeLooksAtAllTables ? "PRAGMA optimize"
                                                                     : "PRAGMA optimize=0x10002");
}

std::optional<Checkpointer::ReplicatorTable> Checkpointer::FindReplicator() {
  const auto found = QueryText(
      checkpoint_.get(), std::string("SELECT 1 FROM sqlite_master WHERE type='table' AND name='") +
                             kReplicatorTable + "'");
  if (!found.ok()) return std::nullopt;
  ReplicatorTable table;
  table.exists = found.value().has_value();
  if (!table.exists) return table;
  // Litestream's has one row. Of another program's table of this name the first rows will do.
  auto rows = Prepare(checkpoint_.get(),
                      std::string("SELECT * FROM main.") + kReplicatorTable + " LIMIT 16");
  if (!rows.ok()) return std::nullopt;
  sqlite3_stmt* row = rows.value().get();
  std::string content;
  int rc = SQLITE_OK;
  while ((rc = sqlite3_step(row)) == SQLITE_ROW) {
    for (int column = 0; column < sqlite3_column_count(row); ++column) {
      content += ColumnText(row, column) + '\0';
    }
  }
  if (rc != SQLITE_DONE) return std::nullopt;
  table.content = std::hash<std::string>()(content);
  return table;
}

}  // namespace walmanager
