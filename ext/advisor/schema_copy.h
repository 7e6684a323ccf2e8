// A copy of a host's schema in a private database: tables without rows, indexes, views and the
// statistics of ANALYZE, so that statements are planned there as on the host's connection. Indexes
// are tried here.
//
// Virtual tables, triggers, objects that cannot be created and objects that no statement needs are
// left out; a statement that needs one cannot be planned. Where the database was never analyzed,
// SQLite assumes large tables. Not for several threads at once.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ext/advisor/schema_source.h"
#include "ext/engine/private_database.h"

namespace walmanager {

// A table as far as indexes on it go. Columns are counted from 0.
struct TableShape {
  struct Column {
    std::string name, type, collation;
  };
  // Of an index: the columns that it begins with, in one direction and by their own collation.
  using Key = std::vector<std::size_t>;
  std::string name;
  std::vector<Column> columns;
  std::optional<std::size_t> rowid_alias;
  std::vector<Key> keys;  // not of partial indexes
  // By name, in any case.
  std::optional<std::size_t> Find(const std::string& column) const;
  // Whether an index that is there begins with these columns.
  bool HasKeyThatBegins(const Key& columns) const;
};

// A foreign key that refers to some table.
struct Reference {
  std::string table;
  std::vector<std::string> columns;
};

// PRAGMA foreign_keys: if on, a DELETE looks for rows that refer to the deleted row.
enum class ForeignKeys { kOff, kOn };

class SchemaCopy {
 public:
  // An error where it cannot be made, or not before `deadline_ns` of the monotonic clock.
  static Result<SchemaCopy> Make(const SchemaSource& source, std::uint64_t deadline_ns);

  // EXPLAIN QUERY PLAN of a statement; nullopt where it does not compile. `named`: the tables that
  // it names are added there, unless nullptr.
  std::optional<std::string> Plan(const std::string& sql, ForeignKeys keys, TablesNamed* named);
  // nullptr: there is no such table.
  const TableShape* Shape(const std::string& table);
  // The foreign keys that refer to a table.
  const std::vector<Reference>& ReferencesTo(const std::string& table);

  // Creates an index with a name that is free in the host's schema, too, and returns the name;
  // empty where it cannot be created.
  std::string CreateIndex(const TableShape& table, const TableShape::Key& columns);
  void DropIndex(const std::string& name);
  // The SQL that creates such an index; `schema`: empty for the connection's main database.
  static std::string CreateIndexSql(const std::string& schema, const std::string& name,
                                    const TableShape& table, const TableShape::Key& columns);

 private:
  explicit SchemaCopy(OwnedDb db) : db_(std::move(db)) {}
  void Set(ForeignKeys keys);
  void CreateIfAllowed(const std::string& sql);
  void LoadStatistics(const std::vector<std::string>& inserts);
  void ReadColumns(TableShape& shape);
  void ReadKeys(TableShape& shape);
  void ReadReferences();
  std::string FreeName(const TableShape& table, const TableShape::Key& columns) const;

  OwnedDb db_;
  ForeignKeys foreign_keys_ = ForeignKeys::kOff;
  std::map<std::string, TableShape> shapes_;  // by name, as they were asked for
  std::optional<std::map<std::string, std::vector<Reference>>> references_;  // in lower case
  std::set<std::string> names_;  // of tables, indexes and views, in lower case
};

}  // namespace walmanager
