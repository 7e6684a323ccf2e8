#include "ext/advisor/schema_source.h"

#include <algorithm>
#include <set>

#include "ext/core/text/sql_names.h"

namespace walmanager {
namespace {

using TextRow = Connection::TextRow;

std::string SqlText(const std::optional<std::string>& text) {
  if (!text) return "NULL";
  std::string literal = "'";
  for (const char c : *text) {
    if (c == '\'') literal += '\'';
    literal += c;
  }
  return literal + "'";
}

bool IsTable(const SchemaSource::Object& object) { return object.type == "table"; }

bool Has(const SchemaSource& source, const char* table) {
  return std::any_of(source.objects.begin(), source.objects.end(),
                     [&](const auto& object) { return IsTable(object) && object.name == table; });
}

// A view needs what its own text names, and so on.
void AddNamesBehindViews(const SchemaSource& source, std::set<std::string>& names) {
  std::set<const SchemaSource::Object*> followed;
  for (std::size_t before = 0; before != names.size();) {
    before = names.size();
    for (const SchemaSource::Object& object : source.objects) {
      if (object.type == "view" && names.contains(LowerName(object.name)) &&
          followed.insert(&object).second)
        AddNames(object.sql, names);
    }
  }
}

// Adds the tables that refer to a table of `names`, and then the tables to which any of these
// refers: SQLite does not compile a write to a table whose foreign keys lead nowhere.
void AddNamesBehindForeignKeys(const SchemaSource& source, std::set<std::string>& names) {
  std::set<std::string> referring, referred;
  for (const SchemaSource::Object& object : source.objects) {
    if (!IsTable(object)) continue;
    std::set<std::string> referred_here;
    AddReferredNames(object.sql, referred_here);
    const bool refers = std::any_of(referred_here.begin(), referred_here.end(),
                                    [&](const std::string& name) { return names.contains(name); });
    if (!refers && !names.contains(LowerName(object.name))) continue;
    referring.insert(LowerName(object.name));
    referred.merge(referred_here);
  }
  names.merge(referring);
  names.merge(referred);
}

void MarkNeeded(const std::vector<std::string>& statements, SchemaSource& source) {
  std::set<std::string> names;
  for (const std::string& sql : statements) AddNames(sql, names);
  AddNamesBehindViews(source, names);
  AddNamesBehindForeignKeys(source, names);
  for (SchemaSource::Object& object : source.objects) {
    const std::string& name = object.type == "index" ? object.table : object.name;
    object.needed = names.contains(LowerName(name));
  }
}

// The last column of sqlite_stat4 is a blob, and comes in as hexadecimal digits.
void ReadStatistics(Connection& connection, const std::string& schema, const char* table,
                    const std::string& columns, bool ends_in_blob, SchemaSource& source) {
  // Of one index there are at most 24 samples.
  constexpr const char* kMost = " LIMIT 20000";
  if (!Has(source, table)) return;
  std::set<std::string> tables;
  for (const SchemaSource::Object& object : source.objects) {
    if (object.needed && IsTable(object)) tables.insert(LowerName(object.name));
  }
  const auto rows =
      connection.Rows("SELECT " + columns + " FROM " + schema + "." + table + kMost, "");
  if (!rows.ok()) return;
  for (const TextRow& row : rows.value()) {
    if (row.empty() || !row[0] || !tables.contains(LowerName(*row[0]))) continue;
    std::string insert = std::string("INSERT INTO ") + table + " VALUES(";
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i != 0) insert += ',';
      if (ends_in_blob && i + 1 == row.size()) insert += 'x';
      insert += SqlText(row[i] || !ends_in_blob ? row[i] : std::optional<std::string>(""));
    }
    source.statistics.push_back(insert + ")");
  }
}

// Not by way of pragma_function_list, which would stay with the host's connection as a module.
std::vector<HostFunction> ReadFunctions(Connection& connection) {
  enum { kName, kBuiltin, kType, kEncoding, kArguments, kFlags, kColumns };
  std::vector<HostFunction> functions;
  const auto rows = connection.Rows("PRAGMA function_list", "");
  if (!rows.ok()) return functions;
  for (const TextRow& row : rows.value()) {
    if (row.size() < kColumns || std::count(row.begin(), row.end(), std::nullopt) != 0) continue;
    if (*row[kBuiltin] != "0") continue;
    HostFunction function;
    function.name = *row[kName];
    if (*row[kType] == "a") function.kind = HostFunction::Kind::kAggregate;
    if (*row[kType] == "w") function.kind = HostFunction::Kind::kWindow;
    function.arguments = std::stoi(*row[kArguments]);
    function.deterministic = (std::stoll(*row[kFlags]) & SQLITE_DETERMINISTIC) != 0;
    functions.push_back(std::move(function));
  }
  return functions;
}

}  // namespace

std::optional<SchemaSource> ReadSchemaSource(Connection& connection, const std::string& schema,
                                             const std::vector<std::string>& statements) {
  const std::string quoted = QuoteName(schema);
  // In the order in which they can be made again.
  const auto rows = connection.Rows("SELECT type, name, tbl_name, sql FROM " + quoted +
                                        ".sqlite_master WHERE type IN ('table', 'index', 'view') "
                                        "ORDER BY type = 'view', type = 'index', rowid",
                                    "");
  if (!rows.ok()) return std::nullopt;
  SchemaSource source;
  for (const TextRow& row : rows.value()) {
    if (row.size() != 4 || !row[0] || !row[1] || !row[2]) continue;
    source.objects.push_back({*row[0], *row[1], *row[2], row[3].value_or("")});
  }
  MarkNeeded(statements, source);
  ReadStatistics(connection, quoted, "sqlite_stat1", "tbl, idx, stat", false, source);
  ReadStatistics(connection, quoted, "sqlite_stat4", "tbl, idx, neq, nlt, ndlt, hex(sample)", true,
                 source);
  source.functions = ReadFunctions(connection);
  return source;
}

}  // namespace walmanager
