// The sqlite3_module callbacks, once for all tables (https://www.sqlite.org/vtab.html). The tables
// are eponymous and read-only: there is no xCreate and no xUpdate.
#include "vtab/module/module.h"

#include <array>
#include <cstring>

#include "ext/connection/connection.h"
#include "ext/engine/sqlite.h"
#include "ext/system/host_turn.h"
#include "vtab/module/query_room.h"
#include "vtab/module/streamed_table.h"
#include "vtab/module/table.h"

namespace walmanager {
namespace {

struct ModuleContext {
  const Table* table;
  QueryRoom* room;
  // The program's connection and its room. Both are nullptr on the room's own connection.
  Connection* host;
  std::shared_ptr<QueryRoom> owned;
};

struct VirtualTable : sqlite3_vtab {
  const ModuleContext* context;
  const StreamedTable* streamed;  // nullptr: the table is read whole
  std::size_t columns;            // of a streamed table without its arguments
  std::size_t arguments;
};

struct Cursor : sqlite3_vtab_cursor {
  std::shared_ptr<const Rows> rows;
  std::size_t row;  // from 0
  // Of a streamed table: the scan that has not ended, and its arguments.
  std::unique_ptr<RowStream> stream;
  std::vector<Value> arguments;
};

// xBestIndex tells xFilter by bit i of idxNum that argument i is given.
constexpr std::size_t kMostArguments = 16;

int Fail(VirtualTable* table, const Error& error) {
  sqlite3_free(table->zErrMsg);
  table->zErrMsg = sqlite3_mprintf("%s: %s", table->context->table->name(), error.message.c_str());
  return static_cast<int>(error.code);
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

// Gives SQLite's message: its own for a failed xConnect ("vtable constructor failed") says neither
// what failed nor that the program interrupted it.
int DeclareTable(sqlite3* db, const std::string& sql, char** message) {
  const int rc = sqlite3_declare_vtab(db, sql.c_str());
  if (rc == SQLITE_OK) return rc;
  const char* said = sqlite3_errmsg(db);
  *message = sqlite3_mprintf("%s", said);
  return std::strcmp(said, sqlite3_errstr(SQLITE_INTERRUPT)) == 0 ? SQLITE_INTERRUPT : rc;
}

int Connect(sqlite3* db, void* aux, int, const char* const*, sqlite3_vtab** out, char** message) {
  return AtCEdge([&] {
    const auto* context = static_cast<ModuleContext*>(aux);
    const int rc = DeclareTable(db, CreateTable(*context->table), message);
    if (rc != SQLITE_OK) return rc;
    if (context->table->reveals_others()) sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
    auto table = std::make_unique<VirtualTable>();
    table->context = context;
    table->streamed = context->table->streamed();
    for (const ColumnInfo& column : context->table->columns()) {
      ++(table->streamed && column.shown == kHidden ? table->arguments : table->columns);
    }
    *out = table.release();
    return SQLITE_OK;
  });
}

int Disconnect(sqlite3_vtab* table) {
  delete static_cast<VirtualTable*>(table);
  return SQLITE_OK;
}

// The arguments are constraints on the hidden columns, handed to xFilter in their order.
int TakeArguments(VirtualTable* table, sqlite3_index_info* info) {
  std::array<int, kMostArguments> at;
  at.fill(-1);
  for (int i = 0; i < info->nConstraint; ++i) {
    const auto& constraint = info->aConstraint[i];
    const auto first = static_cast<int>(table->columns);
    if (constraint.op != SQLITE_INDEX_CONSTRAINT_EQ || constraint.iColumn < first) continue;
    // The argument may be known with another order of the tables in the join.
    if (!constraint.usable) return SQLITE_CONSTRAINT;
    int& found = at[static_cast<std::size_t>(constraint.iColumn - first)];
    if (found < 0) found = i;
  }
  int given = 0;
  for (std::size_t i = 0; i < table->arguments; ++i) {
    if (at[i] < 0 && i < table->streamed->required()) {
      const std::string name = table->context->table->columns()[table->columns + i].name;
      return Fail(table, Error{"the argument '" + name + "' is missing"});
    }
    if (at[i] < 0) continue;
    info->idxNum |= 1 << i;
    auto& usage = info->aConstraintUsage[at[i]];
    usage.argvIndex = ++given;
    usage.omit = 1;
  }
  return SQLITE_OK;
}

int BestIndex(sqlite3_vtab* base, sqlite3_index_info* info) {
  return AtCEdge([&] {
    auto* table = static_cast<VirtualTable*>(base);
    info->estimatedCost = 1000;
    info->estimatedRows = 100;
    return table->streamed ? TakeArguments(table, info) : SQLITE_OK;
  });
}

int Open(sqlite3_vtab*, sqlite3_vtab_cursor** out) {
  return AtCEdge([&] {
    *out = new Cursor{};
    return SQLITE_OK;
  });
}

// Whether the connection was opened before a fork, in the parent process, which owns its resources.
bool IsForeign(const ModuleContext& context) { return !context.room->source().belongs_here(); }
const Error& ForeignError() {
  // Never destroyed: a program may close its connections in static destructors at exit.
  static const auto& kError = *new Error{"this connection was opened before a fork, in the parent"};
  return kError;
}

int Close(sqlite3_vtab_cursor* base) {
  auto* cursor = static_cast<Cursor*>(base);
  if (IsForeign(*static_cast<VirtualTable*>(base->pVtab)->context)) (void)cursor->stream.release();
  delete cursor;
  return SQLITE_OK;
}

// Steps to the next row. A stream that has ended or failed is destroyed.
int Advance(VirtualTable* table, Cursor* cursor) {
  auto there = IsForeign(*table->context) ? Result<bool>(ForeignError()) : cursor->stream->Next();
  if (there.ok() && there.value()) return SQLITE_OK;
  if (there.ok()) {
    cursor->stream.reset();
    return SQLITE_OK;
  }
  const int rc = Fail(table, there.error());
  if (!IsForeign(*table->context)) cursor->stream.reset();
  return rc;
}

// xFilter of a streamed table.
int StartStream(sqlite3_vtab_cursor* base, int given, const char*, int, sqlite3_value** values) {
  return AtCEdge([&] {
    auto* cursor = static_cast<Cursor*>(base);
    auto* table = static_cast<VirtualTable*>(base->pVtab);
    if (IsForeign(*table->context)) return Fail(table, ForeignError());
    table->context->host->UsesExtension();
    cursor->stream.reset();
    cursor->arguments.assign(table->arguments, Value());
    for (std::size_t i = 0; i < table->arguments; ++i) {
      if ((given & 1 << i) != 0) cursor->arguments[i] = FromSqlite(*values++);
    }
    auto stream = table->streamed->Start(*table->context->host, cursor->arguments);
    if (!stream.ok()) return Fail(table, stream.error());
    cursor->stream = std::move(stream.value());
    cursor->row = 0;
    return Advance(table, cursor);
  });
}

// xFilter of a table that is read whole.
int ReadRows(sqlite3_vtab_cursor* base, int, const char*, int, sqlite3_value**) {
  return AtCEdge([&] {
    auto* cursor = static_cast<Cursor*>(base);
    auto* table = static_cast<VirtualTable*>(base->pVtab);
    const ModuleContext& context = *table->context;
    if (IsForeign(context)) return Fail(table, ForeignError());
    cursor->row = 0;
    if (!context.host) {
      auto rows = context.room->ReadOnce(*context.table);
      if (!rows.ok()) return Fail(table, rows.error());
      cursor->rows = std::move(rows.value());
      return SQLITE_OK;
    }
    const HostTurn turn;
    context.host->UsesExtension();
    auto rows = context.table->Read(*context.room);
    if (!rows.ok()) return Fail(table, rows.error());
    cursor->rows = std::move(rows.value());
    return SQLITE_OK;
  });
}

int Next(sqlite3_vtab_cursor* base) {
  return AtCEdge([&] {
    auto* cursor = static_cast<Cursor*>(base);
    ++cursor->row;
    return cursor->stream ? Advance(static_cast<VirtualTable*>(base->pVtab), cursor) : SQLITE_OK;
  });
}

int Eof(sqlite3_vtab_cursor* base) {
  const auto* cursor = static_cast<Cursor*>(base);
  if (cursor->stream) return 0;
  return !cursor->rows || cursor->row >= cursor->rows->size();
}

int ColumnAt(sqlite3_vtab_cursor* base, sqlite3_context* context, int number) {
  return AtCEdge([&] {
    const auto* cursor = static_cast<Cursor*>(base);
    const std::size_t first = static_cast<VirtualTable*>(base->pVtab)->columns;
    const auto column = static_cast<std::size_t>(number);
    if (!cursor->stream) {
      SetResult(context, cursor->rows->at(cursor->row, column));
    } else if (column >= first) {
      SetResult(context, cursor->arguments[column - first]);
    } else {
      SetResult(context, cursor->stream->at(column));
    }
    return SQLITE_OK;
  });
}

int RowId(sqlite3_vtab_cursor* cursor, sqlite3_int64* id) {
  *id = static_cast<sqlite3_int64>(static_cast<Cursor*>(cursor)->row) + 1;
  return SQLITE_OK;
}

// Constants: where memory ran out in a first dlopen(), a second one does not run what initializes
// variables at run time.
constexpr sqlite3_module MakeModule(decltype(sqlite3_module::xFilter) filter) {
  sqlite3_module module{};
  module.xConnect = Connect;
  module.xBestIndex = BestIndex;
  module.xDisconnect = Disconnect;
  module.xOpen = Open;
  module.xClose = Close;
  module.xFilter = filter;
  module.xNext = Next;
  module.xEof = Eof;
  module.xColumn = ColumnAt;
  module.xRowid = RowId;
  return module;
}
constexpr sqlite3_module kReadWhole = MakeModule(ReadRows);
constexpr sqlite3_module kStreamed = MakeModule(StartStream);

Status Register(sqlite3* db, QueryRoom& room, Connection* host,
                const std::shared_ptr<QueryRoom>& owned) {
  for (const Table* table : AllTables()) {
    // A room has no tables with arguments: they would act on the program's connection.
    if (table->streamed() && !host) continue;
    auto* context = new ModuleContext{table, &room, host, owned};
    // SQLite owns the context from here on, even if the call fails.
    const int rc = sqlite3_create_module_v2(
        db, table->name(), table->streamed() ? &kStreamed : &kReadWhole, context,
        [](void* aux) { delete static_cast<ModuleContext*>(aux); });
    if (rc != SQLITE_OK)
      return Error{std::string("table ") + table->name() + ": " + sqlite3_errmsg(db)};
  }
  return Ok{};
}

}  // namespace

Status RegisterTables(Connection* connection) {
  const auto room = std::make_shared<QueryRoom>(*connection);
  return Register(connection->db(), *room, connection, room);
}

Status RegisterTables(sqlite3* db, QueryRoom& room) { return Register(db, room, nullptr, nullptr); }

}  // namespace walmanager
