// Tables that are a SELECT over other tables: the files of sql/queries, embedded when this is
// built. The name of the file is that of the table. It begins with comments that declare the table,
//
//   -- wal_trends: One row per metric and period.
//   -- metric TEXT: what was measured
//
// and then comes the SELECT, with the columns in the same order.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ext/core/base/result.h"
#include "vtab/module/table.h"

namespace walmanager {

struct EmbeddedQuery {
  const char* name;
  const char* sql;
};
// In the order of their names. Defined in a file that CMake makes.
std::span<const EmbeddedQuery> EmbeddedQueries();

class QueryTable final : public Table {
 public:
  // `query` is one of EmbeddedQueries().
  explicit QueryTable(const EmbeddedQuery& query);

  const char* name() const override { return query_.name; }
  const char* about() const override { return about_.c_str(); }
  bool reveals_others() const override { return true; }
  std::vector<ColumnInfo> columns() const override;
  Result<std::unique_ptr<Rows>> Read(QueryRoom& room) const override;

 private:
  struct DeclaredColumn {
    std::string name;
    ColumnType type;
    std::string about;
  };
  void Declare(std::string_view line);

  const EmbeddedQuery& query_;
  std::string about_;
  std::vector<DeclaredColumn> columns_;
};

}  // namespace walmanager
