// Alerts that wait to be written to the host's error log.
//
// The rule that is easy to break: only a thread of the host writes them. The callback of the error
// log may take a lock of the host, for example of an interpreter. A thread that closes the database
// or forks may hold that lock while it waits for a thread of this extension.
// Thread rules: any thread may call Add(), only a thread of the host Write().
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "ext/core/base/mutex.h"
#include "ext/core/control/alerts.h"

namespace walmanager {

class AlertNews {
 public:
  explicit AlertNews(std::string database_path) : path_(std::move(database_path)) {}

  // Keeps the newest 256 alerts, as many as wal_alerts shows.
  void Add(std::vector<AlertEntry> alerts);
  // Writes them to the error log. One load where there are none.
  void Write() {
    if (has_some_.load(std::memory_order_relaxed)) WriteAll();
  }

 private:
  void WriteAll();

  const std::string path_;
  Mutex mutex_;
  std::vector<AlertEntry> alerts_ GUARDED_BY(mutex_);
  // Changed with mutex_ held. Relaxed: news that is seen late is written at the next statement.
  std::atomic<bool> has_some_{false};
};

}  // namespace walmanager
