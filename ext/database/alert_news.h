// Alerts that wait to be written to the host's error log.
//
// The rule that is easy to break: only a thread of the host's writes them. The log's callback may
// want a lock of the host's, an interpreter's for example, which the thread that closes the
// database or forks may hold while it waits for a thread of this extension.
// Thread rules: any thread may add; Write() as above.
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

  // Keeps the newest 256, as many as wal_alerts has.
  void Add(std::vector<AlertEntry> alerts);
  // One load where there is nothing to write.
  void Write() {
    if (has_some_.load(std::memory_order_relaxed)) WriteAll();
  }

 private:
  void WriteAll();

  const std::string path_;
  Mutex mutex_;
  std::vector<AlertEntry> alerts_ GUARDED_BY(mutex_);
  std::atomic<bool> has_some_{false};  // changed with mutex_ held
};

}  // namespace walmanager
