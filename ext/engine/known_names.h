// Whether a connection knows all that a statement of another connection names: functions,
// collations and tables that the program has made for its own connections are not there. To find
// that out by preparing the statement would write an error to the program's error log. Thread
// rules: those of the connection.
#pragma once

#include <set>
#include <string>

#include "ext/engine/sqlite.h"

namespace walmanager {

class KnownNames {
 public:
  // Asks `db`, which must outlive this, for its functions, collations and modules.
  explicit KnownNames(sqlite3* db);
  // Also of the views, triggers, indexes and tables that the statement uses. It may say no where
  // all is known.
  bool Cover(const std::string& sql) const;

 private:
  std::set<std::string> Names(const char* pragma, std::size_t column) const;
  // A table that has no row in sqlite_master, as sqlite_master itself or pragma_table_info.
  bool IsThereWithoutEntry(const std::string& table) const;

  sqlite3* const db_;
  // In lower case; empty where SQLite was built without such lists.
  const std::set<std::string> functions_, collations_, modules_;
};

}  // namespace walmanager
