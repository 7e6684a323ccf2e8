// Samples of wal_history in the control file, and the sums that are not a sample yet (history.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "ext/core/base/histogram.h"
#include "ext/core/control/layout_sizes.h"

namespace walmanager::layout {

// What processes have counted, since statistics began or within a sample.
struct HistoryCounters {
  std::uint64_t commits, statements, frames_written, commit_ns, stall_ns, checkpoints,
      checkpoint_ns, checkpoint_frames, checkpoints_in_vain, cache_hits, cache_misses,
      slow_statements, transactions_upgraded, upgrades_failed, lock_waits, lock_wait_ns,
      busy_errors, snapshot_conflicts;
  std::uint64_t syncs, sync_ns;
};

// The durations of which each sample has a histogram, with the buckets of its scale.
enum HistoryTimes : std::size_t {
  kCommitTimes,    // HistoryScale
  kQueryTimes,     // HistoryScale
  kLockWaitTimes,  // HistoryWaitScale
  kSyncTimes,      // HistoryWaitScale
  kHistoryTimes
};
static_assert(HistoryWaitScale::kBuckets == HistoryScale::kBuckets);
template <typename Weight>
using HistoryHistograms = std::array<std::array<Weight, HistoryScale::kBuckets>, kHistoryTimes>;

struct HistoryGauge {
  std::uint64_t sum;
  std::uint64_t extreme;  // the largest; of health_score the smallest
  std::uint64_t last;
};

struct HistoryHead {
  std::int64_t at_ms;       // Unix time at which its last sample was taken
  std::uint64_t covers_ms;  // since the sample before its first one
  std::uint64_t last_id;    // of its last sample
  std::uint32_t resolution_ms;
  std::uint32_t samples;
  HistoryCounters counters;
  std::array<HistoryGauge, 6> gauges;  // in the order of HistoryGauges in history_sample.h
  std::array<std::uint32_t, 6> known;  // samples that knew the gauge
};

// One sample, or several that were made one.
struct HistorySums {
  HistoryHead head;
  HistoryHistograms<std::uint64_t> times;
};

// The same as it is kept. A histogram's buckets were halved that often, so that they fit.
struct HistoryRecord {
  HistoryHead head;
  std::array<std::uint32_t, kHistoryTimes> halved;
  HistoryHistograms<std::uint16_t> times;
};
static_assert(sizeof(HistoryRecord) == 1112);

struct HistorySlot {
  Counter id;  // 0: empty or being written
  HistoryRecord record;
};

// All that had been counted when the last sample was taken.
struct HistoryBaseline {
  std::uint64_t known;  // 1; else no sample was taken yet
  std::int64_t at_ms;
  std::uint64_t monotonic_ns;  // CLOCK_MONOTONIC; the largest number: of another boot
  HistoryCounters counters;
  HistoryHistograms<std::uint64_t> times;
};

// The state that changes with every sample, at once. Arrays of three have an entry for each ring.
struct HistoryState {
  std::array<std::uint64_t, 3> last_ids;       // the last ones given out
  std::array<std::uint64_t, 3> forgotten_ids;  // samples up to these were reset
  HistoryBaseline baseline;
  HistorySums minute, hour;  // that are not over yet
};
static_assert(sizeof(HistoryState) % 8 == 0);

struct History {
  Counter generation;  // its lowest bit names the state in force
  std::array<HistoryState, 2> states;
};

}  // namespace walmanager::layout
