#include "ext/advisor/unused_indexes.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "ext/core/text/sql_names.h"

namespace walmanager {
namespace {

using TextRow = Connection::TextRow;

// Longer plans are cut where they are kept.
constexpr std::size_t kLongestWholePlan = sizeof(layout::QueryEntry::plan) - 5;

std::string Text(const TextRow& row, std::size_t column) {
  return column < row.size() ? row[column].value_or("") : "";
}

std::string SqlText(const std::string& text) {
  std::string literal = "'";
  for (const char c : text) {
    if (c == '\'') literal += '\'';
    literal += c;
  }
  return literal + "'";
}

class SchemaReader {
 public:
  SchemaReader(Connection& connection, const std::string& schema)
      : connection_(connection), schema_(schema), quoted_(Connection::Quoted(schema)) {}

  std::optional<SchemaOfIndexes> Read() {
    enum { kType, kName, kTable, kSql };
    auto rows = connection_.Rows(
        "SELECT type, name, tbl_name, sql FROM " + quoted_ + ".sqlite_master ORDER BY rowid", "");
    if (!rows.ok()) return std::nullopt;
    std::vector<std::string> tables, virtual_tables;
    for (const TextRow& row : rows.value()) {
      const std::string type = Text(row, kType), name = Text(row, kName), sql = Text(row, kSql);
      if (type == "table") {
        const bool is_virtual = LowerName(sql.substr(0, 20)) == "create virtual table";
        (is_virtual ? virtual_tables : tables).push_back(name);
        if (name == "sqlite_stat4") found_.has_samples = true;
      } else if (type == "index") {
        created_.emplace(name, created_.size());
        sql_.emplace(name, sql);
      } else {
        found_.objects.push_back({name, Text(row, kTable), sql, type == "trigger"});
      }
    }
    for (const std::string& table : tables) {
      if (!IsShadow(table, virtual_tables) && !ReadTable(table)) return std::nullopt;
    }
    std::sort(found_.indexes.begin(), found_.indexes.end(),
              [&](const IndexShape& a, const IndexShape& b) {
                return created_[a.name] < created_[b.name];
              });
    return std::move(found_);
  }

 private:
  // A table of a virtual table's own, such as docs_content of docs.
  static bool IsShadow(const std::string& table, const std::vector<std::string>& virtual_tables) {
    return table.starts_with("sqlite_") ||
           std::any_of(virtual_tables.begin(), virtual_tables.end(),
                       [&](const std::string& name) { return table.starts_with(name + "_"); });
  }

  Result<std::vector<TextRow>> Ask(const char* pragma, const std::string& about) {
    return connection_.Rows("PRAGMA " + quoted_ + "." + pragma + "(" + SqlText(about) + ")", "");
  }

  bool ReadTable(const std::string& table) {
    enum { kId, kSeq, kParent, kFrom };
    auto keys = Ask("foreign_key_list", table);
    if (!keys.ok()) return false;
    std::map<std::string, SchemaOfIndexes::ForeignKey> by_id;
    for (const TextRow& row : keys.value()) {
      SchemaOfIndexes::ForeignKey& key = by_id[Text(row, kId)];
      key.table = table;
      key.parent = Text(row, kParent);
      key.columns.push_back(Text(row, kFrom));
    }
    for (auto& [id, key] : by_id) found_.foreign_keys.push_back(std::move(key));
    enum { kNumber, kName, kUnique };
    auto indexes = Ask("index_list", table);
    if (!indexes.ok()) return false;
    for (const TextRow& row : indexes.value()) {
      IndexShape index;
      index.table = table;
      index.name = Text(row, kName);
      index.unique = Text(row, kUnique) == "1";
      index.sql = sql_[index.name];
      if (!ReadParts(index)) return false;
      found_.indexes.push_back(std::move(index));
    }
    return true;
  }

