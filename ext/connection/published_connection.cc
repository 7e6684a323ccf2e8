#include "ext/connection/published_connection.h"

#include <algorithm>
#include <utility>

#include "ext/engine/sqlite.h"

namespace walmanager {
namespace {

std::uint64_t Held(std::uint64_t transaction) { return transaction & ~kExplicitTransaction; }
bool IsExplicit(std::uint64_t transaction) { return (transaction & kExplicitTransaction) != 0; }

}  // namespace

void PublishedConnection::SetPlaces(std::vector<Place> places) {
  places_ = std::move(places);
  main_ = places_.empty() ? nullptr : places_.front().info;
}

bool PublishedConnection::TransactionStays(QueryKind kind) const {
  // No other kind of statement begins a transaction, and there is none that SQLite could end.
  if (transaction_ == 0) return kind != QueryKind::kTransaction;
  if (sqlite3_get_autocommit(db_) != 0) return false;
  return IsExplicit(transaction_) && !only_begun() && kind != QueryKind::kTransaction;
}

bool PublishedConnection::IsFailedUpgrade(const StatementNature& ended) const {
  // Statements that change the schema do not count: CREATE ... IF NOT EXISTS and DROP ... IF EXISTS
  // may only read.
  if (ended.reads_only || ended.query_kind != QueryKind::kWrite) return false;
  // Such a statement first begins a write transaction, also for a TEMP table or an attached
  // database. SQLite rolls the whole transaction back where it cannot undo a write alone. On a
  // read-only database the failure is no conflict.
  return (sqlite3_get_autocommit(db_) != 0 || sqlite3_txn_state(db_, nullptr) == SQLITE_TXN_READ) &&
         sqlite3_db_readonly(db_, "main") == 0;
}

void PublishedConnection::CountRollback() {
  for (const Place& place : places_) AddOwn(place.info->rollbacks, 1);
}

PublishedConnection::Upgrade PublishedConnection::FollowTransaction(const StatementNature& ended,
                                                                    std::uint64_t start_ns,
                                                                    std::size_t active,
                                                                    bool other_has_read) {
  const bool automatic = sqlite3_get_autocommit(db_) != 0;
  const bool was_explicit = IsExplicit(transaction_);
  const bool rolled_back =
      automatic && was_explicit && ended.kind != StatementKind::kEndsTransaction;
  if (automatic && active == 0) {
    if (transaction_ == 0) return Upgrade::kNone;
    if (rolled_back) CountRollback();
    const bool had_read = was_explicit && Held(transaction_) == SQLITE_TXN_READ;
    ForgetTransaction();
    return had_read && IsFailedUpgrade(ended) ? Upgrade::kFailed : Upgrade::kNone;
  }
  if (rolled_back) CountRollback();
  std::uint64_t held = Held(transaction_);
  // A statement that has returned a row and still runs has read.
  if (only_begun() && active != 0 && !ended.reads_only && other_has_read) held = SQLITE_TXN_READ;
  const std::uint64_t mark = automatic ? 0 : kExplicitTransaction;
  // A statement that reads changes nothing where a lock is held already.
  if (ended.reads_only && held != 0 && was_explicit == (mark != 0) &&
      ended.query_kind != QueryKind::kTransaction) {
    return Upgrade::kNone;
  }
  const auto state = static_cast<std::uint64_t>(sqlite3_txn_state(db_, "main"));
  const bool had_read = !automatic && held == SQLITE_TXN_READ;
  // Only SQLite knows the state of attached databases.
  if ((state | mark) != transaction_ || places_.size() > 1) {
    ShowTransaction(state | mark, start_ns);
  }
  if (had_read && state == SQLITE_TXN_WRITE) return Upgrade::kDone;
  return had_read && IsFailedUpgrade(ended) ? Upgrade::kFailed : Upgrade::kNone;
}

void PublishedConnection::ShowTransactionNow(std::uint64_t now_ns) {
  const std::uint64_t mark = sqlite3_get_autocommit(db_) != 0 ? 0 : kExplicitTransaction;
  const auto state = static_cast<std::uint64_t>(sqlite3_txn_state(db_, "main"));
  ShowTransaction(mark == 0 ? 0 : state | mark, now_ns);
}

void PublishedConnection::ShowTransaction(std::uint64_t state, std::uint64_t start_ns) {
  if (state == 0 || transaction_ == 0) transaction_ns_ = state == 0 ? 0 : start_ns;
  transaction_ = state;
  for (std::size_t i = 0; i < places_.size(); ++i) {
    layout::ConnectionInfo& info = *places_[i].info;
    std::uint64_t now = state;
    if (i > 0 && state != 0) {
      // -1: it has been detached.
      const int held = std::max(0, sqlite3_txn_state(db_, places_[i].schema.c_str()));
      now = static_cast<std::uint64_t>(held) | (state & kExplicitTransaction);
    }
    const std::uint64_t before = Get(info.transaction);
    // Its time begins with BEGIN, and again with the first statement that reads or writes.
    if (now == 0 || before == 0 || (Held(now) != 0 && Held(before) == 0)) {
      Put(info.transaction_ns, now == 0 ? 0 : start_ns);
    }
    Put(info.transaction, now);
  }
}

void PublishedConnection::ShowMemory(bool all) {
  const auto read = [&](layout::Counter layout::ConnectionInfo::*word, int what) {
    const std::uint64_t now = DatabaseStatus(db_, what);
    for (const Place& place : places_) Put(place.info->*word, now);
  };
  using Info = layout::ConnectionInfo;
  if (places_.empty()) return;
  read(&Info::cache_hits, SQLITE_DBSTATUS_CACHE_HIT);
  read(&Info::cache_misses, SQLITE_DBSTATUS_CACHE_MISS);
  read(&Info::cache_spills, SQLITE_DBSTATUS_CACHE_SPILL);
  read(&Info::cache_used, SQLITE_DBSTATUS_CACHE_USED);
  if (!all) return;
  read(&Info::schema_used, SQLITE_DBSTATUS_SCHEMA_USED);
  read(&Info::statement_used, SQLITE_DBSTATUS_STMT_USED);
}

void PublishedConnection::ShowForeignKeys() {
  int enforced = 0;
  if (sqlite3_db_config(db_, SQLITE_DBCONFIG_ENABLE_FKEY, -1, &enforced) != SQLITE_OK) return;
  for (const Place& place : places_) Put(place.info->foreign_keys, enforced != 0 ? 2 : 1);
}

}  // namespace walmanager
