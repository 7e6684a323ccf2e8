// When a commit looks at the log, and what it waits for there: a commit that finishes a remainder,
// a copier that must catch up, and backpressure.
//
// Every commit reads the plan; one thread at a time makes it, with the mutex of the checkpointer
// held. A stale word makes a look early or late by one commit.
// Thread rules: any thread, but for Plan() as above.
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

  // Whether a commit that left the log at `log` looks; a few loads. `region`: of the control file
  // in use.
  bool IsDue(ControlRegion& region, const LogEnd& log, std::uint64_t now_ns) const;

  // After a look at `index` under settings of this generation.
  void Plan(const LookPlan& plan, const WalIndex& index, std::uint64_t settings_generation,
            std::uint64_t sample_interval_ns, std::uint64_t now_ns);
  // The next commit looks, whatever the plan says.
  void LookAtNextCommit() { look_frame_.store(0, std::memory_order_relaxed); }
  // Commits from this frame on look, where the plan lets them look later.
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

  // Waits while another commit finishes the remainder, which it can only while none adds to it.
  // `gate_ns`: what `gate_until_ns` was. Opens a gate that stays shut for longer than that may
  // take.
  void WaitAtGate(layout::Counter& gate_until_ns, std::uint64_t gate_ns,
                  std::uint64_t now_ns) const;
  // Lets the copier catch up. Whether time has passed.
  bool PauseForCopier(std::uint64_t now_ns);
  // Backpressure: sleeps where the log is beyond its limit and stays there. `max_frame`: where this
  // commit left it.
  void SlowDown(const WalFile& log, std::uint32_t max_frame) const;
  // Sleeps as short as a sleep gets: 50 to 60 µs, of which all but one nanosecond is the system's
  // slack for timers.
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
