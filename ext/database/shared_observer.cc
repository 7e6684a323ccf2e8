#include "ext/database/shared_observer.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "ext/system/clock.h"
#include "ext/system/registry.h"

namespace walmanager {
namespace {

std::atomic<ObserverMaker> observer_maker{nullptr};

}  // namespace

void SetObserverMaker(ObserverMaker maker) { observer_maker.store(maker); }

std::shared_ptr<SharedObserver> SharedObserver::OfThisProcess() {
  Registry& registry = Registry::Get();
  {
    const MutexLock lock(registry.mutex);
    if (auto known = registry.observer.lock()) return known;
  }
  auto made = std::make_shared<SharedObserver>();
  const MutexLock lock(registry.mutex);
  if (auto known = registry.observer.lock()) return known;
  registry.observer = made;
  return made;
}

Result<std::vector<HealthObserver::Check>> SharedObserver::Read(Database& database) {
  const ObserverMaker make = observer_maker.load();
  if (!make) return Error{"there is no observer"};
  if (!mutex_.try_lock()) return make()->Read(database);
  const MutexLock lock(mutex_, std::adopt_lock);
  if (!observer_) observer_ = make();
  return observer_->Read(database);
}

Result<std::vector<HealthObserver::Check>> SharedObserver::ReadForAlerts(Database& database) {
  struct Measured {
    explicit Measured(WorkBudget& the_budget) : budget(the_budget) {}
    ~Measured() {
      const auto spent = ClockNs(CLOCK_THREAD_CPUTIME_ID) - start;
      budget.Spend(MonotonicNs(), static_cast<std::uint64_t>(std::max<std::int64_t>(spent, 0)));
    }
    WorkBudget& budget;
    const std::int64_t start = ClockNs(CLOCK_THREAD_CPUTIME_ID);
  } measured(budget_);
  return Read(database);
}

}  // namespace walmanager
