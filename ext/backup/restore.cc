#include "ext/backup/restore.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "ext/backup/backup_check.h"
#include "ext/backup/copied_file.h"
#include "ext/backup/page_copy.h"
#include "ext/core/control/evidence.h"
#include "ext/engine/own_connection.h"
#include "ext/engine/own_vfs.h"
#include "ext/engine/wal_index.h"
#include "ext/system/clock.h"
#include "ext/system/file_system.h"
#include "ext/system/open_files.h"
#include "ext/system/size_signal.h"

namespace walmanager {
namespace {

constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;

// The backup, in one read transaction, so that the pages checked are the pages copied.
struct OpenedBackup {
  OwnedDb db;
  OwnedStmt snapshot;
};

Error About(const std::string& path, const Error& error) {
  return Error{"backup " + ShownPath(path) + ": " + error.message, error.code};
}

Status CheckPath(const std::string& path, const std::string& database) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0)
    return About(path, Error{std::string("cannot be looked at: ") + std::strerror(errno)});
  if (!S_ISREG(status.st_mode)) return About(path, Error{"is not a file"});
  if (IsOfDatabase(path, database)) {
    return About(path, Error{"is the database itself, or one of the files beside it"});
  }
  // SQLite closes the file that it opens. At a close the process loses all its locks on the file,
  // unless SQLite has it open as a database already. SQLite also looks for the log of a database
  // under the name by which it opens it.
  const OpenAs open = OpenInThisProcess(status);
  if (open == OpenAs::kOther) {
    return About(path, Error{"is a file that this process has open, and no database"});
  }
  if (open == OpenAs::kDatabase && status.st_nlink > 1) {
    return About(path, Error{"is a database that this process has open and that has several names: "
                             "SQLite would look for its log under the wrong one"});
  }
  if (open == OpenAs::kDatabase) return Ok{};
  const std::unique_ptr<char, void (*)(void*)> real(realpath(path.c_str(), nullptr), free);
  for (const char* suffix : {"-journal", "-wal", "-shm"}) {
    const std::string beside = (real ? real.get() : path) + std::string(suffix);
    if (stat(beside.c_str(), &status) == 0 && OpenInThisProcess(status) != OpenAs::kNothing) {
      return About(path, Error{"has a " + std::string(suffix) +
                               " beside it that is a file which this process has open"});
    }
  }
  return Ok{};
}

Result<OpenedBackup> OpenBackup(sqlite3* host, const Schema& schema, const std::string& path,
                                HostInterrupt& interrupt) {
  sqlite3_vfs* vfs = nullptr;
  sqlite3_file_control(host, schema.name.c_str(), SQLITE_FCNTL_VFS_POINTER, &vfs);
  auto db = OpenOwnConnection(path, kFlags, vfs ? vfs->zName : nullptr);
  if (!db.ok()) return db.error();
  OpenedBackup backup;
  backup.db = std::move(db.value());
  interrupt.Follow(backup.db.get());
  auto snapshot = HoldSnapshot(backup.db.get(), "main");
  if (!snapshot.ok()) return snapshot.error();
  backup.snapshot = std::move(snapshot.value());
  return backup;
}

// Page size and encoding must be the same: a commit to a log cannot change the page size, and other
// connections would not notice another encoding. That holds for an empty database, too: connections
// with TEMP tables could not read it any more.
Status CheckFits(sqlite3* backup, sqlite3* database) {
  for (const char* what : {"page_size", "encoding"}) {
    const std::string pragma = std::string("PRAGMA ") + what;
    const auto has = Answer(backup, pragma), wanted = Answer(database, pragma);
    if (!has.ok()) return has.error();
    if (!wanted.ok()) return wanted.error();
    if (has.value() != wanted.value()) {
      return Error{std::string("its ") + what + " is " + has.value() + ", the database's is " +
                   wanted.value() + ": a database that others may have open cannot change it; " +
                   "a new one has it by " + pragma + "='" + has.value() +
                   "' and a first table, before WAL mode"};
    }
  }
  return Ok{};
}

// The log needs space for the whole backup, and the database for its growth, before any space of
// the log is free again. A commit that finds the disk full leaves a log that has taken all free
// space.
Status CheckRoom(sqlite3* backup, sqlite3* database, const Database& of, std::int64_t page_size) {
  const auto has = Answer(backup, "PRAGMA page_count");
  if (!has.ok()) return has.error();
  const WalIndex index = ReadWalIndex(OwnWalFile(database)).value_or(WalIndex{});
  const FileSystemFacts disk = FileSystemOf(of.path() + "-wal");
  if (!disk.free_bytes || disk.bytes.value_or(0) <= 0) return Ok{};  // it does not say
  const std::int64_t pages = std::stoll(has.value()), frame = page_size + kFrameHeaderBytes;
  const std::int64_t log = kLogHeaderBytes + pages * frame;
  const std::int64_t growth =
      std::max<std::int64_t>(0, pages * page_size - of.DatabaseBytes().value_or(0));
  // A log that was not moved as a whole cannot start over.
  const std::int64_t used = index.complete() ? 0 : kLogHeaderBytes + index.max_frame * frame;
  const std::int64_t reused = std::max<std::int64_t>(0, of.MeasureWal().value_or(0) - used);
  if (log + growth <= *disk.free_bytes + reused) return Ok{};
  return Error{"needs " + std::to_string(log) + " bytes in the log and " + std::to_string(growth) +
               " more in the database; " + std::to_string(*disk.free_bytes) +
               " are free on the file system, and the -wal file has " + std::to_string(reused) +
               " to use again"};
}

