#include "ext/core/control/history_sample.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <limits>

namespace walmanager {
namespace {

using layout::HistoryHead;
using layout::HistoryRecord;
using layout::HistorySums;

using Wide = std::array<std::uint64_t, HistoryScale::kBuckets>;
using Packed = std::array<std::uint16_t, HistoryScale::kBuckets>;

constexpr std::array kCounters = {&HistoryCounters::commits,
                                  &HistoryCounters::statements,
                                  &HistoryCounters::frames_written,
                                  &HistoryCounters::commit_ns,
                                  &HistoryCounters::stall_ns,
                                  &HistoryCounters::checkpoints,
                                  &HistoryCounters::checkpoint_ns,
                                  &HistoryCounters::checkpoint_frames,
                                  &HistoryCounters::checkpoints_in_vain,
                                  &HistoryCounters::cache_hits,
                                  &HistoryCounters::cache_misses,
                                  &HistoryCounters::slow_statements,
                                  &HistoryCounters::transactions_upgraded,
                                  &HistoryCounters::upgrades_failed,
                                  &HistoryCounters::lock_waits,
                                  &HistoryCounters::lock_wait_ns,
                                  &HistoryCounters::busy_errors,
                                  &HistoryCounters::snapshot_conflicts,
                                  &HistoryCounters::syncs,
                                  &HistoryCounters::sync_ns};
static_assert(sizeof(HistoryCounters) == 8 * kCounters.size());

// In the order in which HistoryHead::gauges has them.
constexpr std::array kGaugesNow = {&HistoryGauges::wal_bytes,      &HistoryGauges::pending_frames,
                                   &HistoryGauges::active_readers, &HistoryGauges::connections,
                                   &HistoryGauges::database_bytes, &HistoryGauges::health_score};
constexpr std::array kGaugesRead = {&HistorySample::wal_bytes,      &HistorySample::pending_frames,
                                    &HistorySample::active_readers, &HistorySample::connections,
                                    &HistorySample::database_bytes, &HistorySample::health_score};
constexpr std::size_t kGauges = kGaugesNow.size();
constexpr std::size_t kHealthScore = kGauges - 1;
static_assert(kGaugesRead.size() == kGauges);
static_assert(std::tuple_size_v<decltype(HistoryHead::gauges)> == kGauges);
static_assert(std::tuple_size_v<decltype(HistoryHead::known)> == kGauges);

constexpr std::uint32_t kMostHalvings = 48;

std::int64_t Signed(std::uint64_t value) {
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  return static_cast<std::int64_t>(std::min(value, static_cast<std::uint64_t>(kMost)));
}

// Moves `baseline` to `now` and returns the difference.
std::uint64_t Advance(std::uint64_t& baseline, std::uint64_t now) {
  const std::uint64_t before = baseline;
  baseline = now;
  return now > before ? now - before : 0;
}

// The counts of another scale by buckets of `To`.
template <typename Scale, typename To>
Wide Fold(const std::vector<std::uint64_t>& counts) {
  static const auto folded = [] {
    std::array<std::size_t, Scale::kBuckets> places{};
    for (std::size_t i = 0; i < places.size(); ++i) {
      places[i] = To::Bucket(static_cast<std::uint64_t>(Scale::Middle(i)));
    }
    return places;
  }();
  Wide wide{};
  for (std::size_t i = 0; i < std::min(counts.size(), folded.size()); ++i) {
    wide[folded[i]] += counts[i];
  }
  return wide;
}

void AdvanceHistogram(Wide& baseline, const Wide& now, bool counts, Wide& sums) {
  for (std::size_t i = 0; i < now.size(); ++i) {
    const std::uint64_t added = Advance(baseline[i], now[i]);
    if (counts) sums[i] += added;
  }
}

// Half of it `times` times, rounded to the nearest.
std::uint64_t Halved(std::uint64_t weight, std::uint32_t times) {
  return times == 0 ? weight : (weight >> times) + (weight >> (times - 1) & 1);
}

std::uint32_t Pack(const Wide& wide, Packed& packed) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint16_t>::max();
  const std::uint64_t largest = *std::max_element(wide.begin(), wide.end());
  std::uint32_t halvings = 0;
  while (halvings < kMostHalvings && Halved(largest, halvings) > kMost) ++halvings;
  for (std::size_t i = 0; i < wide.size(); ++i) {
    packed[i] = static_cast<std::uint16_t>(std::min(Halved(wide[i], halvings), kMost));
  }
  return halvings;
}

Wide Unpack(const Packed& packed, std::uint32_t halvings) {
  halvings = std::min(halvings, kMostHalvings);
  Wide wide{};
  for (std::size_t i = 0; i < wide.size(); ++i) wide[i] = std::uint64_t{packed[i]} << halvings;
  return wide;
}

// The same of a packed one. Most buckets of a sample are empty, so four are looked at in one step.
void AddPacked(const Packed& later, std::uint32_t halvings, Wide& sums) {
  constexpr std::size_t kStep = 4;
  static_assert(std::tuple_size_v<Packed> % kStep == 0);
  halvings = std::min(halvings, kMostHalvings);
  for (std::size_t i = 0; i < later.size(); i += kStep) {
    std::uint64_t four = 0;
    std::memcpy(&four, &later[i], sizeof four);
    if (four == 0) continue;
    for (std::size_t k = i; k < i + kStep; ++k) sums[k] += std::uint64_t{later[k]} << halvings;
  }
}

void AddHistogram(const Wide& later, Wide& sums) {
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += later[i];
}

void AddGauge(const HistoryHead& later, std::size_t i, HistoryHead& head) {
  if (later.known[i] == 0) return;
  const layout::HistoryGauge& from = later.gauges[i];
  layout::HistoryGauge& to = head.gauges[i];
  if (head.known[i] == 0) {
    to.extreme = from.extreme;
  } else {
    to.extreme =
        i == kHealthScore ? std::min(to.extreme, from.extreme) : std::max(to.extreme, from.extreme);
  }
  to.sum += from.sum;
  to.last = from.last;
  head.known[i] += later.known[i];
}

void AddHead(const HistoryHead& later, HistoryHead& head) {
  head.at_ms = later.at_ms;
  head.covers_ms += later.covers_ms;
  head.last_id = later.last_id;
  head.resolution_ms = std::max(head.resolution_ms, later.resolution_ms);
  head.samples += later.samples;
  for (const auto counter : kCounters) head.counters.*counter += later.counters.*counter;
  for (std::size_t i = 0; i < kGauges; ++i) AddGauge(later, i, head);
}

std::optional<HistoryGauge> ReadGauge(const HistoryHead& head, std::size_t i) {
  if (head.known[i] == 0) return std::nullopt;
  const layout::HistoryGauge& gauge = head.gauges[i];
  return HistoryGauge{static_cast<double>(gauge.sum) / head.known[i], Signed(gauge.extreme),
                      Signed(gauge.last)};
}

// What a histogram of the layout is made of, and what it becomes.
struct Times {
  std::vector<std::uint64_t> HistoryTotals::*counted;
  Wide (*fold)(const std::vector<std::uint64_t>&);
  std::vector<std::uint64_t> HistorySample::*read;
};
// In the order of layout::HistoryTimes.
constexpr std::array kTimes = {
    Times{&HistoryTotals::commit_histogram, Fold<DurationScale, HistoryScale>,
          &HistorySample::commit_histogram},
    Times{&HistoryTotals::query_histogram, Fold<StatementScale, HistoryScale>,
          &HistorySample::query_histogram},
    Times{&HistoryTotals::lock_wait_histogram, Fold<DurationScale, HistoryWaitScale>,
          &HistorySample::lock_wait_histogram},
    Times{&HistoryTotals::sync_histogram, Fold<HistoryWaitScale, HistoryWaitScale>,
          &HistorySample::sync_histogram}};
static_assert(kTimes.size() == layout::kHistoryTimes);

}  // namespace

