#include "ext/engine/private_database.h"

#include <algorithm>
#include <cstring>

#include "ext/engine/own_connection.h"

namespace walmanager {
namespace {

void NoValue(sqlite3_context* context, int, sqlite3_value**) { sqlite3_result_null(context); }
void NoFinalValue(sqlite3_context* context) { sqlite3_result_null(context); }

// Nothing is ever compared: there are no rows.
int CompareBytes(void*, int size_a, const void* a, int size_b, const void* b) {
  const int order = std::memcmp(a, b, static_cast<std::size_t>(std::min(size_a, size_b)));
  return order != 0 ? order : size_a - size_b;
}

void AnyCollation(void*, sqlite3* db, int, const char* name) {
  sqlite3_create_collation_v2(db, name, SQLITE_UTF8, nullptr, CompareBytes, nullptr);
}

void Declare(sqlite3* db, const HostFunction& function) {
  const char* name = function.name.c_str();
  const int flags = SQLITE_UTF8 | (function.deterministic ? SQLITE_DETERMINISTIC : 0);
  switch (function.kind) {
    case HostFunction::Kind::kScalar:
      sqlite3_create_function_v2(db, name, function.arguments, flags, nullptr, NoValue, nullptr,
                                 nullptr, nullptr);
      return;
    case HostFunction::Kind::kAggregate:
      sqlite3_create_function_v2(db, name, function.arguments, flags, nullptr, nullptr, NoValue,
                                 NoFinalValue, nullptr);
      return;
    case HostFunction::Kind::kWindow:
      sqlite3_create_window_function(db, name, function.arguments, flags, nullptr, NoValue,
                                     NoFinalValue, NoFinalValue, NoValue, nullptr);
      return;
  }
}

// Extensions that are linked in bring real functions, which are better than placeholders.
std::set<std::string> NamesOfExtensions(sqlite3* db) {
  std::set<std::string> names;
  auto stmt = Prepare(db, "PRAGMA function_list");
  if (!stmt.ok()) return names;
  while (sqlite3_step(stmt.value().get()) == SQLITE_ROW) {
    constexpr int kName = 0, kBuiltin = 1;
    if (sqlite3_column_int(stmt.value().get(), kBuiltin) == 0)
      names.insert(ColumnText(stmt.value().get(), kName));
  }
  return names;
}

int AllowCreation(void*, int action, const char* first, const char*, const char*, const char*) {
  switch (action) {
    case SQLITE_CREATE_TABLE:
    case SQLITE_CREATE_INDEX:
    case SQLITE_CREATE_VIEW:
    case SQLITE_FUNCTION:
    case SQLITE_READ:
    case SQLITE_REINDEX:
      return SQLITE_OK;
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
      return first && sqlite3_strnicmp(first, "sqlite_", 7) == 0 ? SQLITE_OK : SQLITE_DENY;
    default:
      return SQLITE_DENY;
  }
}

int AllowPlanning(void* tables, int action, const char* first, const char*, const char*,
                  const char*) {
  return AtCEdge([&] {
    auto* named = static_cast<TablesNamed*>(tables);
    switch (action) {
      case SQLITE_UPDATE:
      case SQLITE_DELETE:
        if (named && first) named->changed.insert(first);
        [[fallthrough]];
      case SQLITE_INSERT:
      case SQLITE_READ:
        if (named && first) named->all.insert(first);
        [[fallthrough]];
      case SQLITE_FUNCTION:
      case SQLITE_RECURSIVE:
      case SQLITE_SELECT:
        return SQLITE_OK;
      default:
        return SQLITE_DENY;
    }
  });
}

}  // namespace

Result<OwnedDb> OpenPrivateDatabase(const std::vector<HostFunction>& functions) {
  auto db = OpenInMemory();
  if (!db.ok()) return db;
  sqlite3* raw = db.value().get();
  // A schema may have been made under older settings.
  sqlite3_db_config(raw, SQLITE_DBCONFIG_DQS_DDL, 1, nullptr);
  sqlite3_db_config(raw, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 1, nullptr);
  sqlite3_collation_needed(raw, nullptr, AnyCollation);
  const std::set<std::string> known = NamesOfExtensions(raw);
  for (const HostFunction& function : functions) {
    if (!known.contains(function.name)) Declare(raw, function);
  }
  return db;
}

OnlyAllow::OnlyAllow(sqlite3* db) : db_(db) { sqlite3_set_authorizer(db, AllowCreation, nullptr); }

OnlyAllow::OnlyAllow(sqlite3* db, TablesNamed* named) : db_(db) {
  sqlite3_set_authorizer(db, AllowPlanning, named);
}

OnlyAllow::~OnlyAllow() { sqlite3_set_authorizer(db_, nullptr, nullptr); }

}  // namespace walmanager
