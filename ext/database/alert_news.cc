#include "ext/database/alert_news.h"

#include <iterator>
#include <utility>

#include "ext/engine/sqlite.h"

namespace walmanager {

void AlertNews::Add(std::vector<AlertEntry> alerts) {
  constexpr std::size_t kMost = 256;
  if (alerts.empty()) return;
  const MutexLock lock(mutex_);
  std::move(alerts.begin(), alerts.end(), std::back_inserter(alerts_));
  if (alerts_.size() > kMost) alerts_.erase(alerts_.begin(), alerts_.end() - kMost);
  has_some_.store(true, std::memory_order_relaxed);
}

void AlertNews::WriteAll() {
  std::vector<AlertEntry> alerts;
  {
    const MutexLock lock(mutex_);
    alerts.swap(alerts_);
    has_some_.store(false, std::memory_order_relaxed);
  }
  for (const AlertEntry& alert : alerts) {
    sqlite3_log(SQLITE_WARNING, "walmanager: %s: %s: %s: %s", path_.c_str(), alert.check.c_str(),
                AlertStatusName(alert.status), alert.detail.c_str());
  }
}

}  // namespace walmanager
