// A table is data: a name, a sentence, columns with name, type, sentence and accessor on one line,
// and a function that makes the rows. CREATE TABLE, xColumn and the reference in vtab/README.md
// come from it. To add a table: one file, and one line in tables.cc.
//
// All rows are made when a scan begins, and no lock is held between them. Tables with arguments
// make rows one by one: streamed_table.h.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ext/core/base/result.h"
#include "ext/core/base/value.h"

namespace walmanager {

class QueryRoom;
class StreamedTable;
class TableSource;

// The source that the tables of a room describe, for callers that know only its declaration.
TableSource& SourceOf(QueryRoom& room);

enum class ColumnType { kText, kInteger, kReal };
using enum ColumnType;

constexpr const char* TypeName(ColumnType type) {
  return type == kText ? "TEXT" : type == kInteger ? "INTEGER" : "REAL";
}

// A hidden column is not in SELECT *.
enum class ColumnShown { kShown, kHidden };
using enum ColumnShown;

struct ColumnInfo {
  const char* name;
  ColumnType type;
  const char* about;
  ColumnShown shown;
};

template <typename Row>
struct Column {
  const char* name;
  ColumnType type;
  const char* about;
  Value (*get)(const Row&);
  ColumnShown shown = kShown;
};

template <typename Row>
std::vector<ColumnInfo> InfosOf(const std::vector<Column<Row>>& columns) {
  std::vector<ColumnInfo> infos;
  for (const Column<Row>& column : columns)
    infos.push_back({column.name, column.type, column.about, column.shown});
  return infos;
}

// The rows of one scan.
class Rows {
 public:
  virtual ~Rows() = default;
  virtual std::size_t size() const = 0;
  virtual Value at(std::size_t row, std::size_t column) const = 0;
};

class Table {
 public:
  virtual ~Table() = default;
  virtual const char* name() const = 0;
  virtual const char* about() const = 0;
  // Whether the table shows data of other connections. If so, SQLite refuses it in triggers and
  // views that are stored in a database.
  virtual bool reveals_others() const = 0;
  virtual std::vector<ColumnInfo> columns() const = 0;
  // The rows about the room's source. Called inside a statement and in its thread; the statement
  // fails with the error, if any.
  virtual Result<std::unique_ptr<Rows>> Read(QueryRoom& room) const = 0;
  // This table if it has arguments (streamed_table.h); nullptr if it is read whole.
  virtual const StreamedTable* streamed() const { return nullptr; }
};

template <typename Row>
class TableOf final : public Table {
 public:
  using Reader = Result<std::vector<Row>> (*)(TableSource&);
  TableOf(const char* name, const char* about, Reader reader, bool reveals_others,
          std::vector<Column<Row>> columns)
      : name_(name),
        about_(about),
        reader_(reader),
        reveals_others_(reveals_others),
        columns_(std::move(columns)) {}

  const char* name() const override { return name_; }
  const char* about() const override { return about_; }
  bool reveals_others() const override { return reveals_others_; }
  std::vector<ColumnInfo> columns() const override { return InfosOf(columns_); }
  Result<std::unique_ptr<Rows>> Read(QueryRoom& room) const override {
    auto rows = reader_(SourceOf(room));
    if (!rows.ok()) return rows.error();
    return std::unique_ptr<Rows>(new Snapshot(columns_, std::move(rows.value())));
  }

 private:
  struct Snapshot final : Rows {
    Snapshot(const std::vector<Column<Row>>& the_columns, std::vector<Row> the_rows)
        : columns(the_columns), rows(std::move(the_rows)) {}
    std::size_t size() const override { return rows.size(); }
    Value at(std::size_t row, std::size_t column) const override {
      return columns[column].get(rows[row]);
    }
    const std::vector<Column<Row>>& columns;
    std::vector<Row> rows;
  };

  const char* name_;
  const char* about_;
  Reader reader_;
  bool reveals_others_;
  std::vector<Column<Row>> columns_;
};

// All tables, in the order of vtab/README.md.
std::span<const Table* const> AllTables();

}  // namespace walmanager
