// SQLite as this project uses it: the only file that includes its header. Owned handles, result
// codes to Status, and the guard around every callback from C.
//
// Every call goes through the API table of the host that loaded the extension, and none is newer
// than SQLite 3.34.
#pragma once

#include <sqlite3ext.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ext/core/base/result.h"
#include "ext/core/base/value.h"

SQLITE_EXTENSION_INIT3

namespace walmanager {

struct DbCloser {
  void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
};
struct StmtFinalizer {
  void operator()(sqlite3_stmt* stmt) const { sqlite3_finalize(stmt); }
};
using OwnedDb = std::unique_ptr<sqlite3, DbCloser>;
struct BlobCloser {
  void operator()(sqlite3_blob* blob) const { sqlite3_blob_close(blob); }
};
using OwnedBlob = std::unique_ptr<sqlite3_blob, BlobCloser>;
using OwnedStmt = std::unique_ptr<sqlite3_stmt, StmtFinalizer>;

// The extension's own statements on the host's connection begin with this, so that its trace
// callback knows them.
inline constexpr char kOwnSql[] = "/*walmanager*/ ";

// The engine's message for the last error on `db`. Where a disk quota is used up it says that the
// disk is full, which SQLite calls an I/O error.
std::string EngineMessage(sqlite3* db);
inline Error EngineError(sqlite3* db) {
  const int rc = sqlite3_errcode(db) & 0xff;
  // Where the file cannot be opened: the system's error, which tells whether rights are missing.
  const int system = rc == SQLITE_CANTOPEN ? sqlite3_system_errno(db) : 0;
  const bool not_permitted = system == EACCES || system == EPERM || system == EROFS;
  const ErrorCode code = not_permitted                                ? ErrorCode::kNotPermitted
                         : rc == SQLITE_BUSY || rc == SQLITE_PROTOCOL ? ErrorCode::kBusy
                         : rc == SQLITE_LOCKED                        ? ErrorCode::kLocked
                         : rc == SQLITE_NOMEM                         ? ErrorCode::kNoMemory
                         : rc == SQLITE_INTERRUPT                     ? ErrorCode::kInterrupt
                         : rc == SQLITE_IOERR                         ? ErrorCode::kInputOutput
                         : rc == SQLITE_CORRUPT                       ? ErrorCode::kCorrupt
                         : rc == SQLITE_NOTADB                        ? ErrorCode::kNotADatabase
                                                                      : ErrorCode::kError;
  return Error{EngineMessage(db), code};
}

// A statement ready to step. The error is the engine's message alone. `flags`: SQLITE_PREPARE_*.
inline Result<OwnedStmt> Prepare(sqlite3* db, const std::string& sql, unsigned flags = 0) {
  sqlite3_stmt* stmt = nullptr;
  if (sqlite3_prepare_v3(db, sql.c_str(), static_cast<int>(sql.size()), flags, &stmt, nullptr) !=
      SQLITE_OK) {
    return EngineError(db);
  }
  return OwnedStmt(stmt);
}

inline std::string ColumnText(sqlite3_stmt* stmt, int column) {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(stmt, column));
  return text ? std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(stmt, column)))
              : "";
}

// The first column of the first row, nullopt where there is no row. The statement is stepped to its
// end and gone before this returns.
Result<std::optional<std::string>> QueryText(sqlite3* db, const std::string& sql);

// Rows of text, NULL as nullopt, of a statement with one text parameter; the first `most`.
using TextRow = std::vector<std::optional<std::string>>;
Result<std::vector<TextRow>> QueryRows(sqlite3* db, const std::string& sql,
                                       const std::string& parameter, std::size_t most = SIZE_MAX);

// What EXPLAIN QUERY PLAN says of `sql`, a line each, indented by two blanks per level; all of it,
// or an error. On an own connection with the steps of triggers. On the host's without: the option
// for them makes SQLite compile all statements of the connection anew, and those that run may fail.
enum class PlanOf { kOwn, kHost };
Result<std::string> QueryPlan(sqlite3* db, const std::string& sql, PlanOf of = PlanOf::kOwn);

// A value of sqlite3_db_status; it is not reset.
std::uint32_t DatabaseStatus(sqlite3* db, int what);
// Whether another connection has a page cache in common with this one (shared-cache mode).
bool CacheIsShared(sqlite3* db);

// Returns a value to SQLite as the result of a function or the content of a column; the other way
// round, takes a value from SQLite.
void SetResult(sqlite3_context* context, const Value& value);
Value FromSqlite(sqlite3_value* value);

// "main" with quotes, fit for SQL.
std::string QuoteName(const std::string& name);

// Runs `body`, which returns a result code, and lets no exception out to C.
template <typename Body>
int AtCEdge(Body&& body) noexcept {
  try {
    return std::forward<Body>(body)();
  } catch (const std::bad_alloc&) {
    return SQLITE_NOMEM;
  } catch (...) {
    return SQLITE_INTERNAL;
  }
}

}  // namespace walmanager
