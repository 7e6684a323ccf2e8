// The thread that copies frames of one database into its file while commits go on, and syncs. When
// little is left it says so (ControlRegion::prepared), and the next commit finishes that, so that
// the one after it starts the log over.
//
// Once per sample interval the thread also looks for the control file and for commits that no hook
// saw; while no connection commits it shrinks the log's file and closes the checkpointer's
// connections. It lets a fork, a call of the user's and a commit go first between two passes.
// Thread rules: as stated below. The owner calls Stop() before it lets go.
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
#include "ext/checkpoint/host_connection.h"
#include "ext/checkpoint/upkeep.h"
#include "ext/core/base/mutex.h"
#include "ext/system/background_thread.h"
#include "ext/system/file_system.h"

namespace walmanager {

// What the checkpoints of a database ask of the owner of its control file.
struct ControlRequests {
  std::function<void()> look;            // has it been deleted, can it be had by now?
  std::function<void()> make_if_wanted;  // the first commit to the log was seen
};

class BackgroundCopier {
 public:
  // `state` outlives it.
  BackgroundCopier(CheckpointState& state, ControlRequests control_requests)
      : state_(state), control_requests_(std::move(control_requests)) {}
  BackgroundCopier(const BackgroundCopier&) = delete;
  BackgroundCopier& operator=(const BackgroundCopier&) = delete;

  // --- the caller holds the mutex of `state`
  // Wakes the thread, which is made where there is none; false where there can be none. `rest_ns`:
  // a thread that is made has nothing to do for so long, unless it is woken again.
  bool HandOver(const HostConnection& host, std::uint64_t rest_ns = 0);
  bool has_thread() const { return thread_ != nullptr; }
  // A commit could not finish the prepared remainder of this rule, since it grew: the thread copies
  // once more, unless that happens again and again.
  void RemainderGrew(ControlRegion& region, std::size_t rule);
  void RemainderFinished() {
    state_.mutex.AssertHeld();
    grown_in_a_row_ = 0;
  }

  // --- any thread
  // The thread gets the priority of any other: a commit waits for it.
  void Hurry() {
    if (thread_runs_.load(std::memory_order_acquire)) thread_->Hurry();
  }
  // Statements of this process whose plan is wanted: the thread asks for them on a connection of
  // its own. False where it cannot; then the caller keeps them.
  bool TakePlanWishes(const HostConnection& host, const std::vector<PlanWish>& wishes);
  // The system gave no thread when one was wanted last.
  bool lacks_thread() const { return lacks_thread_.load(std::memory_order_relaxed); }
  // Ends what the thread does, and the thread.
  void Stop();

 private:
  // What the thread holds while it is inside the engine.
  class EngineGuard;
  struct Due {
    std::optional<std::size_t> rule;  // nullopt: nothing is to be copied
    WalIndex index;                   // the log, where there is a rule
    std::uint64_t not_before_ns = 0;  // 0: now
  };
  // Frames that are copied in passes for one rule.
  struct Copying {
    Rule rule;
    std::size_t number;                 // of the rule in the strategy
    std::uint64_t settings_generation;  // of the strategy
    WalIndex index;                     // after the last pass
    CheckpointOutcome last_pass = {};
    std::int64_t moved_frames = 0;
    bool in_vain = false;  // the last pass
  };

  std::uint64_t Work();
  std::uint64_t Tick(std::uint64_t now_ns, EngineGuard& guard) REQUIRES(state_.mutex);
  // Takes over what commits have recorded of the log, so that an idle one is not opened to be
  // looked at.
  void TakeRecordedLog(const ControlRegion& region) REQUIRES(state_.mutex);
  // Counts what was added to the log by commits that reached no hook.
  void CountUnhookedCommits() REQUIRES(state_.mutex);
  // The log as the checkpointer's connections see it, which are opened for it.
  std::optional<WalIndex> OpenAndLook() REQUIRES(state_.mutex);
  std::optional<std::size_t> Decide(const WalIndex& log, bool idle, std::uint64_t now_ns)
      REQUIRES(state_.mutex);
  Due FindWork(bool idle, std::uint64_t now_ns) REQUIRES(state_.mutex);
  // The upkeep of a thread that has no frames to copy. Returns when it looks again, as the next two
  // functions do.
  std::uint64_t Rest(ControlFile& current, std::uint64_t last_commit_ns, bool idle,
                     std::uint64_t now_ns) REQUIRES(state_.mutex);
  // nullopt: no step is due.
  std::optional<std::uint64_t> ShrinkWhileIdle(ControlFile& current, std::uint64_t now_ns)
      REQUIRES(state_.mutex);
  std::uint64_t CopyInPasses(EngineGuard& guard, std::size_t rule, const WalIndex& index)
      REQUIRES(state_.mutex);
  // A checkpoint in a mode that waits for readers.
  std::uint64_t RunBlocking(const Rule& rule) REQUIRES(state_.mutex);
  // Commits pause while the log is beyond its limit and this process copies.
  void PullBrake(ControlRegion& region) REQUIRES(state_.mutex);
  // One pass; whether another one is wanted.
  bool CopyOnce(ControlRegion& region, Copying& copying) REQUIRES(state_.mutex);
  // After others went first: whether the rule still calls for copying.
  bool MayGoOn(const Copying& copying) REQUIRES(state_.mutex);
  void SyncGrownLog(const WalIndex& index) REQUIRES(state_.mutex);
  std::uint64_t RecordPasses(ControlRegion& region, Copying& copying, std::uint64_t start_ns)
      REQUIRES(state_.mutex);

  CheckpointState& state_;
  const ControlRequests control_requests_;
  Upkeep upkeep_{state_.connections};
  std::atomic<bool> thread_runs_{false};
  std::atomic<bool> lacks_thread_{false};
  std::atomic<std::uint64_t> rests_until_ns_{0};

  std::uint64_t next_tick_ns_ GUARDED_BY(state_.mutex) = 0;
  // The -wal file and what commits had recorded of the log, at the last tick.
  FileStamp wal_stamp_ GUARDED_BY(state_.mutex);
  std::uint64_t recorded_position_ GUARDED_BY(state_.mutex) = 0;
  // As far as the log was synced while nothing could be copied.
  std::uint32_t synced_salt_ GUARDED_BY(state_.mutex) = 0;
  std::uint32_t synced_frame_ GUARDED_BY(state_.mutex) = 0;
  int grown_in_a_row_ GUARDED_BY(state_.mutex) = 0;          // remainders
  std::size_t rule_to_repeat_ GUARDED_BY(state_.mutex) = 0;  // index + 1, for a remainder that grew
  // Last, so that it goes first: it uses all of the above. Made with the mutex held.
  std::unique_ptr<BackgroundThread> thread_;
};

}  // namespace walmanager
