// What the background thread does besides checkpoints, on a connection of its own: the query plans
// that statements of this process asked for, and PRAGMA optimize while no connection commits.
//
// Thread rules: any thread may call Request() and has_requests(). Only the background thread calls
// the others, with the mutex of CheckpointState held.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "ext/checkpoint/checkpoint_connections.h"
#include "ext/checkpoint/plan_wish.h"
#include "ext/core/base/mutex.h"
#include "ext/system/control_file.h"

namespace walmanager {

class Upkeep {
 public:
  explicit Upkeep(CheckpointConnections& connections) : connections_(connections) {}

  // False where too many requests wait already; then the caller keeps them.
  bool Request(const std::vector<PlanWish>& wishes);
  bool has_requests() {
    const MutexLock lock(mutex_);
    return !wishes_.empty();
  }
  // Asks SQLite for the requested plans and stores them.
  void CapturePlans(ControlFile& current);
  // Runs PRAGMA optimize once per hour, ten seconds after the last commit. It ends between two
  // tables where another connection writes, where it is cancelled, or as soon as `others_wait()`:
  // then a later call does the rest.
  void OptimizeIfDue(ControlFile& current, std::uint64_t last_commit_ns, std::uint64_t now_ns,
                     const std::function<bool()>& others_wait);
  // The first time at which OptimizeIfDue() has something to do, if no connection commits before
  // that; nullopt where there is no such time.
  std::optional<std::uint64_t> NextOptimize(ControlRegion& region,
                                            std::uint64_t last_commit_ns) const;

 private:
  // Returns false where it ended before the last table. Does not wait for other connections. It
  // treats all tables as used, since only the host's own connections know which tables their
  // statements use.
  Result<bool> Optimize(const std::function<bool()>& others_wait);
  Status AskForStatistics(sqlite3* db) const;

  CheckpointConnections& connections_;
  // How long PRAGMA optimize waits after the last run, which did not come to its end, and until
  // when; both 0 where it did.
  std::uint64_t pause_ns_ = 0, not_before_ns_ = 0;
  Mutex mutex_;
  std::vector<PlanWish> wishes_ GUARDED_BY(mutex_);
};

}  // namespace walmanager
