// Private databases in memory, in which statements of the host are planned and never run.
//
// The rule that must not break: no code of the host is called, and the text of its schema and of
// the control file is not trusted. So the host's functions and collations exist by name and do
// nothing, and an authorizer lets a text do nothing but what it is read for.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "ext/engine/sqlite.h"

namespace walmanager {

// A function that is not SQLite's own, as PRAGMA function_list has it.
struct HostFunction {
  enum class Kind { kScalar, kAggregate, kWindow };
  std::string name;
  Kind kind = Kind::kScalar;
  int arguments = 0;  // -1: any number
  bool deterministic = false;
};

// An empty database that knows these functions, and any collation, by name.
Result<OwnedDb> OpenPrivateDatabase(const std::vector<HostFunction>& functions);

// The tables, by name, that a statement names.
struct TablesNamed {
  std::set<std::string> all;
  std::set<std::string> changed;  // by UPDATE and DELETE
};

// While this lives, `db` refuses everything but one kind of text.
class OnlyAllow {
 public:
  // CREATE TABLE, INDEX and VIEW, but for virtual tables and tables made from a query.
  explicit OnlyAllow(sqlite3* db);
  // Reads and writes of tables, which are noted in `named` where it is not nullptr.
  OnlyAllow(sqlite3* db, TablesNamed* named);
  ~OnlyAllow();
  OnlyAllow(const OnlyAllow&) = delete;
  OnlyAllow& operator=(const OnlyAllow&) = delete;

 private:
  sqlite3* const db_;
};

}  // namespace walmanager
