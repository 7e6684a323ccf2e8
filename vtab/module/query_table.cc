#include "vtab/module/query_table.h"

#include <array>
#include <utility>

#include "vtab/module/query_room.h"

namespace walmanager {
namespace {

struct RowsOfQuery final : Rows {
  explicit RowsOfQuery(QueryRoom::Table2D the_rows) : rows(std::move(the_rows)) {}
  std::size_t size() const override { return rows.size(); }
  Value at(std::size_t row, std::size_t column) const override { return rows[row][column]; }
  QueryRoom::Table2D rows;
};

constexpr std::array<std::pair<std::string_view, ColumnType>, 3> kTypes = {
    {{" TEXT", kText}, {" INTEGER", kInteger}, {" REAL", kReal}}};

}  // namespace

QueryTable::QueryTable(const EmbeddedQuery& query) : query_(query) {
  std::string_view rest(query.sql);
  while (rest.substr(0, 2) == "--") {
    const std::size_t end = std::min(rest.find('\n'), rest.size() - 1);
    Declare(rest.substr(0, end));
    rest.remove_prefix(end + 1);
  }
}

void QueryTable::Declare(std::string_view line) {
  // "-- word: sentence" or "-- word TYPE: sentence"
  const std::size_t colon = line.find(": ");
  if (colon == std::string_view::npos || line.size() < 4) return;
  std::string_view word = line.substr(3, colon - 3);
  const std::string about(line.substr(colon + 2));
  if (word == query_.name) {
    about_ = about;
    return;
  }
  for (const auto& [suffix, type] : kTypes) {
    if (!word.ends_with(suffix)) continue;
    word.remove_suffix(suffix.size());
    columns_.push_back({std::string(word), type, about});
    return;
  }
}

std::vector<ColumnInfo> QueryTable::columns() const {
  std::vector<ColumnInfo> infos;
  for (const DeclaredColumn& column : columns_) {
    infos.push_back({column.name.c_str(), column.type, column.about.c_str(), kShown});
  }
  return infos;
}

Result<std::unique_ptr<Rows>> QueryTable::Read(QueryRoom& room) const {
  auto rows = room.Run(query_.sql, columns_.size());
  if (!rows.ok()) return rows.error();
  // SQLite's sorter stores a whole REAL as an integer and returns it so.
  for (std::vector<Value>& row : rows.value()) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (columns_[i].type == kReal && row[i].integer())
        row[i] = static_cast<double>(*row[i].integer());
    }
  }
  return std::unique_ptr<Rows>(new RowsOfQuery(std::move(rows.value())));
}

}  // namespace walmanager
