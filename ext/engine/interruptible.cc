#include "ext/engine/interruptible.h"

#include "ext/engine/sqlite.h"

namespace walmanager {

void Interruptible::Offer(const LeasedQuery& query) {
  query_id_.store(query.id, std::memory_order_relaxed);
  held_since_ns_.store(query.held_since_ns, std::memory_order_relaxed);
  log_position_.store(query.log_position, std::memory_order_relaxed);
  Show(LeaseObstacle::kNone);
  offered_.Offer();
}

void Interruptible::Close() {
  Withdraw(LeaseObstacle::kNoQuery);
  const MutexLock lock(mutex_);
  db_ = nullptr;
}

std::optional<Interruptible::Offered> Interruptible::Look() const {
  const std::uint64_t number = offered_.number();
  if (number == 0) return std::nullopt;
  // Words of a later query may be among these. Then the number is void, and Interrupt() fails
  // (offered_statement.h says why). None is of an earlier query, since number() acquires.
  Offered offered{number,
                  {.id = query_id_.load(std::memory_order_relaxed),
                   .held_since_ns = held_since_ns_.load(std::memory_order_relaxed),
                   .log_position = log_position_.load(std::memory_order_relaxed)}};
  return offered;
}

bool Interruptible::Interrupt(std::uint64_t number) {
  const MutexLock lock(mutex_);
  if (!db_) return false;
  // The thread that is inside of sqlite3_step() has the mutex of the connection. Where it is free,
  // the end of the query was not seen: a function in it has taken the trace away.
  sqlite3_mutex* const mutex = sqlite3_db_mutex(db_);
  if (!mutex) return false;
  if (sqlite3_mutex_try(mutex) == SQLITE_OK) {
    sqlite3_mutex_leave(mutex);
    return false;
  }
  return offered_.InterruptIfOffered(number, [this] {
    mutex_.AssertHeld();
    interrupts_.fetch_add(1, std::memory_order_relaxed);
    sqlite3_interrupt(db_);
  });
}

}  // namespace walmanager
