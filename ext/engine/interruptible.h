// A connection of the host whose query another thread of this process may interrupt
// (reader_lease_ms).
//
// The rule that is easy to break: an interrupt is for the connection, not for a statement. SQLite
// forgets it when no statement of the connection is open any more. Until then it ends each
// statement that begins, and a write that it ends takes the transaction with it. So a query is
// offered only while the thread of the connection is inside of sqlite3_step() for it, no other
// statement is open, and nothing is being written.
// Thread rules: Look(), obstacle() and Interrupt() in any thread, the rest in the thread that uses
// the connection. The mutex is held during sqlite3_interrupt(), which takes none.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "ext/core/base/mutex.h"
#include "ext/core/base/offered_statement.h"
#include "ext/core/policy/reader_lease.h"

struct sqlite3;

namespace walmanager {

class Database;

class Interruptible {
 public:
  // `id`: of the connection. `database`: its main one, for comparison only.
  Interruptible(sqlite3* db, std::uint64_t id, const Database* database)
      : id_(id), database_(database), db_(db) {}
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

  std::uint64_t id() const { return id_; }
  bool is_of(const Database& database) const { return database_ == &database; }

  // --- the thread that uses the connection
  void Offer(const LeasedQuery& query);
  // No interrupt comes from here on. `why`: what an alert says. True where one came.
  bool Withdraw(LeaseObstacle why) {
    Show(why);
    return offered_.Withdraw();
  }
  void Show(LeaseObstacle why) { obstacle_.store(why, std::memory_order_relaxed); }
  // Before the handle is gone: nothing is interrupted from now on.
  void Close();

  void ShowPageBytes(std::uint32_t bytes) { page_bytes_.store(bytes, std::memory_order_relaxed); }

  // --- any thread
  struct Offered {
    std::uint64_t number;
    LeasedQuery query;
  };
  // The query that is offered now.
  std::optional<Offered> Look() const;
  LeaseObstacle obstacle() const { return obstacle_.load(std::memory_order_relaxed); }
  // Of the main database; 0: unknown.
  std::uint32_t page_bytes() const { return page_bytes_.load(std::memory_order_relaxed); }
  // Interrupts the query of that number. False where it is not offered any more.
  bool Interrupt(std::uint64_t number) EXCLUDES(mutex_);
  // How many interrupts it has had. An interrupt is counted before Withdraw() returns.
  std::uint64_t interrupts() const { return interrupts_.load(std::memory_order_relaxed); }

 private:
  const std::uint64_t id_;
  const Database* const database_;
  OfferedStatement offered_;
  // Of the query that is offered: written before it is, and valid while its number is
  // (offered_statement.h). The words below are for display: each says nothing of others.
  std::atomic<std::uint64_t> query_id_{0}, held_since_ns_{0}, log_position_{0};
  std::atomic<std::uint32_t> page_bytes_{0};
  std::atomic<std::uint64_t> interrupts_{0};
  std::atomic<LeaseObstacle> obstacle_{LeaseObstacle::kNoQuery};
  Mutex mutex_;
  sqlite3* db_ GUARDED_BY(mutex_);
};

}  // namespace walmanager
