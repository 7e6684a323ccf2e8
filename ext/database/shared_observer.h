// The one observer with which this process reads system_health of all its databases: it has a
// private connection of SQLite's, whose tables and prepared statements take about a megabyte.
//
// Thread rules: any thread. A thread that finds the observer in use makes another one for this
// call, since it may be a thread of the host, and the thread that uses the observer may be waiting
// for a disk.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ext/core/base/mutex.h"
#include "ext/core/base/result.h"
#include "ext/core/policy/work_budget.h"
#include "ext/database/health_watch.h"

namespace walmanager {

class SharedObserver {
 public:
  // It is destroyed when no database refers to it any more.
  static std::shared_ptr<SharedObserver> OfThisProcess();

  // For a call of the user.
  Result<std::vector<HealthObserver::Check>> Read(Database& database);
  // For the background: spends from the budget.
  Result<std::vector<HealthObserver::Check>> ReadForAlerts(Database& database);
  // False: ReadForAlerts() has taken a twentieth of a processor lately (work_budget.h). `now_ns`:
  // MonotonicNs.
  bool HasRoom(std::uint64_t now_ns) const { return budget_.HasRoom(now_ns); }

 private:
  WorkBudget budget_;
  Mutex mutex_;  // held while it reads
  std::unique_ptr<HealthObserver> observer_ GUARDED_BY(mutex_);
};

}  // namespace walmanager
