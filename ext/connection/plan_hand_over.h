// Hands the requests of one connection for query plans to the database, whose background thread
// makes the plans on a connection of the extension.
//
// Thread rules: in the thread that uses the connection.
#pragma once

#include <cstdint>

#include "ext/connection/managed_logs.h"
#include "ext/connection/plan_wishes.h"
#include "ext/connection/wal_hook.h"

struct sqlite3;

namespace walmanager {

class PlanHandOver {
 public:
  // All of them outlive it.
  PlanHandOver(sqlite3* db, ManagedLogs& logs, const WalHook& hook, PlanWishes& wishes)
      : db_(db), logs_(logs), hook_(hook), wishes_(wishes) {}
  PlanHandOver(const PlanHandOver&) = delete;
  PlanHandOver& operator=(const PlanHandOver&) = delete;

  // A statement begins. Tries at most ten times a second, and within no transaction.
  [[gnu::cold]] void TryIfDue(std::uint64_t now_ns);
  // The connection closes. Where connections live for a request, most never begin another
  // statement.
  void BeforeClose();

 private:
  // False where they cannot be handed over now, and stay.
  bool Try();

  sqlite3* const db_;
  ManagedLogs& logs_;
  const WalHook& hook_;
  PlanWishes& wishes_;
  std::uint64_t next_ns_ = 0;
};

}  // namespace walmanager
