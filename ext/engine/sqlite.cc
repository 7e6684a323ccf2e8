#include "ext/engine/sqlite.h"

#include <cerrno>
#include <cstring>
#include <map>

SQLITE_EXTENSION_INIT1

namespace walmanager {

std::string EngineMessage(sqlite3* db) {
  constexpr int kKnowsSystemErrors = 3012000;  // sqlite3_system_errno()
  const char* message = sqlite3_errmsg(db);
  if ((sqlite3_errcode(db) & 0xff) == SQLITE_IOERR &&
      sqlite3_libversion_number() >= kKnowsSystemErrors && sqlite3_api->system_errno &&
      sqlite3_system_errno(db) == EDQUOT) {
    return "database or disk is full: the disk quota is used up";
  }
  return message ? message : "";
}

Result<std::optional<std::string>> QueryText(sqlite3* db, const std::string& sql) {
  auto stmt = Prepare(db, kOwnSql + sql);
  if (!stmt.ok()) return stmt.error();
  std::optional<std::string> text;
  int rc = SQLITE_OK;
  while ((rc = sqlite3_step(stmt.value().get())) == SQLITE_ROW) {
    if (!text && sqlite3_column_type(stmt.value().get(), 0) != SQLITE_NULL) {
      text = ColumnText(stmt.value().get(), 0);
    }
  }
  if (rc != SQLITE_DONE) return EngineError(db);
  return text;
}

Result<std::vector<TextRow>> QueryRows(sqlite3* db, const std::string& sql,
                                       const std::string& parameter, std::size_t most) {
  auto stmt = Prepare(db, kOwnSql + sql);
  if (!stmt.ok()) return stmt.error();
  sqlite3_stmt* raw = stmt.value().get();
  sqlite3_bind_text(raw, 1, parameter.c_str(), static_cast<int>(parameter.size()),
                    SQLITE_TRANSIENT);
  std::vector<TextRow> rows;
  int rc = SQLITE_OK;
  while ((rc = sqlite3_step(raw)) == SQLITE_ROW) {
    TextRow row;
    for (int column = 0; column < sqlite3_column_count(raw); ++column) {
      const bool null = sqlite3_column_type(raw, column) == SQLITE_NULL;
      row.push_back(null ? std::nullopt : std::optional(ColumnText(raw, column)));
    }
    rows.push_back(std::move(row));
    if (rows.size() >= most) return rows;
  }
  if (rc != SQLITE_DONE) return EngineError(db);
  return rows;
}

void SetResult(sqlite3_context* context, const Value& value) {
  if (const auto* integer = value.integer()) {
    sqlite3_result_int64(context, *integer);
  } else if (const auto* real = value.real()) {
    sqlite3_result_double(context, *real);
  } else if (const auto* text = value.text()) {
    // Pass -1 as the length: SQLite then knows that the text is NUL-terminated and does not copy it
    // again in sqlite3_column_text().
    const int size = static_cast<int>(text->size());
    const bool whole = std::strlen(text->c_str()) == text->size();
    sqlite3_result_text(context, text->c_str(), whole ? -1 : size, SQLITE_TRANSIENT);
  } else {
    sqlite3_result_null(context);
  }
}

Value FromSqlite(sqlite3_value* value) {
  const auto bytes = [&](const void* data) {
    return std::string(static_cast<const char*>(data),
                       static_cast<std::size_t>(sqlite3_value_bytes(value)));
  };
  switch (sqlite3_value_type(value)) {
    case SQLITE_INTEGER:
      return std::int64_t{sqlite3_value_int64(value)};
    case SQLITE_FLOAT:
      return sqlite3_value_double(value);
    case SQLITE_TEXT:
      return bytes(sqlite3_value_text(value));
    case SQLITE_BLOB:
      return Value::Blob(sqlite3_value_bytes(value) > 0 ? bytes(sqlite3_value_blob(value)) : "");
    default:
      return {};
  }
}

std::string QuoteName(const std::string& name) {
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

Result<std::string> QueryPlan(sqlite3* db, const std::string& sql, PlanOf of) {
  // SQLITE_PREPARE_DONT_LOG: an error is not for the program's error log. SQLite masks the bits
  // that it does not know.
  constexpr unsigned kDontLog = 0x10;
  int has_triggers = 1;
  if (of == PlanOf::kOwn) {
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRIGGER_EQP, -1, &has_triggers);
    if (has_triggers == 0) (void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRIGGER_EQP, 1, nullptr);
  }
  auto stmt = Prepare(db, std::string(kOwnSql) + "EXPLAIN QUERY PLAN " + sql, kDontLog);
  if (!stmt.ok()) return stmt.error();
  std::map<std::string, int> levels;  // by the row's id
  std::string plan;
  int rc = SQLITE_OK;
  while ((rc = sqlite3_step(stmt.value().get())) == SQLITE_ROW) {
    if (sqlite3_column_type(stmt.value().get(), 3) == SQLITE_NULL) continue;  // a foreign key's
    const auto parent = levels.find(ColumnText(stmt.value().get(), 1));
    const int level = parent == levels.end() ? 0 : parent->second + 1;
    levels[ColumnText(stmt.value().get(), 0)] = level;
    if (!plan.empty()) plan += '\n';
    plan +=
        std::string(2 * static_cast<std::size_t>(level), ' ') + ColumnText(stmt.value().get(), 3);
  }
  if (rc != SQLITE_DONE) return EngineError(db);  // do not return half a plan
  return plan;
}

std::uint32_t DatabaseStatus(sqlite3* db, int what) {
  int now = 0, high = 0;
  sqlite3_db_status(db, what, &now, &high, 0);
  return static_cast<std::uint32_t>(now);
}

bool CacheIsShared(sqlite3* db) {
  // SQLite divides the memory of a shared cache by its connections.
  return DatabaseStatus(db, SQLITE_DBSTATUS_CACHE_USED) !=
         DatabaseStatus(db, SQLITE_DBSTATUS_CACHE_USED_SHARED);
}

}  // namespace walmanager
