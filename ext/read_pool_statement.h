// One statement of read_pool() on one connection: refused unless it only reads, bound, stepped, its
// rows as JSON.
//
// Thread rules: those of the connection.
#pragma once

#include <string>
#include <vector>

#include "ext/core/pool_request.h"
#include "ext/sqlite.h"

namespace walmanager {

// The authorizer of a connection of ours that is to read and do nothing else. An INSERT, UPDATE or
// DELETE passes it: some virtual tables prepare theirs when they are read. A statement that is one
// itself is refused as such (PoolQuery), and PRAGMA query_only stands behind both.
class ReadGuard {
 public:
  void PlaceOn(sqlite3* db);
  // For statements of ours, which may begin transactions.
  void set_off(bool off) { off_ = off; }
  void Forget() { refused_.clear(); }
  // What was refused since, in words; empty: nothing.
  const std::string& refused() const { return refused_; }

 private:
  static int OnAction(void* self, int action, const char* a, const char* b, const char*,
                      const char*);
  bool off_ = false;
  std::string refused_;
};

class PoolQuery {
 public:
  // Ready to step. `statement` must outlive it. `guard`: of `db`, nullptr where it is the host's.
  static Result<PoolQuery> Prepare(sqlite3* db, const PoolStatement& statement, ReadGuard* guard);
  // The next row as a JSON object to the end of `out`; false after the last one.
  Result<bool> Step(std::string& out);

 private:
  PoolQuery(sqlite3* db, OwnedStmt stmt) : db_(db), stmt_(std::move(stmt)) {}
  Status Bind(const PoolParameters& parameters);
  Status BindOne(int number, const Value& value);
  // False where the row becomes longer than the connection lets a value be.
  bool AppendValue(std::string& out, int column);

  sqlite3* db_;
  OwnedStmt stmt_;
  std::vector<std::string> fields_;  // by column; empty before the first row
};

}  // namespace walmanager
