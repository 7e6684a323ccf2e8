// When a commit looks at the log, and for what it waits there: for another commit that finishes a
// remainder, for the background thread to catch up, and for backpressure.
//
// Every commit reads the plan. One thread at a time makes it, with the mutex of CheckpointState
// held. A commit that reads parts of two plans looks one commit early or late, and one that sees a
// plan late looks by the plan before. So the words are relaxed: what a look then does, it reads
// anew from the wal-index under SQLite's locks. Thread rules: any thread, except for Plan().
#pragma once

#include <atomic>
#include <cstdint>

#include "ext/core/control/control_region.h"
#include "ext/core/format/wal_index_format.h"
#include "ext/core/policy/look_plan.h"
#include "ext/engine/wal_index.h"

namespace walmanager {

class CommitGate {
 public:
  // How long a commit that finishes a remainder may keep others waiting while the log is not beyond
  // its limit: twice what a finish takes on a slow disk.
  static constexpr std::uint64_t kGateNs = 2'000'000;

  // Whether a commit that left the log at `log` is to look; a few loads. `region`: of the control
  // file in use.
  bool IsDue(ControlRegion& region, const LogEnd& log, std::uint64_t now_ns) const;

  // After a look at `index` under settings of this generation.
  void Plan(const LookPlan& plan, const WalIndex& index, std::uint64_t settings_generation,
            std::uint64_t sample_interval_ns, std::uint64_t now_ns);
  // The next commit looks, whatever the plan says.
  void LookAtNextCommit() { look_frame_.store(0, std::memory_order_relaxed); }
  // Commits look from this frame on, where the plan says a later one.
  void LookFrom(std::uint64_t frame) {
    if (frame < look_frame_.load(std::memory_order_relaxed)) look_frame_ = frame;
  }

  std::uint64_t last_look_ns() const { return last_look_ns_.load(std::memory_order_relaxed); }
  std::uint64_t sample_interval_ns() const {
    return sample_interval_ns_.load(std::memory_order_relaxed);
  }
  // As LookPlan has them.
  std::uint64_t wait_frame() const { return wait_frame_.load(std::memory_order_relaxed); }
  std::uint64_t wait_ns() const { return wait_ns_.load(std::memory_order_relaxed); }

  // Waits while another commit finishes the remainder, so that this commit adds nothing to it.
  // `gate_ns`: the value of `gate_until_ns` that this commit has found. Opens a gate that stays
  // shut for longer than a finish may take.
  void WaitAtGate(layout::Counter& gate_until_ns, std::uint64_t gate_ns,
                  std::uint64_t now_ns) const;
  // Pauses so that the thread that copies catches up: for 50 µs on average, or for up to
  // `longest_ns` where that is longer and as long as the thread, of whatever process, shows the
  // brake. Returns whether time has passed.
  bool PauseForCopier(const layout::Counter& brake_frame, std::uint64_t longest_ns,
                      std::uint64_t now_ns);
  // Backpressure: sleeps where the log is beyond its limit and no other thread has changed that.
  // `max_frame`: where this commit left the log.
  void SlowDown(const WalFile& log, std::uint32_t max_frame) const;
  // Sleeps as briefly as the system can: one nanosecond, which its timer slack makes 50 to 60 µs.
  static void Pause();

 private:
  std::atomic<std::uint64_t> look_frame_{0};
  std::atomic<std::uint32_t> look_salt_{0};
  std::atomic<std::uint64_t> look_settings_{0};
  std::atomic<std::uint64_t> last_look_ns_{0};
  std::atomic<std::uint64_t> sample_interval_ns_{1'000'000'000};
  std::atomic<std::uint64_t> wait_frame_{~std::uint64_t{0}};
  std::atomic<std::uint64_t> wait_ns_{0};
  std::atomic<std::uint64_t> pressure_frame_{~std::uint64_t{0}};
  std::atomic<std::int64_t> pause_debt_ns_{0};
};

}  // namespace walmanager
