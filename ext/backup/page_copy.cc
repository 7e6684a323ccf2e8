#include "ext/backup/page_copy.h"

#include <algorithm>

#include "ext/core/control/shared_words.h"
#include "ext/system/clock.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

struct BackupFinisher {
  void operator()(sqlite3_backup* backup) const { sqlite3_backup_finish(backup); }
};

}  // namespace

ShownCopy::ShownCopy(const Database& database, const char* application)
    : control_(database.control()), slab_(control_->ClaimSlab()) {
  if (!info()) return;
  DescribeConnection(*info(), {.id = Registry::Get().NewConnectionId(),
                               .main = true,
                               .role = ConnectionRole::kBackup,
                               .opened_ms = UnixMs(),
                               .sqlite_version = sqlite3_libversion_number(),
                               .application = application,
                               .process = ThisProcess().name,
                               .file = database.path()});
}

ShownCopy::~ShownCopy() { control_->ReleaseSlab(slab_); }

layout::ConnectionInfo* ShownCopy::info() {
  return slab_ < layout::kConnections ? &control_->region().slab(slab_).info : nullptr;
}

void ShownCopy::Transaction(TransactionState state) {
  if (!info()) return;
  Put(info()->transaction_ns, state == TransactionState::kNone ? 0 : MonotonicNs());
  Put(info()->transaction, static_cast<std::uint64_t>(state));
}

void ShownCopy::Progress(std::int64_t done, std::int64_t total) {
  if (!info()) return;
  Put(info()->pages_done, static_cast<std::uint64_t>(done));
  Put(info()->pages_total, static_cast<std::uint64_t>(total));
}

Result<std::int64_t> CopyPages(const PageCopy& copy) {
  std::unique_ptr<sqlite3_backup, BackupFinisher> backup(
      sqlite3_backup_init(copy.to, "main", copy.from, copy.schema));
  if (!backup) return EngineError(copy.to);
  std::int64_t pages = 0;
  for (;;) {
    if (copy.interrupt->Asked()) return Interrupted();
    const int rc = sqlite3_backup_step(backup.get(), copy.pages_per_step);
    pages = sqlite3_backup_pagecount(backup.get());
    if (copy.shown) copy.shown->Progress(pages - sqlite3_backup_remaining(backup.get()), pages);
    if (rc == SQLITE_DONE) break;
    if (rc != SQLITE_OK) {
      // Only sqlite3_backup_finish() returns an error of the copy, and BUSY and LOCKED not even
      // that.
      if (sqlite3_backup_finish(backup.release()) != SQLITE_OK) return EngineError(copy.to);
      return Error{sqlite3_errstr(rc), static_cast<ErrorCode>(rc & 0xff)};
    }
    if (copy.watch) {
      if (Status status = copy.watch(); !status.ok()) return status.error();
    }
    if (!copy.interrupt->Pause(copy.pause_ms)) return Interrupted();
  }
  if (sqlite3_backup_finish(backup.release()) != SQLITE_OK) return EngineError(copy.to);
  // Of a database without any page SQLite makes an empty one, whose header is a page.
  return std::max<std::int64_t>(pages, 1);
}

Result<std::string> Answer(sqlite3* db, const std::string& sql) {
  auto answer = QueryText(db, sql);
  if (!answer.ok()) return answer.error();
  if (!answer.value()) return Error{sql + " says nothing"};
  return *answer.value();
}

std::string QuickCheck(const std::string& table) {
  return "PRAGMA quick_check(" + (table.empty() ? "1" : QuoteName(table)) + ")";
}

Result<std::string> FirstFinding(sqlite3* db, const std::string& table) {
  auto found = Answer(db, QuickCheck(table));
  if (!found.ok()) {
    const ErrorCode code = found.error().code;
    if (code == ErrorCode::kCorrupt || code == ErrorCode::kNotADatabase) {
      return found.error().message;
    }
    return found.error();
  }
  return found.value() == "ok" ? std::string() : found.value();
}

Result<OwnedStmt> HoldSnapshot(sqlite3* db, const std::string& schema) {
  auto read = Prepare(db, std::string(kOwnSql) + "PRAGMA " + schema + ".schema_version");
  if (!read.ok()) return read.error();
  if (sqlite3_step(read.value().get()) != SQLITE_ROW) return EngineError(db);
  return std::move(read.value());
}

}  // namespace walmanager
