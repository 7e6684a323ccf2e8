// A control file's memory, and a sampler's view: a database that counts, and two clocks.
#pragma once

#include "ext/core/control/history.h"
#include "tests/unit/control_region_block.h"

namespace walmanager {

inline constexpr std::int64_t kMinuteMs = 60'000;
inline constexpr std::int64_t kHourMs = 3'600'000;
inline constexpr std::int64_t kAlways = std::int64_t{1} << 60;

struct Sampled : MadeBlock {
  History history{&space};
  HistoryTotals totals{{},
                       std::vector<std::uint64_t>(DurationScale::kBuckets),
                       std::vector<std::uint64_t>(StatementScale::kBuckets),
                       std::vector<std::uint64_t>(DurationScale::kBuckets),
                       std::vector<std::uint64_t>(HistoryWaitScale::kBuckets)};
  std::int64_t now_ms = 1000 * kHourMs;
  std::uint64_t monotonic_ns = 5'000'000'000;
  std::int64_t interval_ms = 1000;

  // As after a reset: nothing is known of the time before.
  Sampled() { (void)history.Reset(); }
  void Pass(std::int64_t ms) {
    now_ms += ms;
    monotonic_ns += static_cast<std::uint64_t>(ms) * 1'000'000;
  }
  void Take(const HistoryGauges& gauges = {}) {
    history.Add(now_ms, monotonic_ns, interval_ms, totals, gauges);
  }
  // `commits` more of them after `ms`, and a sample.
  void Step(std::uint64_t commits, std::int64_t ms = 1000) {
    Pass(ms);
    totals.counters.commits += commits;
    Take();
  }

  std::vector<HistorySample> Of(std::int64_t resolution_ms) const {
    std::vector<HistorySample> samples;
    for (HistorySample& sample : history.Read()) {
      if (sample.resolution_ms == resolution_ms) samples.push_back(std::move(sample));
    }
    return samples;
  }
  std::uint64_t Merged(std::int64_t from_ms, std::int64_t to_ms) const {
    const auto merged = history.Merge(from_ms, to_ms);
    return merged ? merged->counters.commits : 0;
  }
};

}  // namespace walmanager
