#include "ext/engine/known_names.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "ext/core/text/sql_names.h"
#include "ext/core/text/sql_tokens.h"
#include "ext/core/text/used_names.h"

namespace walmanager {
namespace {

constexpr const char kCreateVirtual[] = "create virtual table";

}  // namespace

KnownNames::KnownNames(sqlite3* db)
    : db_(db),
      functions_(Names("PRAGMA function_list", 0)),
      collations_(Names("PRAGMA collation_list", 1)),
      modules_(Names("PRAGMA module_list", 0)) {}

std::set<std::string> KnownNames::Names(const char* pragma, std::size_t column) const {
  std::set<std::string> names;
  const auto rows = QueryRows(db_, pragma, "");
  if (!rows.ok()) return names;
  for (const TextRow& row : rows.value()) {
    if (column < row.size() && row[column]) names.insert(LowerName(*row[column]));
  }
  return names;
}

bool KnownNames::IsThereWithoutEntry(const std::string& table) const {
  // To ask for the columns of a table that is not there is no error.
  const auto columns = QueryRows(db_, "PRAGMA table_xinfo(" + QuoteName(table) + ")", "");
  return columns.ok() && !columns.value().empty();
}

bool KnownNames::Cover(const std::string& sql) const {
  std::string entries_of = "SELECT sql FROM sqlite_master WHERE tbl_name = ?1 COLLATE NOCASE";
  Token first;
  SqlTokenizer(sql).Next(first);
  if (first.keyword == Keyword::kSelect) entries_of += " AND type <> 'trigger'";
  std::set<std::string> seen;
  std::vector<std::string> texts{sql};
  // What the schema has under this name is looked at next; false where it has nothing.
  const auto add = [&](const std::string& table) {
    if (!seen.insert(table).second) return true;
    const auto entries = QueryRows(db_, entries_of, table);
    if (!entries.ok()) return false;
    for (const TextRow& entry : entries.value()) {
      if (entry[0]) texts.push_back(*entry[0]);
    }
    return !entries.value().empty();
  };
  while (!texts.empty()) {
    const std::string text = std::move(texts.back());
    texts.pop_back();
    if (LowerName(text.substr(0, sizeof kCreateVirtual - 1)) == kCreateVirtual) {
      std::set<std::string> names;
      AddNames(text, names);
      const auto is_module = [&](const std::string& name) { return modules_.count(name) != 0; };
      if (std::none_of(names.begin(), names.end(), is_module)) return false;
      continue;
    }
    const UsedNames used = FindUsedNames(text);
    if (used.other_schema) return false;
    for (const std::string& collation : used.collations) {
      if (collations_.count(collation) == 0) return false;
    }
    for (const std::string& table : used.tables) {
      if (!add(table) && !IsThereWithoutEntry(table)) return false;
    }
    for (const std::string& function : used.functions) {
      // A name before a parenthesis may be a table's before its columns.
      if (functions_.count(function) == 0 && !add(function)) return false;
    }
  }
  return true;
}

}  // namespace walmanager
