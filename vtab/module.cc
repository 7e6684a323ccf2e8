// The sqlite3_module callbacks, once for all tables (https://www.sqlite.org/vtab.html). The tables
// are eponymous and read-only: there is no xCreate and no xUpdate.
#include "vtab/module.h"

#include "ext/connection.h"
#include "ext/sqlite.h"
#include "vtab/query_room.h"
#include "vtab/table.h"

namespace walmanager {
namespace {

struct ModuleContext {
  const Table* table;
  QueryRoom* room;
  // On the host's connection, which has the room; nullptr on the room's own.
  std::shared_ptr<QueryRoom> owned;
};

struct VirtualTable : sqlite3_vtab {
  const ModuleContext* context;
};

struct Cursor : sqlite3_vtab_cursor {
  std::shared_ptr<const Rows> rows;
  std::size_t row;
};

const char* TypeName(ColumnType type) {
  switch (type) {
    case ColumnType::kText:
      return "TEXT";
    case ColumnType::kInteger:
      return "INTEGER";
    case ColumnType::kReal:
      return "REAL";
  }
  return "";
}

std::string CreateTable(const Table& table) {
  std::string sql = "CREATE TABLE x(";
  const char* comma = "";
  for (const ColumnInfo& column : table.columns()) {
    ((((sql += comma) += '"') += column.name) += "\" ") += TypeName(column.type);
    if (column.shown == kHidden) sql += " HIDDEN";
    comma = ", ";
  }
  return sql + ")";
}

int Connect(sqlite3* db, void* aux, int, const char* const*, sqlite3_vtab** out, char**) {
  return AtCEdge([&] {
    const auto* context = static_cast<ModuleContext*>(aux);
    const int rc = sqlite3_declare_vtab(db, CreateTable(*context->table).c_str());
    if (rc != SQLITE_OK) return rc;
    if (context->table->reveals_others()) sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
    auto* table = new VirtualTable{};
    table->context = context;
    *out = table;
    return SQLITE_OK;
  });
}

int Disconnect(sqlite3_vtab* table) {
  delete static_cast<VirtualTable*>(table);
  return SQLITE_OK;
}

int BestIndex(sqlite3_vtab*, sqlite3_index_info* info) {
  info->estimatedCost = 1000;
  info->estimatedRows = 100;
  return SQLITE_OK;
}

int Open(sqlite3_vtab*, sqlite3_vtab_cursor** out) {
  return AtCEdge([&] {
    *out = new Cursor{};
    return SQLITE_OK;
  });
}

int Close(sqlite3_vtab_cursor* cursor) {
  delete static_cast<Cursor*>(cursor);
  return SQLITE_OK;
}

Result<std::shared_ptr<const Rows>> ReadRows(const ModuleContext& context) {
  if (!context.room->connection().belongs_here()) {
    return Error{"this connection was opened before a fork, in the parent"};
  }
  if (!context.owned) return context.room->ReadOnce(*context.table);
  auto rows = context.table->Read(*context.room);
  if (!rows.ok()) return rows.error();
  return std::shared_ptr<const Rows>(std::move(rows.value()));
}

int Filter(sqlite3_vtab_cursor* base, int, const char*, int, sqlite3_value**) {
  return AtCEdge([&] {
    auto* cursor = static_cast<Cursor*>(base);
    auto* table = static_cast<VirtualTable*>(base->pVtab);
    auto rows = ReadRows(*table->context);
    if (!rows.ok()) {
      sqlite3_free(table->zErrMsg);
      table->zErrMsg =
          sqlite3_mprintf("%s: %s", table->context->table->name(), rows.error().message.c_str());
      return static_cast<int>(rows.error().code);
    }
    cursor->rows = std::move(rows.value());
    cursor->row = 0;
    return SQLITE_OK;
  });
}

int Next(sqlite3_vtab_cursor* cursor) {
  ++static_cast<Cursor*>(cursor)->row;
  return SQLITE_OK;
}

int Eof(sqlite3_vtab_cursor* base) {
  const auto* cursor = static_cast<Cursor*>(base);
  return !cursor->rows || cursor->row >= cursor->rows->size();
}

int ColumnAt(sqlite3_vtab_cursor* base, sqlite3_context* context, int column) {
  return AtCEdge([&] {
    const auto* cursor = static_cast<Cursor*>(base);
    SetResult(context, cursor->rows->at(cursor->row, static_cast<std::size_t>(column)));
    return SQLITE_OK;
  });
}

int RowId(sqlite3_vtab_cursor* cursor, sqlite3_int64* id) {
  *id = static_cast<sqlite3_int64>(static_cast<Cursor*>(cursor)->row) + 1;
  return SQLITE_OK;
}

const sqlite3_module kModule = [] {
  sqlite3_module module{};
  module.xConnect = Connect;
  module.xBestIndex = BestIndex;
  module.xDisconnect = Disconnect;
  module.xOpen = Open;
  module.xClose = Close;
  module.xFilter = Filter;
  module.xNext = Next;
  module.xEof = Eof;
  module.xColumn = ColumnAt;
  module.xRowid = RowId;
  return module;
}();

Status Register(sqlite3* db, QueryRoom& room, const std::shared_ptr<QueryRoom>& owned) {
  for (const Table* table : AllTables()) {
    auto* context = new ModuleContext{table, &room, owned};
    // SQLite owns the context from here on, also where the call fails.
    const int rc = sqlite3_create_module_v2(db, table->name(), &kModule, context, [](void* aux) {
      delete static_cast<ModuleContext*>(aux);
    });
    if (rc != SQLITE_OK)
      return Error{std::string("table ") + table->name() + ": " + sqlite3_errmsg(db)};
  }
  return Ok{};
}

}  // namespace

Status RegisterTables(Connection* connection) {
  const auto room = std::make_shared<QueryRoom>(*connection);
  return Register(connection->db(), *room, room);
}

Status RegisterTables(sqlite3* db, QueryRoom& room) { return Register(db, room, nullptr); }

}  // namespace walmanager
