// What a sample of the history consists of, and how several are made one: counters are summed,
// gauges averaged with their extreme kept, histograms added up bucket by bucket.
//
// Plain values and pure functions. Numbers that come from a layout::History are not trusted.
// history.h says where samples are kept and which process may write them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ext/core/control/layout_history.h"

namespace walmanager {

using HistoryCounters = layout::HistoryCounters;

// All that was counted since statistics began.
struct HistoryTotals {
  HistoryCounters counters{};
  // Each with the buckets of its scale; empty: nothing was counted.
  std::vector<std::uint64_t> commit_histogram{};     // DurationScale
  std::vector<std::uint64_t> query_histogram{};      // StatementScale
  std::vector<std::uint64_t> lock_wait_histogram{};  // DurationScale
  std::vector<std::uint64_t> sync_histogram{};       // HistoryWaitScale
};

// What is now. Unknown is nullopt; less than 0 counts as 0.
struct HistoryGauges {
  std::optional<std::int64_t> wal_bytes{}, pending_frames{}, active_readers{}, connections{},
      database_bytes{}, health_score{};
};

// A gauge of those samples that knew it.
struct HistoryGauge {
  double mean = 0;           // each sample counts the same
  std::int64_t extreme = 0;  // the largest; of health_score the smallest
  std::int64_t last = 0;
};

struct HistorySample {
  std::int64_t at_ms = 0;      // Unix time of its end
  std::int64_t covers_ms = 0;  // what the counters are of; 0: not known
  // The sample interval at the time, 60000 or 3600000; the largest of several merged samples.
  std::int64_t resolution_ms = 0;
  std::int64_t samples = 0;  // how many were taken
  HistoryCounters counters{};
  std::optional<HistoryGauge> wal_bytes, pending_frames, active_readers, connections,
      database_bytes, health_score;
  // A weight for each bucket, or empty where nothing was counted: HistogramQuantile reads them.
  // Counts, and where one sample had more than 65535 in a bucket, multiples of what its buckets
  // were halved to.
  std::vector<std::uint64_t> commit_histogram, query_histogram;    // HistoryScale
  std::vector<std::uint64_t> lock_wait_histogram, sync_histogram;  // HistoryWaitScale
};

// Adds the growth from `baseline` to `totals` to `sums`, and makes `totals` the baseline. A counter
// that fell adds nothing: it was reset, or a connection took its counts along. Neither do the very
// first totals.
void AddCounted(const HistoryTotals& totals, layout::HistoryBaseline& baseline,
                layout::HistorySums& sums);
// One sample's gauges.
void SetGauges(const HistoryGauges& gauges, layout::HistorySums& sums);
// `later` is of the time after `sums`.
void AddSample(const layout::HistorySums& later, layout::HistorySums& sums);
// The same of a sample as it is kept, without unpacking it.
void AddRecord(const layout::HistoryRecord& later, layout::HistorySums& sums);

layout::HistoryRecord PackSample(const layout::HistorySums& sums);
layout::HistorySums UnpackSample(const layout::HistoryRecord& record);
HistorySample ReadSample(const layout::HistorySums& sums);

}  // namespace walmanager
