// Where the SQL of a table that is a SELECT over other tables runs: a private connection in memory
// on which all tables are registered, describing what the outer table describes (its source).
//
// So nothing of the host's is in the way: no table of its own that has the name of ours, no
// authorizer, no limit, no read transaction on its database. Within one query of the outermost
// table every other table is read once: it is as quick as that, and its parts agree.
// Thread rules: those of the source.
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
  // The rows of `sql`, which has as many columns as asked for. An error is the engine's words.
  using Table2D = std::vector<std::vector<Value>>;
  Result<Table2D> Run(const std::string& sql, std::size_t columns);
  // What a query of this room reads: once, until the outermost query has ended. No rows once the
  // source is over.
  Result<std::shared_ptr<const Rows>> ReadOnce(const Table& table);

 private:
  Status Open();

  TableSource& source_;
  sqlite3* db_ = nullptr;                          // made when first needed
  int depth_ = 0;                                  // of queries that run within each other
  std::map<std::string, sqlite3_stmt*> prepared_;  // that do not run now
  std::map<const Table*, std::shared_ptr<const Rows>> read_;
};

}  // namespace walmanager
