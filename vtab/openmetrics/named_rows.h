// The rows of one of walmanager's tables, by the names of their columns.
// Thread rules: those of the tables.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "vtab/module/table.h"

namespace walmanager {

class QueryRoom;

class NamedRows {
 public:
  // Reads a table of tables.cc that is not a SELECT over others, and has no arguments.
  static Result<NamedRows> Read(std::string_view table, QueryRoom& room);

  std::size_t size() const { return rows_->size(); }
  // NULL for a column that the table does not have.
  Value at(std::size_t row, std::string_view column) const;
  // Empty for NULL.
  std::string text(std::size_t row, std::string_view column) const;
  // The sentence of a column; empty for one that the table does not have.
  std::string_view about(std::string_view column) const;

 private:
  NamedRows(std::vector<ColumnInfo> columns, std::unique_ptr<Rows> rows)
      : columns_(std::move(columns)), rows_(std::move(rows)) {}
  const ColumnInfo* Find(std::string_view column) const;

  std::vector<ColumnInfo> columns_;
  std::unique_ptr<Rows> rows_;
};

}  // namespace walmanager
