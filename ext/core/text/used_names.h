// What an SQL text calls, reads and compares by, by its tokens alone: so that a connection which
// may lack some of that can be asked before it prepares the text. SQLite writes to the program's
// error log what it does not know. Pure.
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace walmanager {

// All in lower case. A name may be among them that is nothing of the kind, such as that of a type
// before its length; none is missed, but for a table behind a comma that follows another clause.
struct UsedNames {
  std::set<std::string> functions;  // also tables before their columns, but no keywords
  std::set<std::string> tables;     // also views and tables with arguments, but none of WITH
  std::set<std::string> collations;
  bool other_schema = false;  // a table is named as one of another database than main
};

UsedNames FindUsedNames(std::string_view sql);

}  // namespace walmanager
