// A thread's work besides checkpoints, on an own connection. It makes the query plans that
// statements of this process asked for, and runs PRAGMA optimize while no connection commits.
//
// A plan is made once for each statement and version of the schema, in a fiftieth of the time of
// one processor. Thread rules: any thread may call Request(), TakesRequests(), has_requests() and
// planned_schema(). One thread at a time calls the others, with the mutex of CheckpointState held.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_set>
#include <vector>

#include "ext/checkpoint/checkpoint_connections.h"
#include "ext/checkpoint/plan_wish.h"
#include "ext/checkpoint/planned_schema.h"
#include "ext/core/base/mutex.h"
#include "ext/engine/sqlite.h"
#include "ext/system/control_file.h"

namespace walmanager {

class KnownNames;
class QueryStatistics;

class Upkeep {
 public:
  explicit Upkeep(CheckpointConnections& connections) : connections_(connections) {}

  std::shared_ptr<PlannedSchema> planned_schema() const { return planned_; }
  // False for ten seconds after no connection could be opened.
  bool TakesRequests(std::uint64_t now_ns) const {
    return now_ns >= refuses_until_ns_.load(std::memory_order_relaxed);
  }
  // False where too many requests wait already; then the caller keeps them.
  bool Request(const std::vector<PlanWish>& wishes);
  bool has_requests() {
    const MutexLock lock(mutex_);
    return !wishes_.empty();
  }
  // Asks SQLite for the requested plans and stores them, for five milliseconds at most. Later calls
  // do the rest.
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
  std::vector<PlanWish> TakeRequests();
  // Requests that are left come first the next time.
  void PutBack(std::vector<PlanWish> left);
  // Serves `wishes` until `end_ns`, and erases those that it has served. False where it could not
  // begin.
  bool Serve(ControlFile& current, std::vector<PlanWish>& wishes, std::uint64_t end_ns);
  void ServeOne(QueryStatistics& statistics, sqlite3* db, const KnownNames& known,
                const PlanWish& wish, std::uint32_t schema_version);
  // Another process may have changed the schema. Costs nothing where no connection is open.
  void LookAtSchema(ControlFile& current, std::uint64_t now_ns);
  // Returns false where it ended before the last table. Does not wait for other connections. It
  // treats all tables as used, since only the host's own connections know which tables their
  // statements use.
  Result<bool> Optimize(const std::function<bool()>& others_wait);
  Status AskForStatistics(sqlite3* db) const;

  CheckpointConnections& connections_;
  // How long PRAGMA optimize waits after the last run, which did not come to its end, and until
  // when; both 0 where it did.
  std::uint64_t pause_ns_ = 0, not_before_ns_ = 0;
  const std::shared_ptr<PlannedSchema> planned_ = std::make_shared<PlannedSchema>();
  std::atomic<std::uint64_t> refuses_until_ns_{0};  // a time that stands for itself: read relaxed
  std::uint64_t next_plans_ns_ = 0;                 // so that plans take no more than their share
  std::uint64_t next_schema_ns_ = 0;                // LookAtSchema()
  std::uint64_t schema_position_ = 0;
  Mutex mutex_;
  std::vector<PlanWish> wishes_ GUARDED_BY(mutex_);
  std::unordered_set<std::uint64_t> wished_ GUARDED_BY(mutex_);  // their ids
  std::size_t wish_bytes_ GUARDED_BY(mutex_) = 0;                // of their texts
};

}  // namespace walmanager
