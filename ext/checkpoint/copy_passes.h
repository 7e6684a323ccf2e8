// Copies the frames of the log for one rule in passes, while commits go on, syncs, and records what
// all passes did together. When little is left, the next commit is to finish it
// (ControlRegion::SetPrepared).
//
// The rule that is easy to break: between two passes the mutex of the state is released for a
// moment, so nothing that was read before a pass holds after it.
// Thread rules: in the thread of the background copier, with the mutex of the state held.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "ext/checkpoint/checkpoint_state.h"

namespace walmanager {

class CopyPasses {
 public:
  // `state` outlives it.
  explicit CopyPasses(CheckpointState& state) : state_(state) {}
  CopyPasses(const CopyPasses&) = delete;
  CopyPasses& operator=(const CopyPasses&) = delete;

  // Runs the rule with this number for the log at `index`. The caller holds the lease of the
  // control file. `give_way`, which is called between two passes, lets forks, calls of the user and
  // commits go first, and holds the mutex again when it returns. Returns the time of the next try
  // where a reader kept all frames from being copied; else nullopt.
  std::optional<std::uint64_t> Copy(std::size_t number, const WalIndex& index,
                                    const std::function<void()>& give_way);
  // Whether the last Copy() found another process at work on a checkpoint: a commit that finishes.
  bool met_another() const { return met_another_; }

 private:
  struct Copying {
    Rule rule;
    std::size_t number;                 // of the rule in the strategy
    std::uint64_t settings_generation;  // of the strategy
    WalIndex index;                     // after the last pass
    CheckpointOutcome last_pass = {};
    std::int64_t moved_frames = 0;
    bool in_vain = false;  // the last pass moved nothing, and frames are left
  };

  // Runs a checkpoint in a mode that waits for readers. Returns the time of the next one.
  std::uint64_t RunBlocking(const Rule& rule) REQUIRES(state_.mutex);
  // From the log's limit on, commits pause while this process copies.
  void PullBrake(ControlRegion& region) REQUIRES(state_.mutex);
  // Copies in one pass. Returns whether another pass is wanted.
  bool CopyOnce(ControlRegion& region, Copying& copying) REQUIRES(state_.mutex);
  // Whether the rule still calls for copying, after the mutex was released for a while.
  bool MayGoOn(const Copying& copying) REQUIRES(state_.mutex);
  // While a reader keeps all frames from being copied: syncs a log that has grown long.
  void SyncGrownLog(const WalIndex& index) REQUIRES(state_.mutex);
  // As Copy() returns.
  std::optional<std::uint64_t> Record(ControlRegion& region, const Copying& copying,
                                      std::uint64_t start_ns) REQUIRES(state_.mutex);

  CheckpointState& state_;
  // The log that was synced while nothing could be copied, and up to which frame.
  std::uint32_t synced_salt_ GUARDED_BY(state_.mutex) = 0;
  std::uint32_t synced_frame_ GUARDED_BY(state_.mutex) = 0;
  bool met_another_ = false;  // of the thread alone
};

}  // namespace walmanager
