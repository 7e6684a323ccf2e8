// The watch over one database: a sample of what was counted for wal_history once per sample
// interval, and the evaluation of system_health for wal_alerts. Of all processes that have the
// database open, one at a time does it: the one that comes first when it is due.
//
// What is evaluated are the checks of system_health as they are without a connection of the host's.
// That table is SQL, which this part does not know: it asks an observer that is made elsewhere.
// Thread rules: Tick() may be called from any thread; a thread that comes while another is in it
// goes on.
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

// Reads system_health of one database.
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
  virtual Result<std::vector<Check>> Read() = 0;
};

// How observers are made; set once, when the extension is first loaded, before any database is
// known. `database` outlives the observer.
using ObserverMaker = std::unique_ptr<HealthObserver> (*)(Database& database);
void SetObserverMaker(ObserverMaker maker);

class HealthWatch {
 public:
  explicit HealthWatch(Database& database) : database_(database) {}
  ~HealthWatch();
  HealthWatch(const HealthWatch&) = delete;
  HealthWatch& operator=(const HealthWatch&) = delete;

  // `alerts`: they are evaluated, too. The engine must not be forked meanwhile. What became worse,
  // for the host's error log.
  std::vector<AlertEntry> Tick(bool alerts);
  // Whether the last sample, of whichever process, is less than a minute old.
  bool SampledLately() const;
  // Forgets the samples; how many they were. Waits up to a second for another process that takes
  // one.
  std::int64_t ForgetHistory();

 private:
  void Sample(ControlFile& control, std::int64_t interval_ms);
  std::vector<AlertEntry> Evaluate(ControlFile& control, int raise_after);

  Database& database_;
  std::atomic_flag busy_;
  // Used by the thread that has set busy_.
  std::unique_ptr<HealthObserver> observer_;
  std::uint64_t last_calls_ = 0;
};

}  // namespace walmanager
