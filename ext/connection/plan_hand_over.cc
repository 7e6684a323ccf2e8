#include "ext/connection/plan_hand_over.h"

#include <utility>

#include "ext/core/base/time_units.h"
#include "ext/engine/sqlite.h"
#include "ext/engine/wal_index.h"

namespace walmanager {

void PlanHandOver::TryIfDue(std::uint64_t now_ns) {
  // Where it cannot be done now, most likely it cannot at the next statement. A connection asks for
  // most plans soon after its first one.
  constexpr std::uint64_t kSoonNs = 100 * kMs, kSecondNs = 1'000 * kMs;
  if (now_ns < next_ns_) return;
  next_ns_ = now_ns + (next_ns_ == 0 ? kSoonNs : kSecondNs);
  Try();
}

void PlanHandOver::Try() {
  const ManagedLog* main = logs_.main();
  if (!main || !hook_.automatic() || sqlite3_db_readonly(db_, "main") != 0 ||
      sqlite3_get_autocommit(db_) == 0 || sqlite3_txn_state(db_, nullptr) != SQLITE_TXN_NONE) {
    return;
  }
  const WalFile log = WalFile::Ask(db_, "main");
  if (!log.file()) return;
  HostConnection host{db_, "main", log, /*own_only=*/true};
  auto wishes = wishes_.Take();
  if (!main->database->TakePlanWishes(host, wishes)) wishes_.PutBack(std::move(wishes));
}

void PlanHandOver::BeforeClose() {
  if (wishes_.any() && logs_.main() && logs_.main()->database.use_count() > 1) Try();
}

}  // namespace walmanager
