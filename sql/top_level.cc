#include "sql/top_level.h"

#include "ext/core/text/sql_names.h"
#include "ext/engine/sqlite.h"

namespace walmanager {
namespace {

// Whether it is inside sqlite3_step(): it has begun and holds no row. A statement that has returned
// a row is busy, too, but runs nothing now.
bool IsStepping(sqlite3_stmt* stmt) {
  return sqlite3_stmt_busy(stmt) != 0 && sqlite3_data_count(stmt) == 0;
}

bool SteppingStatementCalls(sqlite3* db, const std::string& function) {
  for (sqlite3_stmt* stmt = sqlite3_next_stmt(db, nullptr); stmt;
       stmt = sqlite3_next_stmt(db, stmt)) {
    const char* sql = IsStepping(stmt) ? sqlite3_sql(stmt) : nullptr;
    if (sql && Calls(sql, function)) return true;
  }
  return false;
}

}  // namespace

bool IsCalledAtTopLevel(Connection& connection, const std::string& function) {
  if (SteppingStatementCalls(connection.db(), function)) return true;
  const auto temporary = connection.Rows(
      "SELECT sql FROM sqlite_temp_master WHERE type IN ('trigger', 'view') AND instr(lower(sql), "
      "?1)",
      function);
  if (!temporary.ok()) return false;
  for (const auto& row : temporary.value()) {
    if (row[0] && Calls(*row[0], function)) return true;
  }
  return false;
}

}  // namespace walmanager
