#include "ext/advisor/schema_copy.h"

#include <algorithm>
#include <utility>

#include "ext/core/text/sql_names.h"
#include "ext/system/clock.h"

namespace walmanager {
namespace {

void BindText(sqlite3_stmt* stmt, const std::string& text) {
  sqlite3_bind_text(stmt, 1, text.c_str(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
}

// As PostgreSQL names an index that was given no name. Blanks and the like would need quotes.
std::string UsualName(const TableShape& table, const TableShape::Key& columns) {
  std::string name = table.name;
  for (const std::size_t column : columns) (name += '_') += table.columns[column].name;
  for (char& c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       static_cast<unsigned char>(c) >= 0x80;
    if (!plain) c = '_';
  }
  return name + "_idx";
}

}  // namespace

std::optional<std::size_t> TableShape::Find(const std::string& column) const {
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (sqlite3_stricmp(columns[i].name.c_str(), column.c_str()) == 0) return i;
  }
  return std::nullopt;
}

bool TableShape::HasKeyThatBegins(const Key& wanted) const {
  return std::any_of(keys.begin(), keys.end(), [&](const Key& key) {
    return key.size() >= wanted.size() && std::equal(wanted.begin(), wanted.end(), key.begin());
  });
}

Result<SchemaCopy> SchemaCopy::Make(const SchemaSource& source, std::uint64_t deadline_ns) {
  auto db = OpenPrivateDatabase(source.functions);
  if (!db.ok()) return db.error();
  SchemaCopy copy(std::move(db.value()));
  // A page for each table and index: small ones.
  (void)QueryText(copy.db_.get(), "PRAGMA page_size=512");
  (void)QueryText(copy.db_.get(), "BEGIN");
  for (const SchemaSource::Object& object : source.objects) {
    copy.names_.insert(LowerName(object.name));
    if (!object.needed) continue;
    if (MonotonicNs() >= deadline_ns) return Error{"the schema is too large for the time there is"};
    // Indexes of constraints have no text, and come with their table.
    if (!object.sql.empty() && sqlite3_strnicmp(object.name.c_str(), "sqlite_", 7) != 0)
      copy.CreateIfAllowed(object.sql);
  }
  (void)QueryText(copy.db_.get(), "COMMIT");
  copy.LoadStatistics(source.statistics);
  // Unless SQLite was built with them on.
  (void)QueryText(copy.db_.get(), "PRAGMA foreign_keys=OFF");
  return copy;
}

void SchemaCopy::CreateIfAllowed(const std::string& sql) {
  const OnlyAllow creation(db_.get());
  const auto stmt = Prepare(db_.get(), sql);
  if (stmt.ok()) sqlite3_step(stmt.value().get());
}

void SchemaCopy::LoadStatistics(const std::vector<std::string>& inserts) {
  if (inserts.empty()) return;
  // Makes the tables of statistics, and then reads them; no table is looked at.
  (void)QueryText(db_.get(), "ANALYZE sqlite_master");
  for (const std::string& insert : inserts) (void)QueryText(db_.get(), insert);
  (void)QueryText(db_.get(), "ANALYZE sqlite_master");
}

void SchemaCopy::Set(ForeignKeys keys) {
  if (keys == foreign_keys_) return;
  foreign_keys_ = keys;
  (void)QueryText(db_.get(),
                  keys == ForeignKeys::kOn ? "PRAGMA foreign_keys=ON" : "PRAGMA foreign_keys=OFF");
}

std::optional<std::string> SchemaCopy::Plan(const std::string& sql, ForeignKeys keys,
                                            TablesNamed* named) {
  Set(keys);
  const OnlyAllow planning(db_.get(), named);
  auto plan = QueryPlan(db_.get(), sql);
  if (!plan.ok()) return std::nullopt;
  return std::move(plan.value());
}

const TableShape* SchemaCopy::Shape(const std::string& table) {
  auto found = shapes_.find(table);
  if (found == shapes_.end()) {
    TableShape shape;
    shape.name = table;
    ReadColumns(shape);
    ReadKeys(shape);
    found = shapes_.emplace(table, std::move(shape)).first;
  }
  return found->second.columns.empty() ? nullptr : &found->second;
}

// Views have no columns here: sqlite3_table_column_metadata knows tables alone.
void SchemaCopy::ReadColumns(TableShape& shape) {
  auto stmt = Prepare(db_.get(), "SELECT name FROM pragma_table_xinfo(?)");
  if (!stmt.ok()) return;
  BindText(stmt.value().get(), shape.name);
  std::vector<std::size_t> primary_key;
  while (sqlite3_step(stmt.value().get()) == SQLITE_ROW) {
    TableShape::Column column;
    column.name = ColumnText(stmt.value().get(), 0);
    const char *type = nullptr, *collation = nullptr;
    int in_primary_key = 0;
    if (sqlite3_table_column_metadata(db_.get(), "main", shape.name.c_str(), column.name.c_str(),
                                      &type, &collation, nullptr, &in_primary_key,
                                      nullptr) != SQLITE_OK) {
      shape.columns.clear();
      return;
    }
    if (type) column.type = type;
    if (collation) column.collation = collation;
    if (in_primary_key) primary_key.push_back(shape.columns.size());
    shape.columns.push_back(std::move(column));
  }
  // Of any other primary key there is an index, which ReadKeys() finds.
  if (primary_key.size() == 1) shape.rowid_alias = primary_key.front();
}

void SchemaCopy::ReadKeys(TableShape& shape) {
  enum { kIndex, kPartial, kOrigin, kColumn, kDescending, kCollation };
  auto stmt = Prepare(db_.get(),
                      "SELECT il.seq, il.partial, il.origin, ix.cid, ix.desc, ix.coll "
                      "FROM pragma_index_list(?) AS il, pragma_index_xinfo(il.name) AS ix "
                      "WHERE ix.key ORDER BY il.seq, ix.seqno");
  if (!stmt.ok()) return;
  sqlite3_stmt* row = stmt.value().get();
  BindText(row, shape.name);
  int index = -1, descending = 0;
  bool ended = false;  // a proposed index would not have the columns that follow
  while (sqlite3_step(row) == SQLITE_ROW) {
    if (ColumnText(row, kOrigin) == "pk") shape.rowid_alias.reset();
    if (sqlite3_column_int(row, kIndex) != index) {
      index = sqlite3_column_int(row, kIndex);
      descending = sqlite3_column_int(row, kDescending);
      ended = sqlite3_column_int(row, kPartial) != 0;
      shape.keys.emplace_back();
    }
    const auto column = static_cast<std::size_t>(sqlite3_column_int(row, kColumn));
    ended = ended || column >= shape.columns.size() ||
            sqlite3_column_int(row, kDescending) != descending ||
            sqlite3_stricmp(ColumnText(row, kCollation).c_str(),
                            shape.columns[column].collation.c_str()) != 0;
    if (!ended) shape.keys.back().push_back(column);
  }
}

const std::vector<Reference>& SchemaCopy::ReferencesTo(const std::string& table) {
  if (!references_) ReadReferences();
  return (*references_)[LowerName(table)];
}

void SchemaCopy::ReadReferences() {
  enum { kTable, kId, kReferred, kColumn };
  references_.emplace();
  auto stmt = Prepare(db_.get(),
                      "SELECT s.name, fk.id, fk.\"table\", fk.\"from\" FROM sqlite_master AS s, "
                      "pragma_foreign_key_list(s.name) AS fk WHERE s.type = 'table' "
                      "ORDER BY s.rowid, fk.id, fk.seq");
  if (!stmt.ok()) return;
  sqlite3_stmt* row = stmt.value().get();
  std::string table;
  int id = -1;
  while (sqlite3_step(row) == SQLITE_ROW) {
    std::vector<Reference>& references = (*references_)[LowerName(ColumnText(row, kReferred))];
    if (ColumnText(row, kTable) != table || sqlite3_column_int(row, kId) != id) {
      table = ColumnText(row, kTable);
      id = sqlite3_column_int(row, kId);
      references.push_back({table, {}});
    }
    references.back().columns.push_back(ColumnText(row, kColumn));
  }
}

std::string SchemaCopy::FreeName(const TableShape& table, const TableShape::Key& columns) const {
  const std::string usual = UsualName(table, columns);
  std::string name = usual;
  for (int i = 1; names_.contains(LowerName(name)); ++i) name = usual + std::to_string(i);
  return name;
}

std::string SchemaCopy::CreateIndex(const TableShape& table, const TableShape::Key& columns) {
  std::string name = FreeName(table, columns);
  if (!QueryText(db_.get(), CreateIndexSql("", name, table, columns)).ok()) return "";
  names_.insert(LowerName(name));
  return name;
}

void SchemaCopy::DropIndex(const std::string& name) {
  (void)QueryText(db_.get(), "DROP INDEX " + QuoteName(name));
  names_.erase(LowerName(name));
}

std::string SchemaCopy::CreateIndexSql(const std::string& schema, const std::string& name,
                                       const TableShape& table, const TableShape::Key& columns) {
  std::string sql = "CREATE INDEX ";
  if (!schema.empty()) sql += QuoteName(schema) + ".";
  sql += QuoteName(name) + " ON " + QuoteName(table.name) + "(";
  const char* comma = "";
  for (const std::size_t column : columns) {
    (sql += comma) += QuoteName(table.columns[column].name);
    comma = ", ";
  }
  return sql + ")";
}

}  // namespace walmanager
