// One statement of read_pool() on one connection: refused unless it only reads, bound, stepped, and
// its rows made JSON. Statements that come again are kept prepared.
//
// Thread rules: those of the connection.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "ext/core/text/pool_request.h"
#include "ext/engine/sqlite.h"

namespace walmanager {

// The authorizer of a connection that must only read. It lets INSERT, UPDATE and DELETE pass,
// because some virtual tables prepare such statements when they are read. PoolQuery refuses a
// statement that writes, and PRAGMA query_only is a second guard behind both.
class ReadGuard {
 public:
  void PlaceOn(sqlite3* db);
  // For statements of the extension, which may begin transactions.
  void set_off(bool off) { off_ = off; }
  void Forget() {
    refused_.clear();
    saw_pragma_ = false;
  }
  // What the guard has refused since then, as words of a message; empty where it refused nothing.
  const std::string& refused() const { return refused_; }
  // SQLite answers many a PRAGMA while it compiles it: prepared it would not see the next answer.
  bool saw_pragma() const { return saw_pragma_; }

 private:
  static int OnAction(void* self, int action, const char* a, const char* b, const char*,
                      const char*);
  bool off_ = false, saw_pragma_ = false;
  std::string refused_;
};

// Statements that a connection keeps prepared between two runs, because their text came twice in a
// short time. They hold no locks, and SQLite compiles them anew when the schema changes.
class KeptStatements {
 public:
  struct Kept {
    std::string sql;
    OwnedStmt stmt;
    std::vector<std::string> fields;
    int compiled = 0;  // how many times since, as the fields were looked up
  };
  // stmt is nullptr: there is none.
  Kept Take(const std::string& sql);
  // Whether this text was seen lately; remembers it. A text that does not come again, such as one
  // with a number in it, does not deserve a place, and a long text never gets one.
  bool ComesAgain(const std::string& sql);
  void Keep(Kept kept);
  void Clear() { kept_.clear(); }

 private:
  static constexpr std::size_t kMost = 16;
  static constexpr std::size_t kRemembered = 64;
  static constexpr std::size_t kLongest = 8192;    // bytes: what is kept is bounded
  std::vector<Kept> kept_;                         // the one used last is at the end
  std::array<std::uint64_t, kRemembered> seen_{};  // hashes of texts
  std::size_t next_seen_ = 0;
};

class PoolQuery {
 public:
  // What a connection of the pool has beside the host's: its guard and kept statements.
  struct Pooled {
    ReadGuard* guard = nullptr;
    KeptStatements* kept = nullptr;
  };
  // Ready to step. `statement` and what `pooled` has must outlive it.
  static Result<PoolQuery> Prepare(sqlite3* db, const PoolStatement& statement, Pooled pooled);
  // To the next row; false after the last one.
  Result<bool> Step();
  // The row at hand as a JSON object, to the end of `out`, which an error leaves as it was.
  Status AppendRow(std::string& out);
  // After the last row, and for the last: it may be kept.
  void End();

 private:
  using Kept = KeptStatements::Kept;
  PoolQuery(sqlite3* db, Pooled pooled, Kept kept)
      : db_(db), pooled_(pooled), kept_(std::move(kept)) {}
  sqlite3_stmt* stmt() const { return kept_.stmt.get(); }
  Status Bind(const PoolParameters& parameters);
  Status BindOne(int number, const Value& value);
  // False where the row becomes longer than the connection lets a value be.
  bool AppendValue(std::string& out, std::size_t begin, int column);
  void LookUpFields();

  sqlite3* db_;
  Pooled pooled_;
  Kept kept_;  // its text is empty: not to be kept
  bool has_fields_ = false;
};

}  // namespace walmanager
