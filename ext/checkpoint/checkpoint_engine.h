// Decides after a commit, and in calls of the user, whether the strategy calls for a checkpoint,
// and runs it or hands it to the background thread. A commit that finds a prepared remainder
// finishes it, so that the next commit starts the log over.
//
// Thread rules: any thread that uses a connection of the host, for that connection. A commit waits
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
#include "ext/checkpoint/reader_wait.h"
#include "ext/core/base/mutex.h"

namespace walmanager {

class CheckpointEngine {
 public:
  // Both outlive it. `look_for_control`: ControlRequests::look.
  CheckpointEngine(CheckpointState& state, BackgroundCopier& copier,
                   std::function<void()> look_for_control)
      : state_(state),
        copier_(copier),
        look_for_control_(std::move(look_for_control)),
        wait_(state) {}

  // After a commit that left the log at `index`: finishes what is prepared, or applies the
  // strategy. In the committing thread.
  CheckpointReport AfterCommit(const HostConnection& host, ControlRegion& region, WalIndex index,
                               std::uint64_t now_ns);
  // Applies the strategy now, in a call of the user.
  CheckpointReport AutoCheckpoint(const HostConnection& host, const WalIndex& index);
  // Runs a checkpoint in this mode, whatever the strategy says, in a call of the user.
  CheckpointReport ManualCheckpoint(const HostConnection& host, CheckpointMode mode,
                                    const WalIndex& index, std::uint64_t deadline_ns);
  // Interrupts what runs on the checkpointer's connections and closes them. They are not opened
  // again before the next commit that looks at the log.
  void CloseOwnConnections();
  // After a commit of a connection that is not traced: the same, and for ten seconds the background
  // thread opens nothing.
  void StayOutOfTheWay(std::uint64_t now_ns);

 private:
  // For which connection the strategy is applied, and why.
  struct Ask {
    const HostConnection& host;
    CheckpointOrigin origin;
    bool hurried;  // in a commit
    std::uint64_t began_ns;
    std::uint64_t now_ns;
  };
  // Takes the mutex for a call of the user. The background thread lets it go first.
  void LockForCaller() ACQUIRE(state_.mutex);
  // Pauses where another thread asks for that, takes the mutex and applies the strategy. `index`:
  // the log, looked at again where time has passed.
  CheckpointReport LookAfterCommit(const HostConnection& host, ControlRegion& region,
                                   WalIndex* index, std::uint64_t now_ns);
  // How long a commit that left the log at `max_frame` pauses for the thread that copies, beside
  // the moment that each commit beyond `brake` does: the longer, the further the log is beyond it.
  std::uint64_t LongestPauseNs(std::uint32_t max_frame, std::uint64_t brake) const;
  // Takes the mutex in a commit that left the log at `max_frame`; false where the commit goes on
  // without it. `waited`: time has passed.
  bool LockInCommit(std::uint32_t max_frame, bool host_is_busy, std::uint64_t now_ns, bool* waited)
      TRY_ACQUIRE(true, state_.mutex);
  // Compiles no rule while the log is too short for any rule except those about time, which the
  // thread runs: many programs open the database, commit twice and close it. Reads the settings and
  // plans the next look. False where the rules must be asked now.
  bool RulesCanWait(const HostConnection& host, const WalIndex& index, std::uint64_t now_ns)
      REQUIRES(state_.mutex);
  // Follows changed settings. In a commit it then finishes a prepared remainder, or else takes a
  // step of shrinking the log's file. Where no remainder was finished it goes on to DecideAndRun().
  CheckpointReport ApplyStrategy(const Ask& ask, const WalIndex& index) REQUIRES(state_.mutex);
  // Decides by the strategy in force, and runs the checkpoint or hands it to the background thread.
  // `report`: what ApplyStrategy() knows already.
  CheckpointReport DecideAndRun(const Ask& ask, const WalIndex& index, CheckpointReport report)
      REQUIRES(state_.mutex);
  // Whether a replicator that was seen before is still at work, before an inline checkpoint.
  bool ReplicatorIsThere(const Ask& ask) REQUIRES(state_.mutex);
  // How long it would take to copy all pending frames, as far as has been learned.
  double CopyingNs(const WalIndex& index) const REQUIRES(state_.mutex);
  // How much of the time that a wait for readers took was spent on copying, as far as the frames
  // that it moved explain that.
  std::uint64_t CopiedNs(const CheckpointReport& ran) const REQUIRES(state_.mutex);
  // Whether the last attempts moved nothing, and the next one is not due yet.
  bool IsDelayed(const Ask& ask) const REQUIRES(state_.mutex);
  // Hands the rule's checkpoint to the background thread where that is to run it. Returns why it
  // does not run in this thread now; nullopt where it does.
  std::optional<std::string> Postpone(const Ask& ask, const Rule& rule, const WalIndex& index)
      REQUIRES(state_.mutex);
  // Asks once whether commits of this connection sync the log themselves.
  void LearnWhetherCommitsSync(const HostConnection& host) REQUIRES(state_.mutex);
  // After the checkpoint of a rule on a log that was at `index`: when the next attempt may be, and
  // which commit looks next.
  void PlanAfterRun(const CheckpointReport& ran, const WalIndex& index) REQUIRES(state_.mutex);
  CheckpointReport Run(const HostConnection& host, CheckpointMode mode, const WalIndex& index,
                       std::uint64_t deadline_ns, CheckpointOrigin origin, const std::string& rule)
      REQUIRES(state_.mutex);
  // Copies the prepared remainder; nullopt where there is none, or it cannot be finished now.
  std::optional<CheckpointReport> FinishRemainder(const HostConnection& host, const WalIndex& index,
                                                  ControlRegion& region) REQUIRES(state_.mutex);
  void LearnFromFinish(ControlRegion& region, std::uint64_t start_ns, std::uint64_t end_ns)
      REQUIRES(state_.mutex);
  // Whether the log is over twice the length at which copying begins, or halfway to its limit.
  bool IsFarBehind(const WalIndex& index) const REQUIRES(state_.mutex);

  CheckpointState& state_;
  BackgroundCopier& copier_;
  const std::function<void()> look_for_control_;
  ReaderWait wait_;
};

}  // namespace walmanager