// An own connection to the database that is overwritten.
Result<OwnedDb> OpenDestination(Connection& connection, const Schema& schema) {
  // Before the host's first read it has no wal-index to compare with.
  (void)connection.Query("PRAGMA " + Connection::Quoted(schema.name) + ".schema_version");
  const OwnPermission permission =
      MayOpenOwn(connection.db(), schema.name.c_str(), connection.LogOf(schema));
  const auto impossible = [&](const std::string& why) {
    return Error{"schema '" + schema.name + "' cannot be restored: " + why};
  };
  if (!permission.vfs) return impossible(permission.because);
  auto opened = OpenOwnConnection(schema.database->path(), kFlags, permission.vfs);
  if (!opened.ok()) return impossible(opened.error().message);
  sqlite3* db = opened.value().get();
  OwnFileOf(db)->io->CountIn(schema.database->control());
  sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_wal_hook(db, nullptr, nullptr);
  sqlite3_busy_timeout(db, static_cast<int>(connection.busy_timeout_ms()));
  for (const char* pragma : {"PRAGMA schema_version", "PRAGMA synchronous=FULL"}) {
    if (auto done = QueryText(db, pragma); !done.ok()) return impossible(done.error().message);
  }
  if (MapWalIndex(OwnWalFile(db)) != permission.index) {
    return impossible("the file at its path is another one");
  }
  return opened;
}

Result<std::int64_t> CopyInto(sqlite3* database, sqlite3* backup, const Database& shown_at,
                              HostInterrupt& interrupt) {
  ShownCopy shown(shown_at, "walmanager restore");
  shown.Transaction(TransactionState::kWrite);
  OwnFile* own = OwnFileOf(database);
  own->may_write_lock = true;
  auto pages = CopyPages(
      {.to = database, .from = backup, .schema = "main", .interrupt = &interrupt, .shown = &shown});
  own->may_write_lock = false;
  return pages;
}

}  // namespace

Result<CopyReport> Restore(Connection& connection, const Schema& schema, const std::string& path) {
  const std::uint64_t start = MonotonicNs();
  const NoSizeSignal no_signal;
  HostTurn turn;  // declared first, so that connections close within it
  if (!connection.in_autocommit() ||
      connection.transaction_state(schema.name.c_str()) != TransactionState::kNone) {
    return Error{"this connection is in a transaction: end it first", ErrorCode::kLocked};
  }
  if (!schema.is_wal()) {
    return Error{"schema '" + schema.name + "' is in journal_mode '" + schema.journal_mode +
                 "': only one in WAL mode can be restored while others have it open"};
  }
  auto absolute = AbsolutePath("backup_path", path);
  if (!absolute.ok()) return absolute.error();
  CopyReport report;
  report.path = absolute.value();
  if (Status status = CheckPath(report.path, schema.database->path()); !status.ok())
    return status.error();

  HostInterrupt interrupt(connection.db(), &turn);
  auto backup = OpenBackup(connection.db(), schema, report.path, interrupt);
  if (!backup.ok()) return About(report.path, backup.error());
  auto destination = OpenDestination(connection, schema);
  if (!destination.ok()) return destination.error();
  sqlite3* from = backup.value().db.get();
  sqlite3* to = destination.value().get();
  if (Status status = CheckFits(from, to); !status.ok()) return About(report.path, status.error());
  const auto page_size = Answer(from, "PRAGMA page_size");
  if (!page_size.ok()) return page_size.error();
  const std::int64_t page_bytes = std::stoll(page_size.value());
  if (Status status = CheckRoom(from, to, *schema.database, page_bytes); !status.ok()) {
    return About(report.path, status.error());
  }
  const std::uint64_t check_start = MonotonicNs();
  auto unverified = CheckBackup(from);
  if (!unverified.ok()) return About(report.path, unverified.error());
  const std::uint64_t check_ns = MonotonicNs() - check_start;

  schema.database->MakeControl();
  const auto pages = CopyInto(to, from, *schema.database, interrupt);
  if (!pages.ok()) return pages.error();
  report.pages = pages.value();
  report.bytes = report.pages * page_bytes;
  report.unverified_because = std::move(unverified.value());
  report.verified = report.unverified_because.empty();
  report.duration_ns = MonotonicNs() - start;
  // Results of checks are of the earlier content: forget them.
  IntegrityEvidence integrity;
  if (report.verified) integrity = {UnixMs(), false, 0, static_cast<std::int64_t>(check_ns), ""};
  KeepIntegrity(schema.database->control()->evidence(), integrity);
  return report;
}

}  // namespace walmanager
