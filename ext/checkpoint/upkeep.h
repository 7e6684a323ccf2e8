// What the background thread does besides checkpoints, on a connection of its own: the query plans
// that statements of this process asked for, and PRAGMA optimize while no connection commits.
//
// Thread rules: Request() may be called from any thread; the others by the background thread, which
// holds the mutex of CheckpointState.
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

  // False where as many wait already as are kept; then the caller keeps them.
  bool Request(const std::vector<PlanWish>& wishes);
  // Asks for the plans that were requested.
  void CapturePlans(ControlFile& current);
  // Runs PRAGMA optimize once per hour, ten seconds after the last commit.
  void OptimizeIfDue(ControlFile& current, std::uint64_t last_commit_ns, std::uint64_t now_ns);

 private:
  // Waits for no other connection. It regards all tables as used: what the host's statements use
  // is known to its connections alone.
  Status Optimize();
  Status AskForStatistics(sqlite3* db) const;

  CheckpointConnections& connections_;
  Mutex mutex_;
  std::vector<PlanWish> wishes_ GUARDED_BY(mutex_);
};

}  // namespace walmanager
