// The watch over one database: once per sample interval it takes a sample of what was counted for
// wal_history, and it evaluates system_health for wal_alerts. Of all processes that have the
// database open, one at a time does this: the first that looks when it is due.
//
// It evaluates the checks of system_health as they are without a connection of the host. That table
// is SQL, which this part does not know, so it asks an observer that is made elsewhere.
// Thread rules: any thread may call Tick(). It does nothing while another thread is in it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ext/core/base/result.h"
#include "ext/core/control/alerts.h"

namespace walmanager {

class ControlFile;
class Database;
class SharedObserver;

// Reads system_health of one database after the other, by one thread at a time.
class HealthObserver {
 public:
  virtual ~HealthObserver() = default;
  struct Check {
    std::string name;
    CheckStatus status = CheckStatus::kUnknown;
    std::optional<double> value, warning_at, critical_at;
    std::optional<std::int64_t> score;
    std::string detail;
  };
  // The last one is `overall`.
  virtual Result<std::vector<Check>> Read(Database& database) = 0;
};

// Makes an observer. Set once, when the extension is first loaded, before any database is known.
using ObserverMaker = std::unique_ptr<HealthObserver> (*)();
void SetObserverMaker(ObserverMaker maker);

class HealthWatch {
 public:
  explicit HealthWatch(Database& database);
  ~HealthWatch();
  HealthWatch(const HealthWatch&) = delete;
  HealthWatch& operator=(const HealthWatch&) = delete;

  // Takes a sample where one is due. `alerts`: evaluates the alerts, too, and returns what became
  // worse, for the host's error log. The process must not fork meanwhile.
  std::vector<AlertEntry> Tick(bool alerts);
  // Evaluates the checks now, for a call of the user. Alerts and samples stay as they are. The
  // process must not fork meanwhile.
  Result<std::vector<HealthObserver::Check>> ReadChecks();
  // The sample interval at the last Tick() that looked.
  std::uint64_t sample_interval_ns() const {
    return sample_interval_ns_.load(std::memory_order_relaxed);
  }
  // How long it takes until a sample is due.
  std::uint64_t SampleDueInNs() const;
  // Whether any process has taken a sample since then, in MonotonicNs.
  bool HasSampledSince(std::uint64_t then_ns) const;
  // False: the databases of this process have evaluated alerts a lot lately. A regular look then
  // leaves the evaluation to a later one.
  bool HasRoomForAlerts(std::uint64_t now_ns) const;
  // Whether the last sample of any process is less than a minute old.
  bool SampledLately() const;
  // Forgets the samples. Returns how many there were. Waits up to a second for another process that
  // takes one.
  std::int64_t ForgetHistory();

 private:
  void Sample(ControlFile& control, std::int64_t interval_ms);
  std::vector<AlertEntry> EvaluateAlerts(ControlFile& control, int raise_after);

  Database& database_;
  std::atomic_flag busy_;  // a lock: taken with acquire, and given back with release
  std::atomic<std::uint64_t> sample_interval_ns_{1'000'000'000};  // stands for itself: relaxed
  // Each database has it from the beginning, so it stays as long as any is open, with its compiled
  // statements.
  const std::shared_ptr<SharedObserver> observer_;
  std::uint64_t last_calls_ = 0;  // used by the thread that has set busy_
};

}  // namespace walmanager
