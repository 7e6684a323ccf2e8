// The part of StatementMeter that tells others what its connection does: the statement that runs,
// the transaction, the memory it takes. All of it words in the connection's slabs.
#include <algorithm>

#include "ext/connection/statement_meter.h"
#include "ext/core/control/connection_entry.h"
#include "ext/core/control/shared_words.h"
#include "ext/engine/sqlite.h"

namespace walmanager {

void StatementMeter::Publish(Known& known) {
  if (active_++ == 0 || !oldest_) {
    oldest_ = active_ == 1 ? &known : oldest_;
    if (!oldest_) PublishOldest();
    ForPlaces([&](layout::ConnectionInfo& info) {
      Put(info.query_id, oldest_->id);
      Put(info.statement_rows, oldest_->rows);
      Put(info.started_ns, oldest_->start_ns);
    });
  }
}

void StatementMeter::PublishOldest() {
  oldest_ = nullptr;
  if (active_ != 0) {
    for (auto& [stmt, known] : known_) {
      if (known.start_ns != 0 && (!oldest_ || known.start_ns < oldest_->start_ns)) oldest_ = &known;
    }
  }
  for (const Place& place : places_) {
    layout::ConnectionInfo& info = *place.info;
    if (oldest_) {
      Put(info.query_id, oldest_->id);
      Put(info.statement_rows, oldest_->rows);
    }
    Put(info.started_ns, oldest_ ? oldest_->start_ns : 0);
  }
}

bool StatementMeter::IsFailedUpgrade(const Known& known) const {
  // Not of the schema: CREATE ... IF NOT EXISTS and DROP ... IF EXISTS may only read.
  if (known.reads_only || known.query_kind != QueryKind::kWrite) return false;
  // The first thing such a statement does is to begin to write, be it to a TEMP table or an
  // attached database; SQLite rolls back where a write cannot be undone alone. Of a database that
  // nobody may write it is no conflict.
  return (sqlite3_get_autocommit(db_) != 0 || sqlite3_txn_state(db_, nullptr) == SQLITE_TXN_READ) &&
         sqlite3_db_readonly(db_, "main") == 0;
}

StatementMeter::Upgrade StatementMeter::FollowTransaction(const Known& known,
                                                          std::uint64_t start_ns) {
  const bool automatic = sqlite3_get_autocommit(db_) != 0;
  if (automatic && active_ == 0) {
    if (transaction_ == 0) return Upgrade::kNone;
    const bool was_explicit = (transaction_ & kExplicitTransaction) != 0;
    if (was_explicit && known.kind != StatementKind::kEndsTransaction) {
      for (const Place& place : places_) AddOwn(place.info->rollbacks, 1);
    }
    const bool had_read = was_explicit && (transaction_ & ~kExplicitTransaction) == SQLITE_TXN_READ;
    PublishTransaction(0, 0);
    return had_read && IsFailedUpgrade(known) ? Upgrade::kFailed : Upgrade::kNone;
  }
  const bool was_explicit = (transaction_ & kExplicitTransaction) != 0;
  if (automatic && was_explicit && known.kind != StatementKind::kEndsTransaction) {
    for (const Place& place : places_) AddOwn(place.info->rollbacks, 1);
  }
  std::uint64_t held = transaction_ & ~kExplicitTransaction;
  // A statement that has returned rows and has not ended yet has read.
  if (held == 0 && was_explicit && active_ != 0 && !known.reads_only) {
    const bool has_read = std::any_of(known_.begin(), known_.end(), [](const auto& entry) {
      return entry.second.start_ns != 0 && entry.second.rows != 0;
    });
    if (has_read) held = SQLITE_TXN_READ;
  }
  const std::uint64_t mark = automatic ? 0 : kExplicitTransaction;
  // What reads changes nothing where something is held already.
  if (known.reads_only && held != 0 && (transaction_ & kExplicitTransaction) == mark &&
      known.query_kind != QueryKind::kTransaction) {
    return Upgrade::kNone;
  }
  const auto state = static_cast<std::uint64_t>(sqlite3_txn_state(db_, "main"));
  const bool had_read = !automatic && held == SQLITE_TXN_READ;
  // Of attached databases only SQLite knows.
  if ((state | mark) != transaction_ || places_.size() > 1) {
    PublishTransaction(state | mark, start_ns);
  }
  if (had_read && state == SQLITE_TXN_WRITE) return Upgrade::kDone;
  return had_read && IsFailedUpgrade(known) ? Upgrade::kFailed : Upgrade::kNone;
}

void StatementMeter::PublishTransactionNow(std::uint64_t now_ns) {
  const std::uint64_t mark = sqlite3_get_autocommit(db_) != 0 ? 0 : kExplicitTransaction;
  const auto state = static_cast<std::uint64_t>(sqlite3_txn_state(db_, "main"));
  PublishTransaction(mark == 0 ? 0 : state | mark, now_ns);
}

void StatementMeter::SetPlaces(std::vector<Place> places) {
  places_ = std::move(places);
  main_ = places_.empty() ? nullptr : places_.front().info;
  if (!bound()) return;
  PublishTransaction(transaction_, transaction_ns_);
  PublishOldest();
}

void StatementMeter::PublishTransaction(std::uint64_t state, std::uint64_t start_ns) {
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
    const auto held = [](std::uint64_t word) { return (word & ~kExplicitTransaction) != 0; };
    // It begins with BEGIN, and once more with the first statement that reads or writes.
    if (now == 0 || before == 0 || (held(now) && !held(before))) {
      Put(info.transaction_ns, now == 0 ? 0 : start_ns);
    }
    Put(info.transaction, now);
  }
}

void StatementMeter::PublishMemory(bool all) {
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

void StatementMeter::PublishForeignKeys() {
  int enforced = 0;
  if (sqlite3_db_config(db_, SQLITE_DBCONFIG_ENABLE_FKEY, -1, &enforced) != SQLITE_OK) return;
  for (const Place& place : places_) Put(place.info->foreign_keys, enforced != 0 ? 2 : 1);
}

void StatementMeter::ForgetActive() {
  for (auto& [stmt, known] : known_) known.start_ns = 0;
  active_ = 0;
  oldest_ = nullptr;
  for (const Place& place : places_) Put(place.info->started_ns, 0);
}

}  // namespace walmanager
