#include "ext/backup/backup.h"

#include <algorithm>
#include <memory>

#include "ext/backup/copied_file.h"
#include "ext/backup/page_copy.h"
#include "ext/core/control/evidence.h"
#include "ext/engine/own_connection.h"
#include "ext/engine/own_vfs.h"
#include "ext/engine/wal_index.h"
#include "ext/system/clock.h"
#include "ext/system/size_signal.h"

namespace walmanager {
namespace {

// What is copied from: a snapshot that lasts as long as this.
struct Source {
  OwnedDb own;  // nullptr: the host's handle is read
  sqlite3* db = nullptr;
  std::string schema;
  OwnedStmt snapshot;  // finalized before `own` closes: declared after it

  // 0: it may become another size while it is copied.
  std::int64_t SnapshotBytes() const {
    if (!snapshot) return 0;
    const std::string pragma = "PRAGMA " + Connection::Quoted(schema) + ".";
    const auto pages = Answer(db, pragma + "page_count"), size = Answer(db, pragma + "page_size");
    return pages.ok() && size.ok() ? std::stoll(pages.value()) * std::stoll(size.value()) : 0;
  }
};

constexpr std::int64_t kLeastPatienceMs = 1000;

// An own connection to the same file, in a read transaction. On an error the host's handle is read.
Result<Source> OpenOwnSource(Connection& connection, const Schema& schema) {
  // Before the host's first read it has no wal-index to compare with.
  (void)connection.Query("PRAGMA " + Connection::Quoted(schema.name) + ".schema_version");
  const OwnPermission permission =
      MayOpenOwn(connection.db(), schema.name.c_str(), connection.LogOf(schema));
  if (!permission.vfs) return Error{permission.because};
  constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
  auto opened = OpenOwnConnection(schema.database->path(), kFlags, permission.vfs);
  if (!opened.ok()) return opened.error();
  OwnFileOf(opened.value().get())->io->CountIn(schema.database->control());
  Source source;
  source.own = std::move(opened.value());
  source.db = source.own.get();
  source.schema = "main";
  // The host has it open: its close is the one that checkpoints, if any.
  sqlite3_db_config(source.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_wal_hook(source.db, nullptr, nullptr);
  sqlite3_busy_timeout(source.db,
                       static_cast<int>(std::max(kLeastPatienceMs, connection.busy_timeout_ms())));
  auto snapshot = HoldSnapshot(source.db, "main");
  if (!snapshot.ok()) return snapshot.error();
  if (MapWalIndex(OwnWalFile(source.db)) != permission.index) {
    return Error{"the file at its path is another one"};
  }
  source.snapshot = std::move(snapshot.value());
  OwnFileOf(source.db)->UseLargePieces();
  return source;
}

Result<Source> OpenSource(Connection& connection, const Schema& schema) {
  if (schema.is_wal()) {
    auto own = OpenOwnSource(connection, schema);
    if (own.ok()) return own;
  }
  Source source;
  source.db = connection.db();
  source.schema = schema.name;
  if (schema.is_wal()) {
    auto snapshot = HoldSnapshot(source.db, Connection::Quoted(schema.name));
    if (!snapshot.ok()) return snapshot.error();
    source.snapshot = std::move(snapshot.value());
  }
  return source;
}

// A connection to the empty file that becomes the copy. No other program knows the file, and it is
// removed when anything fails: no journal is needed, and one sync at the end is enough.
Result<OwnedDb> OpenCopy(sqlite3* host, const Schema& schema, const std::string& path) {
  sqlite3_vfs* vfs = nullptr;
  sqlite3_file_control(host, schema.name.c_str(), SQLITE_FCNTL_VFS_POINTER, &vfs);
  constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
  // Through the host's VFS, so that an encrypted database is not copied in plain. A database in
  // memory has none.
  const char* name = vfs && schema.database ? vfs->zName : nullptr;
  const char* own = name ? OwnVfsFor(vfs) : nullptr;
  auto copy = OpenOwnConnection(path, kFlags, own ? own : name);
  if (!copy.ok()) return copy;
  sqlite3* db = copy.value().get();
  if (own) {
    OwnFileOf(db)->UseLargePieces();
    OwnFileOf(db)->makes_log = true;
  }
  sqlite3_wal_hook(db, nullptr, nullptr);
  for (const char* pragma :
       {"PRAGMA locking_mode=EXCLUSIVE", "PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF"}) {
    if (auto done = QueryText(db, pragma); !done.ok()) return done.error();
  }
  return copy;
}

// The header says WAL, as the source's does: https://www.sqlite.org/fileformat.html, section 1.3.3.
// The copy is to be readable without a -wal file.
Status LeaveWalMode(sqlite3* db) {
  const auto mode = Answer(db, "PRAGMA journal_mode=DELETE");
  if (!mode.ok()) return mode.error();
  unsigned char versions[2] = {0, 0};
  sqlite3_file* file = DatabaseFile(db, "main");
  if (mode.value() != "delete" || !file || file->pMethods->xRead(file, versions, 2, 18) != 0 ||
      versions[0] != 1 || versions[1] != 1) {
    return Error{"the copy could not be taken out of WAL mode: it stays in " + mode.value()};
  }
  return Ok{};
}

Status Verify(sqlite3* db, std::int64_t pages) {
  const auto finding = FirstFinding(db);
  if (!finding.ok()) {
    if (finding.error().code == ErrorCode::kInterrupt) return Interrupted();
    return Error{"the copy cannot be checked (" + finding.error().message +
                     "): {\"verify\":false} copies without",
                 finding.error().code};
  }
  if (!finding.value().empty()) {
    return Error{"quick_check of the copy: " + finding.value(), ErrorCode::kCorrupt};
  }
  const auto count = Answer(db, "PRAGMA page_count");
  if (!count.ok()) return count.error();
  if (std::stoll(count.value()) == pages) return Ok{};
  return Error{"the copy has " + count.value() + " pages, not " + std::to_string(pages),
               ErrorCode::kCorrupt};
}

// The size of the copy, which is on the disk then.
Result<std::int64_t> SyncCopy(sqlite3* db, HostTurn& turn) {
  const HostTurn::Outside outside(turn);
  sqlite3_file* file = DatabaseFile(db, "main");
  sqlite3_int64 bytes = 0;
  if (!file || file->pMethods->xSync(file, SQLITE_SYNC_FULL) != SQLITE_OK ||
      file->pMethods->xFileSize(file, &bytes) != SQLITE_OK) {
    return Error{"the copy could not be synced", ErrorCode::kInputOutput};
  }
  return std::int64_t{bytes};
}

// Watches the size of the -wal file while the copy goes on.
class LogGrowth {
 public:
  LogGrowth(const Schema& schema, std::optional<std::int64_t> most)
      : database_(schema.database.get()), most_(most), before_(Bytes()) {}
  Status Look() {
    growth_ = std::max(growth_, Bytes() - before_);
    if (!most_ || growth_ <= *most_) return Ok{};
    return Error{"the -wal file has grown by " + std::to_string(growth_) +
                 " bytes during the copy; max_wal_growth_bytes is " + std::to_string(*most_)};
  }
  std::int64_t growth() const { return growth_; }

 private:
  std::int64_t Bytes() const { return database_ ? database_->MeasureWal().value_or(0) : 0; }
  const Database* database_;
  const std::optional<std::int64_t> most_;
  const std::int64_t before_;
  std::int64_t growth_ = 0;
};

// One call: the parts of the copy that outlive its steps.
struct Copying {
  Connection& connection;
  const Schema& schema;
  const BackupOptions& options;
  HostTurn& turn;
  HostInterrupt interrupt{connection.db(), &turn};
  std::unique_ptr<ShownCopy> shown{};  // nullptr: there is nowhere to show it
  LogGrowth growth{schema, options.max_wal_growth_bytes};

  Result<std::int64_t> CopySnapshot(sqlite3* to, CopiedFile& file) {
    auto source = OpenSource(connection, schema);
    if (!source.ok()) return source.error();
    if (shown && source.value().own) shown->Transaction(TransactionState::kRead);
    const std::int64_t bytes = source.value().SnapshotBytes();
    if (bytes > 0) file.Reserve(bytes);
    PageCopy copy{.to = to, .from = source.value().db, .schema = source.value().schema.c_str()};
    copy.pages_per_step = options.pages_per_step;
    copy.pause_ms = options.pause_ms;
    copy.interrupt = &interrupt;
    copy.shown = shown.get();
    copy.watch = [&] {
      file.StartWriting();
      return growth.Look();
    };
    auto pages = CopyPages(copy);
    // The snapshot ends here, before the check: the log need not wait for that.
    if (shown) shown->Transaction(TransactionState::kNone);
    if (!pages.ok()) return pages;
    if (Status status = growth.Look(); !status.ok()) return status.error();
    return pages;
  }
};

}  // namespace

Result<CopyReport> Backup(Connection& connection, const Schema& schema, const std::string& path,
                          const BackupOptions& options) {
  const std::uint64_t start = MonotonicNs();
  const NoSizeSignal no_signal;
  HostTurn turn;  // declared first, so that connections close within it
  auto absolute = AbsolutePath("path", path);
  if (!absolute.ok()) return absolute.error();
  if (connection.transaction_state(schema.name.c_str()) == TransactionState::kWrite) {
    return Error{"this connection has changes in schema '" + schema.name +
                     "' that would not be in the copy: commit them first",
                 ErrorCode::kLocked};
  }
  CopyReport report;
  report.path = absolute.value();
  auto file = CopiedFile::Make(report.path, schema.file, options.overwrite);
  if (!file.ok()) return file.error();

  Copying copying{connection, schema, options, turn};
  if (schema.database) {
    // All processes share what is known of backups.
    if (schema.may_make_file()) schema.database->MakeControl();
    copying.shown = std::make_unique<ShownCopy>(*schema.database, "walmanager backup");
  }
  auto copy = OpenCopy(connection.db(), schema, file.value()->temporary());
  if (!copy.ok()) return copy.error();
  sqlite3* db = copy.value().get();
  copying.interrupt.Follow(db);
  const auto pages = copying.CopySnapshot(db, *file.value());
  if (!pages.ok()) return pages.error();
  if (Status status = LeaveWalMode(db); !status.ok()) return status.error();
  file.value()->StartWriting();
  if (options.verify) {
    if (Status status = Verify(db, pages.value()); !status.ok()) return status.error();
  }
  const auto bytes = SyncCopy(db, turn);
  if (!bytes.ok()) return bytes.error();
  copy.value().reset();
  if (Status status = file.value()->Place(); !status.ok()) return status.error();

  report.pages = pages.value();
  report.bytes = bytes.value();
  report.verified = options.verify;
  report.wal_growth_bytes = copying.growth.growth();
  report.duration_ns = MonotonicNs() - start;
  if (schema.database) {
    KeepBackup(schema.database->control()->evidence(), {UnixMs(), report.bytes, report.path});
  }
  return report;
}

}  // namespace walmanager
