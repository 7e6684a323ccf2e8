#include "ext/checkpoint/upkeep.h"

#include <utility>

#include "ext/core/control/query_statistics.h"
#include "ext/core/control/shared_words.h"
#include "ext/system/clock.h"

namespace walmanager {

bool Upkeep::Request(const std::vector<PlanWish>& wishes) {
  constexpr std::size_t kMost = 64;
  const MutexLock lock(mutex_);
  if (wishes_.size() >= kMost) return false;
  wishes_.insert(wishes_.end(), wishes.begin(), wishes.end());
  return true;
}

void Upkeep::CapturePlans(ControlFile& current) {
  std::vector<PlanWish> wishes;
  {
    const MutexLock lock(mutex_);
    wishes = std::exchange(wishes_, {});
  }
  if (wishes.empty()) return;
  QueryStatistics statistics(current.memory());
  checkpointer_.Explain([&](sqlite3* db, std::uint32_t schema_version) {
    for (const PlanWish& wish : wishes) {
      const auto entry = statistics.Find(wish.id);
      if (!entry || statistics.PlanSchemaVersion(*entry) == schema_version) continue;
      // A statement that needs a temporary table, an attached database or a function of the host's
      // cannot be prepared here.
      const auto plan = QueryPlan(db, wish.sql);
      if (plan.ok()) statistics.SetPlan(*entry, wish.id, plan.value(), schema_version);
    }
  });
}

void Upkeep::OptimizeIfDue(ControlFile& current, std::uint64_t last_commit_ns,
                           std::uint64_t now_ns) {
  constexpr std::uint64_t kIdleBeforeNs = 10'000'000'000;
  constexpr std::int64_t kEveryMs = 3'600'000;
  layout::Counter& optimized_ms = current.region().engine().optimized_ms;
  const auto optimized = static_cast<std::int64_t>(Get(optimized_ms));
  if (last_commit_ns == 0 || now_ns < last_commit_ns + kIdleBeforeNs ||
      (optimized <= UnixMs() && UnixMs() - optimized < kEveryMs) || !current.TryLease()) {
    return;
  }
  Put(optimized_ms, static_cast<std::uint64_t>(UnixMs()));
  (void)checkpointer_.Optimize();
  current.EndLease();
}

}  // namespace walmanager
