// Decides after a commit, and in calls of the user's, whether the strategy calls for a checkpoint,
// and runs it or hands it to the background thread. A commit that finds a prepared remainder
// finishes it, so that the next commit starts the log over.
//
// Thread rules: any thread, each in the name of a host's connection that it uses. A commit waits
// only where the strategy lets it, and never while its own connection reads.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "ext/checkpoint/background_copier.h"
#include "ext/checkpoint/checkpoint_report.h"
#include "ext/checkpoint/checkpoint_state.h"
#include "ext/checkpoint/host_connection.h"
#include "ext/core/base/mutex.h"

namespace walmanager {

class CheckpointEngine {
 public:
  // Both outlive it. `look_for_control`: of ControlRequests.
  CheckpointEngine(CheckpointState& state, BackgroundCopier& copier,
                   std::function<void()> look_for_control)
      : state_(state), copier_(copier), look_for_control_(std::move(look_for_control)) {}

  // After a commit to the log that left it at `index`: finishes what is prepared, or evaluates the
  // strategy, where one of them is due. In the committing thread.
  CheckpointReport AfterCommit(const HostConnection& host, ControlRegion& region, WalIndex index,
                               std::uint64_t now_ns);
  // Evaluates the strategy now, in a call of the user's.
  CheckpointReport AutoCheckpoint(const HostConnection& host, const WalIndex& index);
  CheckpointReport ManualCheckpoint(const HostConnection& host, CheckpointMode mode,
                                    const WalIndex& index, std::uint64_t deadline_ns);
  // Ends what runs on the checkpointer's connections and closes them; none is opened before the
  // next commit that has something due.
  void CloseOwnConnections();
  // After a commit of a connection whose statements are not traced: the same, and for ten seconds
  // the background thread opens nothing.
  void StayOutOfTheWay(std::uint64_t now_ns);

 private:
  // One evaluation of the strategy.
  struct Ask {
    const HostConnection& host;
    CheckpointOrigin origin;
    bool hurried;  // in a commit
    std::uint64_t began_ns;
    std::uint64_t now_ns;
  };
  // Takes the mutex for a call of the user's, which the background thread lets go first.
  void LockForCaller() ACQUIRE(state_.mutex);
  CheckpointReport LookAfterCommit(const HostConnection& host, ControlRegion& region,
                                   WalIndex* index, std::uint64_t now_ns);
  // Takes the mutex in a commit that left the log at `max_frame`; false where the commit goes on
  // without it. `waited`: time has passed.
  bool LockInCommit(std::uint32_t max_frame, bool host_is_busy, std::uint64_t now_ns, bool* waited)
      TRY_ACQUIRE(true, state_.mutex);
  // While the log is too short for any rule but those for time, and those are the thread's, no rule
  // is compiled: many a program opens the database, commits twice and closes it. Reads the settings
  // and plans the next look; false where the rules are to be asked.
  bool RulesCanWait(const HostConnection& host, const WalIndex& index, std::uint64_t now_ns)
      REQUIRES(state_.mutex);
  CheckpointReport Evaluate(const Ask& ask, const WalIndex& index) REQUIRES(state_.mutex);
  // What the strategy in force calls for. `report` has what is known already.
  CheckpointReport Decide(const Ask& ask, const WalIndex& index, CheckpointReport report)
      REQUIRES(state_.mutex);
  // Whether a replicator that was seen before is still at work, before an inline checkpoint.
  bool ReplicatorIsThere(const Ask& ask) REQUIRES(state_.mutex);
  // How long copying what is pending would take, as far as that is learned.
  double CopyingNs(const WalIndex& index) const REQUIRES(state_.mutex);
  // Why the rule's checkpoint does not run in this thread at this moment; nullopt: it does.
  std::optional<std::string> Postpone(const Ask& ask, const Rule& rule, const WalIndex& index)
      REQUIRES(state_.mutex);
  // Asks once whether commits of this connection sync by themselves.
  void LearnWhetherCommitsSync(const HostConnection& host) REQUIRES(state_.mutex);
  // How long this thread waits for readers under this rule, where it may wait.
  std::uint64_t BudgetNs(const Ask& ask, const Rule& rule, const WalIndex& index)
      REQUIRES(state_.mutex);
  CheckpointReport RunRule(const Ask& ask, const Rule& rule, const WalIndex& index,
                           std::uint64_t budget_ns) REQUIRES(state_.mutex);
  CheckpointReport Run(const HostConnection& host, CheckpointMode mode, const WalIndex& index,
                       std::uint64_t deadline_ns, CheckpointOrigin origin, const std::string& rule)
      REQUIRES(state_.mutex);
  // The prepared remainder; nullopt where there is none or this is not the moment.
  std::optional<CheckpointReport> FinishRemainder(const HostConnection& host, const WalIndex& index,
                                                  ControlRegion& region) REQUIRES(state_.mutex);
  void LearnFromFinish(ControlRegion& region, std::uint64_t start_ns, std::uint64_t end_ns)
      REQUIRES(state_.mutex);
  // Whether the log is over twice the length at which it is to start over.
  bool IsOverTwiceItsTarget(const WalIndex& index, const Learned& learned) const
      REQUIRES(state_.mutex);

  CheckpointState& state_;
  BackgroundCopier& copier_;
  const std::function<void()> look_for_control_;
  // After a budget that was spent in vain no commit waits for readers before this.
  std::atomic<std::uint64_t> no_stall_before_ns_{0};
};

}  // namespace walmanager
