#include "vtab/openmetrics/named_rows.h"

#include <algorithm>

namespace walmanager {

Result<NamedRows> NamedRows::Read(std::string_view name, QueryRoom& room) {
  const auto tables = AllTables();
  const auto table = std::ranges::find(
      tables, name, [](const Table* each) { return std::string_view(each->name()); });
  if (table == tables.end()) return Error{"there is no table " + std::string(name)};
  auto rows = (*table)->Read(room);
  if (!rows.ok()) return rows.error();
  return NamedRows((*table)->columns(), std::move(rows.value()));
}

const ColumnInfo* NamedRows::Find(std::string_view column) const {
  const auto found = std::ranges::find(
      columns_, column, [](const ColumnInfo& each) { return std::string_view(each.name); });
  return found == columns_.end() ? nullptr : &*found;
}

Value NamedRows::at(std::size_t row, std::string_view column) const {
  const ColumnInfo* found = Find(column);
  return found ? rows_->at(row, static_cast<std::size_t>(found - columns_.data())) : Value();
}

std::string NamedRows::text(std::size_t row, std::string_view column) const {
  const Value value = at(row, column);
  return value.text() ? *value.text() : "";
}

std::string_view NamedRows::about(std::string_view column) const {
  const ColumnInfo* found = Find(column);
  return found ? found->about : "";
}

}  // namespace walmanager
