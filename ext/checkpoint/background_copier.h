// Copies frames from the log of one database into its file while commits go on, and syncs: a task
// of the process's copying threads (scheduler.h). When few frames are left, it announces them
// (ControlRegion::prepared). The next commit copies these, so that the commit after it starts the
// log over.
//
// While the process uses the database, the task also looks once per sample interval for the control
// file and for commits that no hook saw. Else it goes on until nothing is left: frames that are
// due, a log to shrink, connections of the checkpointer to close. Then it sleeps. Between two
// passes it lets forks, calls of the user and commits go first. Thread rules: as stated below; "the
// thread" is the one that runs the task. The owner calls Stop() before it destroys the object.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ext/checkpoint/checkpoint_state.h"
#include "ext/checkpoint/copy_passes.h"
#include "ext/checkpoint/host_connection.h"
#include "ext/checkpoint/upkeep.h"
#include "ext/core/base/mutex.h"
#include "ext/system/file_system.h"
#include "ext/system/scheduler.h"

namespace walmanager {

// What the checkpoints of a database ask of the owner of its control file.
struct ControlRequests {
  std::function<void()> look;            // looks whether it was deleted, or can be made by now
  std::function<void()> make_if_wanted;  // at the first commit to the log
};

class BackgroundCopier {
 public:
  // `state` outlives it.
  BackgroundCopier(CheckpointState& state, ControlRequests control_requests);
  BackgroundCopier(const BackgroundCopier&) = delete;
  BackgroundCopier& operator=(const BackgroundCopier&) = delete;

  // --- the caller holds the mutex of `state`
  // Whether a connection of the host lets the task open connections of its own. Where it does not,
  // commits copy (CheckpointState::commits_copy).
  bool IsPermitted(const HostConnection& host);
  // Wakes the task. False where no thread can run it, and from the log's limit on where none has
  // taken it for a second: then all of them may be at work on a disk that does not answer.
  bool HandOver(const HostConnection& host);
  // The same for work that comes with time: the task first looks a moment later, and in a young
  // process once that is older and uses the database.
  bool StandBy(const HostConnection& host);
  // Whether the task has been woken, and a thread was there at the last try; it follows what
  // happens from then on.
  bool is_at_work() const { return is_at_work_; }
  // A commit could not finish the prepared remainder of this rule, because it had grown. The thread
  // copies once more, unless that has happened several times in a row.
  void RemainderGrew(ControlRegion& region, std::size_t rule);
  void RemainderFinished() {
    state_.mutex.AssertHeld();
    grown_in_a_row_ = 0;
  }

  // --- any thread
  // Gives the thread the priority of any other thread, since a commit waits for it.
  void Hurry() { task_.Hurry(); }
  // Whether this process uses the database: then the task looks at regular intervals.
  void FollowActivity(bool active);
  // Has CapturePlans() make the query plans of these statements. False where it cannot; then the
  // caller keeps the wishes. Wakes nothing.
  bool TakePlanWishes(const HostConnection& host, const std::vector<PlanWish>& wishes);
  // Makes the plans that were asked for, for some milliseconds. Called at each regular look, which
  // no copy holds up; where the mutex of `state` cannot be had, the next look does it.
  void CapturePlans();
  std::shared_ptr<PlannedSchema> planned_schema() const { return upkeep_.planned_schema(); }
  // Whether the system refused to start the thread at the last try.
  bool lacks_thread() const { return lacks_thread_.load(std::memory_order_relaxed); }
  // Interrupts what the task does, and ends it.
  void Stop();

 private:
  // What the thread holds while it is inside the engine.
  class EngineGuard;
  struct Due {
    std::optional<std::size_t> rule;  // nullopt: nothing is to be copied
    WalIndex index;                   // the log, where there is a rule
    bool is_before_sleep = false;     // the rule is that of ChooseRuleBeforeSleep()
    std::uint64_t not_before_ns = 0;  // 0: now
  };

