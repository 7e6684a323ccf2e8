#include "ext/connection/plan_hand_over.h"

#include <utility>

#include "ext/core/base/time_units.h"
#include "ext/engine/sqlite.h"
#include "ext/engine/wal_index.h"

namespace walmanager {

void PlanHandOver::TryIfDue(std::uint64_t now_ns) {
  // Soon: the program may come to rest, and then this connection begins no statement. Where it
  // cannot be done now, most likely it cannot at the next statement.
  constexpr std::uint64_t kSoonNs = 100 * kMs, kLaterNs = 1'000 * kMs;
  if (now_ns < next_ns_ || sqlite3_get_autocommit(db_) == 0) return;
  const bool is_first = next_ns_ == 0;
  next_ns_ = now_ns + (Try() || is_first ? kSoonNs : kLaterNs);
}

bool PlanHandOver::Try() {
  const ManagedLog* main = logs_.main();
  if (!main || !hook_.automatic() || sqlite3_db_readonly(db_, "main") != 0 ||
      sqlite3_get_autocommit(db_) == 0 || sqlite3_txn_state(db_, nullptr) != SQLITE_TXN_NONE) {
    return false;
  }
  const WalFile log = WalFile::Ask(db_, "main");
  if (!log.file()) return false;
  HostConnection host{db_, "main", log, /*own_only=*/true};
  auto wishes = wishes_.Take();
  if (main->database->TakePlanWishes(host, wishes)) return true;
  wishes_.PutBack(std::move(wishes));
  return false;
}

void PlanHandOver::BeforeClose() {
  if (wishes_.any() && logs_.main() && logs_.main()->database.use_count() > 1) (void)Try();
}

}  // namespace walmanager
