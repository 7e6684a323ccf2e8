// Checkpoints in the control file: how often rules fired, what the processes tell each other, the
// counters, and the list for wal_checkpoints.
#pragma once

#include <array>
#include <cstdint>

#include "ext/core/base/histogram.h"
#include "ext/core/control/layout_sizes.h"

namespace walmanager::layout {

struct RuleCounters {
  Counter fired;
  Counter last_fired_ms;  // Unix time
};

// What the looks for a replicator found (replicator_watch.h).
struct ReplicatorWords {
  Counter state;      // ReplicatorState
  Counter content;    // a hash of its table
  Counter sign_ns;    // CLOCK_MONOTONIC: the last sign of life
  Counter looked_ns;  // CLOCK_MONOTONIC: the last look
  Counter looks;      // since that sign
};

inline constexpr std::uint64_t kCommitsDoNotSync = 1, kCommitsSync = 2;

// What the checkpointers of all processes tell each other and commits.
struct EngineState {
  Counter prepared;          // salt1 << 32 | frames: a commit may finish a remainder of so many
  Counter prepared_rule;     // index into the rules of the active strategy, + 1
  Counter at_work_until_ns;  // CLOCK_MONOTONIC: a process copies frames until then at most
  Counter brake_frame;       // from this frame on commits pause while frames are copied; 0: none
  Counter optimized_ms;      // Unix time of walmanager's last PRAGMA optimize; 0: none
  Counter evaluated_ns;      // CLOCK_MONOTONIC, when alerts were last evaluated
  Counter health_score;      // of that, + 1; 0: unknown
  std::array<Counter, kLearned> learned;  // bits of a double, as LearnedValue; 0: unknown
  ReplicatorWords replicator;
  Counter stall_since_ns;  // StallAllowance
  Counter commits_sync;    // one of the two above, as a commit was last asked; 0: none was asked
};

struct CheckpointCounters {
  std::array<Counter, 4> by_mode;
  std::array<Counter, 5> by_origin;
  std::array<Counter, 5> by_result;
  Counter frames;
  Counter total_ns;
  Counter max_ns;
  Counter last_ns;    // duration of the last one
  Counter last_ms;    // Unix time of its end
  Counter last_mode;  // CheckpointMode + 1; 0: none yet
  Counter wal_resets;
  Counter wal_bytes_max;
  std::array<Counter, DurationScale::kBuckets> histogram;
};

struct CheckpointRecord {
  std::int64_t at_ms;           // Unix time of its end
  std::int64_t pid;             // as its process itself says, of the namespace below
  std::uint64_t pid_namespace;  // as in ConnectionSlab; also of blocked_by_pid
  std::uint64_t mode;
  std::uint64_t origin;
  std::uint64_t result;
  std::int64_t wal_frames;  // -1: unknown, here and below
  std::int64_t checkpointed_frames;
  std::int64_t moved_frames;
  std::int64_t wal_bytes;
  std::int64_t duration_ns;
  std::int64_t blocked_by_pid;
  char rule[64];
  char error[96];
};
static_assert(sizeof(CheckpointRecord) == 256);

struct CheckpointSlot {
  Counter id;  // 0: empty or being written
  CheckpointRecord record;
};

struct CheckpointRing {
  Counter next_id;       // the last id given out
  Counter forgotten_id;  // records up to this one were reset
  std::array<CheckpointSlot, kFirstCheckpointRecords> slots;
};

}  // namespace walmanager::layout