  std::uint64_t Work();
  std::uint64_t Tick(std::uint64_t now_ns, EngineGuard& guard) REQUIRES(state_.mutex);
  // Takes over what commits have recorded of the log, so that the thread need not open an idle
  // database to look at its log.
  void TakeRecordedLog(const ControlRegion& region) REQUIRES(state_.mutex);
  // Counts the frames of commits for which no WAL hook was called.
  void CountUnhookedCommits() REQUIRES(state_.mutex);
  // Opens the checkpointer's connections where they are not open, and looks at the log through
  // them.
  std::optional<WalIndex> OpenAndLook() REQUIRES(state_.mutex);
  // The first rule that holds for `log`, of the rules that this thread may run now.
  std::optional<std::size_t> ChooseRuleForThread(const WalIndex& log, bool idle,
                                                 std::uint64_t now_ns) REQUIRES(state_.mutex);
  Due FindWork(bool idle, std::uint64_t now_ns) REQUIRES(state_.mutex);
  bool Wake(std::uint64_t at_ns) REQUIRES(state_.mutex);
  // Whether statements or commits of this process have used the database lately.
  bool IsInUse(std::uint64_t now_ns) const;
  // Once the process does not use the database any more: the rule that is due in
  // checkpoint_interval_ms at the latest, so that no thread has to wait for that. At most once in
  // that time, since the process may come back soon. A copy that moves nothing is repeated a second
  // later.
  std::optional<std::size_t> ChooseRuleBeforeSleep(std::uint64_t now_ns) REQUIRES(state_.mutex);
  std::uint64_t IntervalNs() const REQUIRES(state_.mutex);  // checkpoint_interval_ms
  // Upkeep while there are no frames to copy. Returns the time of the next look, as the next
  // functions do.
  std::uint64_t Rest(ControlFile& current, std::uint64_t last_commit_ns, bool idle,
                     std::uint64_t now_ns) REQUIRES(state_.mutex);
  // Where nothing happens: the next time at which something that is left can be done; kNever where
  // nothing is.
  std::uint64_t NextOfWhatIsLeft(ControlRegion& region, std::uint64_t last_commit_ns,
                                 std::uint64_t now_ns) REQUIRES(state_.mutex);
  // When a rule calls for the frames that are pending, while no connection commits.
  std::uint64_t NextByTime(ControlRegion& region, std::uint64_t now_ns) REQUIRES(state_.mutex);
  // nullopt: no step is due.
  std::optional<std::uint64_t> ShrinkWhileIdle(ControlFile& current, std::uint64_t now_ns)
      REQUIRES(state_.mutex);

  CheckpointState& state_;
  const ControlRequests control_requests_;
  Upkeep upkeep_{state_.connections};
  CopyPasses passes_{state_};
  std::atomic<bool> lacks_thread_{false};  // for display: read relaxed
  std::atomic<bool> stands_by_{false};     // a connection of the host's has permitted the task
  std::atomic<bool> active_{false};        // as FollowActivity()
  std::atomic<bool> is_at_work_{false};
  std::atomic<bool> works_{false};                // a thread is in Work()
  std::atomic<std::uint64_t> waits_since_ns_{0};  // since HandOver() has found no thread in it

  std::uint64_t next_tick_ns_ GUARDED_BY(state_.mutex) = 0;
  std::uint64_t next_copy_before_sleep_ns_ GUARDED_BY(state_.mutex) = 0;  // ChooseRuleBeforeSleep()
  // The -wal file and what commits had recorded of the log, at the last tick.
  FileStamp wal_stamp_ GUARDED_BY(state_.mutex);
  std::uint64_t recorded_position_ GUARDED_BY(state_.mutex) = 0;
  int grown_in_a_row_ GUARDED_BY(state_.mutex) = 0;          // remainders that grew
  std::size_t rule_to_repeat_ GUARDED_BY(state_.mutex) = 0;  // index + 1, for a remainder that grew
  Scheduler::Task task_;  // declared last, so that it is destroyed first: it uses all of the above
};

}  // namespace walmanager
