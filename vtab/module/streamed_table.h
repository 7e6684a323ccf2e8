// Tables with arguments, whose rows are made one by one while they are fetched: table-valued
// functions (https://www.sqlite.org/vtab.html#tabfunc2). The arguments are the hidden columns,
// which come last and have no accessor.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "vtab/module/table.h"

namespace walmanager {

class Connection;

// One scan. The destructor frees what it holds.
class RowStream {
 public:
  virtual ~RowStream() = default;
  // Steps to the next row, the first time to the first. False: there is no row left.
  virtual Result<bool> Next() = 0;
  // A value of the current row. `column` is not one of the arguments.
  virtual Value at(std::size_t column) const = 0;
};

class StreamedTable : public Table {
 public:
  const StreamedTable* streamed() const final { return this; }
  Result<std::unique_ptr<Rows>> Read(QueryRoom&) const final {
    return Error{"the table needs arguments"};
  }
  // How many of the arguments must be given, from the first. The others are NULL if not given.
  virtual std::size_t required() const = 0;
  // Begins a scan inside a statement of the connection, which fails with the error, if any.
  virtual Result<std::unique_ptr<RowStream>> Start(Connection& connection,
                                                   std::span<const Value> arguments) const = 0;
};

template <typename Row>
class RowStreamOf {
 public:
  virtual ~RowStreamOf() = default;
  virtual Result<bool> Next() = 0;
  virtual Row row() const = 0;
};

template <typename Row>
class StreamedTableOf final : public StreamedTable {
 public:
  using Starter = Result<std::unique_ptr<RowStreamOf<Row>>> (*)(Connection&,
                                                                std::span<const Value>);
  StreamedTableOf(const char* name, const char* about, Starter starter, bool reveals_others,
                  std::size_t required, std::vector<Column<Row>> columns)
      : name_(name),
        about_(about),
        starter_(starter),
        reveals_others_(reveals_others),
        required_(required),
        columns_(std::move(columns)) {}

  const char* name() const override { return name_; }
  const char* about() const override { return about_; }
  bool reveals_others() const override { return reveals_others_; }
  std::size_t required() const override { return required_; }
  std::vector<ColumnInfo> columns() const override { return InfosOf(columns_); }
  Result<std::unique_ptr<RowStream>> Start(Connection& connection,
                                           std::span<const Value> arguments) const override {
    auto started = starter_(connection, arguments);
    if (!started.ok()) return started.error();
    return std::unique_ptr<RowStream>(new Stream(columns_, std::move(started.value())));
  }

 private:
  struct Stream final : RowStream {
    Stream(const std::vector<Column<Row>>& the_columns, std::unique_ptr<RowStreamOf<Row>> the_rows)
        : columns(the_columns), rows(std::move(the_rows)) {}
    Result<bool> Next() override { return rows->Next(); }
    Value at(std::size_t column) const override { return columns[column].get(rows->row()); }
    const std::vector<Column<Row>>& columns;
    const std::unique_ptr<RowStreamOf<Row>> rows;
  };

  const char* name_;
  const char* about_;
  Starter starter_;
  bool reveals_others_;
  std::size_t required_;
  std::vector<Column<Row>> columns_;
};

}  // namespace walmanager
