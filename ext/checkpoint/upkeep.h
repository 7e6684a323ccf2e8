// What the background thread does besides checkpoints, on a connection of its own: the query plans
// that statements of this process asked for, and PRAGMA optimize while no connection commits.
//
// Thread rules: any thread may call Request() and has_requests(). Only the background thread calls
// the others, with the mutex of CheckpointState held.
#pragma once

#include <cstdint>
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
  // Runs PRAGMA optimize once per hour, ten seconds after the last commit.
  void OptimizeIfDue(ControlFile& current, std::uint64_t last_commit_ns, std::uint64_t now_ns);
  // Whether it is to run once no connection has committed for ten seconds.
  static bool WillOptimize(ControlRegion& region, std::uint64_t last_commit_ns);

 private:
  // Does not wait for other connections. It treats all tables as used, since only the host's own
  // connections know which tables their statements use.
  Status Optimize();
  Status AskForStatistics(sqlite3* db) const;

  CheckpointConnections& connections_;
  Mutex mutex_;
  std::vector<PlanWish> wishes_ GUARDED_BY(mutex_);
};

}  // namespace walmanager