  bool ReadParts(IndexShape& index) {
    enum { kNumber, kColumn, kName, kDescending, kCollation, kIsKey };
    const IndexText text = ReadIndexText(index.sql);
    index.where = text.where;
    auto parts = Ask("index_xinfo", index.name);
    if (!parts.ok()) return false;
    for (const TextRow& row : parts.value()) {
      if (Text(row, kIsKey) != "1") continue;
      const std::size_t number = index.parts.size();
      const bool is_expression = Text(row, kColumn) == "-2";
      if (is_expression && number >= text.parts.size()) return false;
      const std::string name = row.size() > kName && row[kName] ? *row[kName] : "rowid";
      index.parts.push_back({is_expression ? text.parts[number] : LowerName(name),
                             LowerName(Text(row, kCollation)), Text(row, kDescending) == "1"});
    }
    return true;
  }

  Connection& connection_;
  const std::string schema_, quoted_;
  SchemaOfIndexes found_;
  std::map<std::string, std::size_t> created_;  // the order, by name
  std::map<std::string, std::string> sql_;
};

std::optional<std::uint32_t> SchemaVersion(Connection& connection, const std::string& schema) {
  const auto version = connection.Query("PRAGMA " + Connection::Quoted(schema) + ".schema_version");
  if (!version.ok() || !version.value()) return std::nullopt;
  return static_cast<std::uint32_t>(std::stoll(*version.value()));
}

}  // namespace

std::vector<UnusedIndexReport> ReportUnusedIndexes(Connection& connection,
                                                   const std::string& schema,
                                                   const std::vector<QueryRow>& queries,
                                                   bool all_seen) {
  const auto version = SchemaVersion(connection, schema);
  const auto found = SchemaReader(connection, schema).Read();
  if (!version || !found) return {};
  const bool has_triggers =
      std::any_of(found->objects.begin(), found->objects.end(),
                  [](const SchemaOfIndexes::Object& object) { return object.is_trigger; });
  std::vector<SeenStatement> statements;
  for (const QueryRow& query : queries) {
    if (query.id == 0) all_seen = false;  // some were evicted
    if (query.kind != QueryKind::kRead && query.kind != QueryKind::kWrite) continue;
    // What read no table reads none in another version of the schema, unless by a trigger.
    const bool is_current = query.plan_schema == version || (query.plan.empty() && !has_triggers);
    const bool is_whole = query.has_plan && query.plan.size() < kLongestWholePlan;
    statements.push_back({.text = query.text,
                          .writes = query.kind == QueryKind::kWrite,
                          .plan = query.plan,
                          .plan_is_known = is_whole && is_current,
                          .one_text = query.texts <= 1});
  }
  std::vector<UnusedIndexReport> reports;
  for (const UnusedIndex& unused : FindUnusedIndexes(*found, statements, all_seen)) {
    const IndexShape& index = found->indexes[unused.index];
    UnusedIndexReport report;
    report.table = index.table;
    report.name = index.name;
    report.reason = unused.reason;
    if (unused.covered_by) report.covered_by = found->indexes[*unused.covered_by].name;
    report.sql_to_run = "DROP INDEX ";
    if (schema != "main") report.sql_to_run += Connection::Quoted(schema) + ".";
    report.sql_to_run += Connection::Quoted(index.name);
    reports.push_back(std::move(report));
  }
  return reports;
}

std::optional<std::int64_t> BytesOfIndex(Connection& connection, const std::string& schema,
                                         const std::string& index) {
  // To use a module that is not there would write an error to the program's error log.
  const auto modules = connection.Rows("PRAGMA module_list", "");
  if (!modules.ok()) return std::nullopt;
  const auto is_dbstat = [](const TextRow& row) { return Text(row, 0) == "dbstat"; };
  if (std::none_of(modules.value().begin(), modules.value().end(), is_dbstat)) return std::nullopt;
  const auto bytes = connection.Rows(
      "SELECT sum(pgsize) FROM dbstat WHERE schema = " + SqlText(schema) + " AND name = ?1", index);
  if (!bytes.ok() || bytes.value().empty() || !bytes.value()[0][0]) return std::nullopt;
  return std::stoll(*bytes.value()[0][0]);
}

}  // namespace walmanager
