// The functions, tables and collations that an SQL text names, found by its tokens alone. A
// connection that lacks one of them must not prepare the text: SQLite would write an error to the
// program's error log. Pure.
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace walmanager {

// All in lower case. Some names may be of another kind, such as that of a type before its length.
// One kind of name is missed: a table behind a comma that follows another clause.
struct UsedNames {
  std::set<std::string> functions;  // also tables before their columns, but no keywords
  std::set<std::string> tables;     // also views and tables with arguments, but none of WITH
  std::set<std::string> collations;
  bool other_schema = false;  // a table is named as one of another database than main
};

UsedNames FindUsedNames(std::string_view sql);

}  // namespace walmanager
