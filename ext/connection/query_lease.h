// Offers the queries of one connection to the thread that ends those which pin the log for too long
// (reader_lease_ms). Exists only while that setting is on.
//
// A query is offered from its start until it returns its first row or ends, and only
// - where it reads the main database, or a read transaction of it is open, and nothing was written,
// - where no other statement of the connection is open, also none that the trace does not show,
// - until another statement begins on the connection, or the query calls this extension.
// Thread rules: in the thread that uses the connection, and in its trace.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "ext/connection/known_statement.h"
#include "ext/connection/managed_logs.h"
#include "ext/core/policy/reader_lease.h"
#include "ext/engine/interruptible.h"
#include "ext/system/registry.h"

struct sqlite3;
struct sqlite3_stmt;

namespace walmanager {

class QueryLease {
 public:
  // Of the connection `id`, whose main database is `database`.
  QueryLease(sqlite3* db, Registry* registry, std::uint64_t id, const Database* database);
  ~QueryLease();
  QueryLease(const QueryLease&) = delete;
  QueryLease& operator=(const QueryLease&) = delete;

  bool is_of(const Database* database) const { return database_ == database; }
  void set_length(std::uint64_t lease_ns) { lease_ns_ = lease_ns; }
  // The statement has begun, and SQLite has just announced it. `main`: the log of the main
  // database, which is bound.
  void Begins(sqlite3_stmt* stmt, const KnownStatement& known, StatementMeter& meter,
              const ManagedLog& main);
  // A row comes, or another statement begins: no interrupt comes from here on. True where one came.
  bool Withdraw(LeaseObstacle why) {
    if (!is_offered_) return false;
    is_offered_ = false;
    const bool came = shown_->Withdraw(why);
    was_interrupted_ |= came;
    return came;
  }
  // A statement has ended. An interrupt that came too late for it hits nothing else.
  void Ends() {
    Withdraw(LeaseObstacle::kNoQuery);
    if (std::exchange(was_interrupted_, false)) ForgetInterrupt();
  }
  // SQLite announces what this object runs itself.
  bool is_asking() const { return is_asking_; }

 private:
  enum class Reads : std::uint8_t { kMain, kOther, kUnknown };
  // `in_transaction`: set where a read transaction on the main database is open already.
  LeaseObstacle FindObstacle(sqlite3_stmt* stmt, const KnownStatement& known, StatementMeter& meter,
                             bool* in_transaction);
  bool IsAlone(sqlite3_stmt* stmt, StatementMeter& meter);
  void ForgetInterrupt();
  // Whether the query opens a transaction on the main database. Asked once per text.
  Reads Ask(sqlite3_stmt* stmt, std::uint64_t query_id);
  Reads Explain(sqlite3_stmt* stmt);

  sqlite3* const db_;
  Registry* const registry_;
  const Database* const database_;
  const bool has_mutex_;
  bool is_offered_ = false;
  bool was_interrupted_ = false;  // since the last statement ended
  bool is_asking_ = false;
  std::uint64_t lease_ns_ = 0;
  std::uint32_t page_bytes_ = 0;  // 0: not read yet
  std::shared_ptr<Interruptible> shown_;
  std::unordered_map<std::uint64_t, Reads> reads_;  // by the id of the text
  // Texts of which the program has held a row while it began another statement: such a statement
  // would be hit where an interrupt comes with the first row.
  std::unordered_set<std::uint64_t> beside_others_;
};

}  // namespace walmanager
