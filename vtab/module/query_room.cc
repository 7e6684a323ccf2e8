#include "vtab/module/query_room.h"

#include "ext/connection/table_source.h"
#include "ext/engine/own_connection.h"
#include "ext/engine/sqlite.h"
#include "vtab/module/module.h"

namespace walmanager {

namespace {

struct NoRows final : Rows {
  std::size_t size() const override { return 0; }
  Value at(std::size_t, std::size_t) const override { return {}; }
};

}  // namespace

TableSource& SourceOf(QueryRoom& room) { return room.source(); }

QueryRoom::~QueryRoom() {
  for (const auto& [sql, stmt] : prepared_) sqlite3_finalize(stmt);
  if (db_) sqlite3_close_v2(db_);
}

Status QueryRoom::Open() {
  if (db_) return Ok{};
  auto opened = OpenInMemory();
  if (!opened.ok()) return opened.error();
  sqlite3* db = opened.value().get();
  if (Status status = RegisterTables(db, *this); !status.ok()) return status;
  // SQLite would write to the program's error log for each automatic index.
  if (auto off = QueryText(db, "PRAGMA automatic_index=OFF"); !off.ok()) return off.error();
  db_ = opened.value().release();
  return Ok{};
}

Result<QueryRoom::Table2D> QueryRoom::Run(const std::string& sql, std::size_t columns) {
  if (Status status = Open(); !status.ok()) return status.error();
  struct Depth {
    explicit Depth(QueryRoom& the_room) : room(the_room) { ++room.depth_; }
    ~Depth() {
      if (--room.depth_ == 0) room.read_.clear();
    }
    QueryRoom& room;
  } depth(*this);
  // Statements are kept prepared: compiling the largest takes a third of its running time.
  auto idle = prepared_.extract(sql);
  auto stmt = idle.empty() ? Prepare(db_, sql) : OwnedStmt(idle.mapped());
  if (!stmt.ok()) return stmt.error();
  sqlite3_stmt* raw = stmt.value().get();
  if (static_cast<std::size_t>(sqlite3_column_count(raw)) != columns) {
    return Error{std::to_string(sqlite3_column_count(raw)) + " columns instead of " +
                 std::to_string(columns)};
  }
  Table2D rows;
  int rc = SQLITE_OK;
  while ((rc = sqlite3_step(raw)) == SQLITE_ROW) {
    std::vector<Value>& row = rows.emplace_back();
    for (int i = 0; i < static_cast<int>(columns); ++i) {
      row.push_back(FromSqlite(sqlite3_column_value(raw, i)));
    }
  }
  if (rc != SQLITE_DONE) return EngineError(db_);
  sqlite3_reset(raw);
  if (prepared_.try_emplace(sql, raw).second) (void)stmt.value().release();
  return rows;
}

Result<std::shared_ptr<const Rows>> QueryRoom::ReadOnce(const Table& table) {
  if (const auto found = read_.find(&table); found != read_.end()) return found->second;
  // While the database is being closed, the answer of its health watch is not needed. Giving no
  // rows ends the query; an interrupt would be written to the program's error log.
  if (source_.is_over()) {
    return std::shared_ptr<const Rows>(std::make_shared<const NoRows>());
  }
  auto rows = table.Read(*this);
  if (!rows.ok()) return rows.error();
  return read_[&table] = std::shared_ptr<const Rows>(std::move(rows.value()));
}

}  // namespace walmanager
