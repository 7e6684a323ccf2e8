// A private connection in memory, on which the SQL of the tables that are a SELECT over other
// tables runs. All tables are registered there, and describe what the outer table describes (the
// source).
//
// So nothing of the program interferes: no table with the name of a walmanager table, no
// authorizer, no limit, and no read transaction on its database. Within one query of the outermost
// table every other table is read once. That is fast, and the parts agree. Threads: the rules of
// the source apply.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ext/core/base/result.h"
#include "vtab/module/table.h"

struct sqlite3;
struct sqlite3_stmt;

namespace walmanager {

class QueryRoom {
 public:
  // `source` must outlive this object.
  explicit QueryRoom(TableSource& source) : source_(source) {}
  ~QueryRoom();
  QueryRoom(const QueryRoom&) = delete;
  QueryRoom& operator=(const QueryRoom&) = delete;

  TableSource& source() { return source_; }
  // The rows of `sql`, which must have `columns` columns. An error is SQLite's message.
  using Table2D = std::vector<std::vector<Value>>;
  Result<Table2D> Run(const std::string& sql, std::size_t columns);
  // The rows of `table` for a query of this room: read once, and kept until the outermost query has
  // ended. No rows once the source is over.
  Result<std::shared_ptr<const Rows>> ReadOnce(const Table& table);

 private:
  Status Open();

  TableSource& source_;
  sqlite3* db_ = nullptr;                          // opened when first needed
  int depth_ = 0;                                  // nesting of the queries that run
  std::map<std::string, sqlite3_stmt*> prepared_;  // statements that do not run now
  std::map<const Table*, std::shared_ptr<const Rows>> read_;
};

}  // namespace walmanager