void AddCounted(const HistoryTotals& totals, layout::HistoryBaseline& baseline, HistorySums& sums) {
  // It is not known since when the very first totals were counted.
  const bool counts = baseline.known == 1;
  for (const auto counter : kCounters) {
    const std::uint64_t added = Advance(baseline.counters.*counter, totals.counters.*counter);
    if (counts) sums.head.counters.*counter += added;
  }
  for (std::size_t i = 0; i < kTimes.size(); ++i) {
    AdvanceHistogram(baseline.times[i], kTimes[i].fold(totals.*kTimes[i].counted), counts,
                     sums.times[i]);
  }
  baseline.known = 1;
}

void SetGauges(const HistoryGauges& gauges, HistorySums& sums) {
  for (std::size_t i = 0; i < kGauges; ++i) {
    const std::optional<std::int64_t>& gauge = gauges.*kGaugesNow[i];
    const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(gauge.value_or(0), 0));
    sums.head.gauges[i] = {value, value, value};
    sums.head.known[i] = gauge ? 1 : 0;
  }
}

void AddSample(const HistorySums& later, HistorySums& sums) {
  AddHead(later.head, sums.head);
  for (std::size_t i = 0; i < kTimes.size(); ++i) AddHistogram(later.times[i], sums.times[i]);
}

void AddRecord(const HistoryRecord& later, HistorySums& sums) {
  AddHead(later.head, sums.head);
  for (std::size_t i = 0; i < kTimes.size(); ++i) {
    AddPacked(later.times[i], later.halved[i], sums.times[i]);
  }
}

HistoryRecord PackSample(const HistorySums& sums) {
  HistoryRecord record{};
  record.head = sums.head;
  for (std::size_t i = 0; i < kTimes.size(); ++i) {
    record.halved[i] = Pack(sums.times[i], record.times[i]);
  }
  return record;
}

HistorySums UnpackSample(const HistoryRecord& record) {
  HistorySums sums{.head = record.head, .times = {}};
  for (std::size_t i = 0; i < kTimes.size(); ++i) {
    sums.times[i] = Unpack(record.times[i], record.halved[i]);
  }
  return sums;
}

HistorySample ReadSample(const HistorySums& sums) {
  HistorySample sample;
  sample.at_ms = sums.head.at_ms;
  sample.covers_ms = Signed(sums.head.covers_ms);
  sample.resolution_ms = sums.head.resolution_ms;
  sample.samples = sums.head.samples;
  sample.counters = sums.head.counters;
  for (std::size_t i = 0; i < kGauges; ++i) sample.*kGaugesRead[i] = ReadGauge(sums.head, i);
  for (std::size_t i = 0; i < kTimes.size(); ++i) {
    const Wide& weights = sums.times[i];
    if (std::ranges::any_of(weights, [](std::uint64_t weight) { return weight != 0; })) {
      (sample.*kTimes[i].read).assign(weights.begin(), weights.end());
    }
  }
  return sample;
}

}  // namespace walmanager
