// A sample's numbers, and several made one: each is aggregated as its kind wants it.
#include "ext/core/control/history_sample.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "tests/unit/history_block.h"

namespace walmanager {
namespace {

TEST(HistorySample, TheFirstSetsTheBaselineAndCountsNothing) {
  Sampled block;
  block.totals.counters.commits = 1'000;
  block.totals.commit_histogram[100] = 1'000;
  block.Take({.wal_bytes = 4096});
  const auto first = block.history.Read();
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].at_ms, block.now_ms);
  EXPECT_EQ(first[0].covers_ms, 0);
  EXPECT_EQ(first[0].samples, 1);
  EXPECT_EQ(first[0].counters.commits, 0u);
  EXPECT_FALSE(HistogramQuantile<HistoryScale>(first[0].commit_histogram, 0.5));
  EXPECT_EQ(first[0].wal_bytes->last, 4096);
  block.Step(7);
  EXPECT_EQ(block.history.Read()[1].counters.commits, 7u);
  EXPECT_EQ(block.history.Read()[1].covers_ms, 1000);
}

TEST(HistorySample, EachCounterIsItsOwnDifferenceAndASum) {
  Sampled block;
  block.Take();
  for (int i = 0; i < 3; ++i) {
    HistoryCounters& counters = block.totals.counters;
    counters.commits += 1;
    counters.statements += 2;
    counters.frames_written += 3;
    counters.commit_ns += 4;
    counters.stall_ns += 5;
    counters.checkpoints += 6;
    counters.checkpoint_ns += 7;
    counters.checkpoint_frames += 8;
    counters.checkpoints_in_vain += 9;
    counters.cache_hits += 10;
    counters.cache_misses += 11;
    counters.slow_statements += 12;
    counters.transactions_upgraded += 13;
    counters.upgrades_failed += 14;
    counters.lock_waits += 15;
    counters.lock_wait_ns += 16;
    counters.busy_errors += 17;
    counters.snapshot_conflicts += 18;
    counters.syncs += 19;
    counters.sync_ns += 20;
    block.Step(0);
  }
  const auto check = [](const HistoryCounters& counters, std::uint64_t times) {
    EXPECT_EQ(counters.commits, 1 * times);
    EXPECT_EQ(counters.statements, 2 * times);
    EXPECT_EQ(counters.frames_written, 3 * times);
    EXPECT_EQ(counters.commit_ns, 4 * times);
    EXPECT_EQ(counters.stall_ns, 5 * times);
    EXPECT_EQ(counters.checkpoints, 6 * times);
    EXPECT_EQ(counters.checkpoint_ns, 7 * times);
    EXPECT_EQ(counters.checkpoint_frames, 8 * times);
    EXPECT_EQ(counters.checkpoints_in_vain, 9 * times);
    EXPECT_EQ(counters.cache_hits, 10 * times);
    EXPECT_EQ(counters.cache_misses, 11 * times);
    EXPECT_EQ(counters.slow_statements, 12 * times);
    EXPECT_EQ(counters.transactions_upgraded, 13 * times);
    EXPECT_EQ(counters.upgrades_failed, 14 * times);
    EXPECT_EQ(counters.lock_waits, 15 * times);
    EXPECT_EQ(counters.lock_wait_ns, 16 * times);
    EXPECT_EQ(counters.busy_errors, 17 * times);
    EXPECT_EQ(counters.snapshot_conflicts, 18 * times);
    EXPECT_EQ(counters.syncs, 19 * times);
    EXPECT_EQ(counters.sync_ns, 20 * times);
  };
  check(block.history.Read().back().counters, 1);
  const auto merged = block.history.Merge(0, block.now_ms);
  check(merged->counters, 3);
  EXPECT_EQ(merged->covers_ms, 3000);
  EXPECT_EQ(merged->samples, 4);
}

// Statistics were reset, or a connection left and took its counts along.
TEST(HistorySample, ACounterThatFellAddsNothingAndCountsOnFromThere) {
  Sampled block;
  block.Take();
  block.totals.counters.cache_hits = 500;
  block.totals.commit_histogram[100] = 500;
  block.Step(500);
  block.totals.counters.commits = 20;
  block.totals.counters.cache_hits = 0;
  block.totals.commit_histogram[100] = 20;
  block.Step(0);
  EXPECT_EQ(block.history.Read().back().counters.commits, 0u);
  EXPECT_EQ(block.history.Read().back().counters.cache_hits, 0u);
  block.totals.commit_histogram[100] = 25;
  block.Step(5);
  const HistorySample last = block.history.Read().back();
  EXPECT_EQ(last.counters.commits, 5u);
  EXPECT_EQ(*std::max_element(last.commit_histogram.begin(), last.commit_histogram.end()), 5u);
  EXPECT_EQ(block.Merged(0, kAlways), 505u);
}

TEST(HistorySample, ARecordAddsWhatItsUnpackedSampleAdds) {
  std::mt19937_64 random(1);
  layout::HistorySums packed{}, unpacked{};
  for (int i = 0; i < 200; ++i) {
    layout::HistorySums sums{};
    sums.head.at_ms = i;
    sums.head.samples = 1;
    sums.head.counters.commits = random() % 100;
    sums.head.gauges[0] = {random() % 9, random() % 9, random() % 9};
    sums.head.known[0] = static_cast<std::uint32_t>(random() % 2);
    for (auto& histogram : sums.times) {
      // Up to half of the buckets, with weights that fit and such that are halved.
      for (std::size_t k = random() % histogram.size() / 2; k > 0; --k) {
        histogram[random() % histogram.size()] = random() >> (random() % 64);
      }
    }
    const layout::HistoryRecord record = PackSample(sums);
    AddRecord(record, packed);
    AddSample(UnpackSample(record), unpacked);
    ASSERT_EQ(std::memcmp(&packed, &unpacked, sizeof packed), 0) << i;
  }
}

TEST(HistorySample, GaugesAreAveragedOverThoseThatKnewThemWithTheirExtreme) {
  Sampled block;
  block.Take({.wal_bytes = 100, .active_readers = 3, .health_score = 90});
  block.Pass(1000);
  block.Take({.wal_bytes = 700, .connections = 0, .health_score = 40});
  block.Pass(1000);
  block.Take({.wal_bytes = 100, .active_readers = 1, .database_bytes = -5, .health_score = 80});
  const HistorySample one = block.history.Read()[1];
  EXPECT_EQ(one.wal_bytes->mean, 700);
  EXPECT_EQ(one.wal_bytes->extreme, 700);
  EXPECT_FALSE(one.active_readers.has_value());
  const auto all = block.history.Merge(0, kAlways);
  EXPECT_EQ(all->wal_bytes->mean, 300);
  EXPECT_EQ(all->wal_bytes->extreme, 700);
  EXPECT_EQ(all->wal_bytes->last, 100);
  EXPECT_EQ(all->active_readers->mean, 2);
  EXPECT_EQ(all->active_readers->extreme, 3);
  EXPECT_EQ(all->active_readers->last, 1);
  EXPECT_EQ(all->connections->mean, 0);
  EXPECT_EQ(all->database_bytes->extreme, 0);
  EXPECT_EQ(all->health_score->mean, 70);
  EXPECT_EQ(all->health_score->extreme, 40) << "the worst";
  EXPECT_EQ(all->health_score->last, 80);
  EXPECT_FALSE(all->pending_frames.has_value());
}

// The percentile of a minute is that of all its durations, not a mean of the percentiles of its
// seconds: a second with few, slow commits has little weight.
TEST(HistorySample, PercentilesComeFromMergedHistograms) {
  std::mt19937_64 random(7);
  Sampled block;
  block.Take();
  std::vector<double> commits, queries;
  for (int second = 0; second < 59; ++second) {
    const bool slow = second % 10 == 0;
    std::lognormal_distribution<double> duration(slow ? 17 : 11, 1);  // about 24 ms or 60 µs
    for (int i = 0; i < (slow ? 5 : 400); ++i) {
      commits.push_back(std::clamp(duration(random), 2e3, 4e9));
      queries.push_back(commits.back() / 2);
      ++block.totals
            .commit_histogram[DurationScale::Bucket(static_cast<std::uint64_t>(commits.back()))];
      ++block.totals
            .query_histogram[StatementScale::Bucket(static_cast<std::uint64_t>(queries.back()))];
    }
    block.Step(1);
  }
  block.Step(0);  // closes the minute
  std::sort(commits.begin(), commits.end());
  std::sort(queries.begin(), queries.end());
  ASSERT_EQ(block.Of(kMinuteMs).size(), 1u);
  const HistorySample minute = block.Of(kMinuteMs)[0];
  for (const double quantile : {0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0}) {
    const auto rank =
        static_cast<std::size_t>(std::ceil(quantile * static_cast<double>(commits.size()))) - 1;
    EXPECT_NEAR(*HistogramQuantile<HistoryScale>(minute.commit_histogram, quantile), commits[rank],
                commits[rank] * 0.112);
    EXPECT_NEAR(*HistogramQuantile<HistoryScale>(minute.query_histogram, quantile), queries[rank],
                queries[rank] * 0.112);
  }
}

// Waits last longer than statements do: those of a minute are told from those of five seconds.
TEST(HistorySample, WaitsAndSyncsHaveHistogramsOfTheirOwnUpToAMinute) {
  Sampled block;
  block.Take();
  const auto count = [](std::vector<std::uint64_t>& histogram, double ms, std::uint64_t times) {
    histogram[DurationScale::Bucket(static_cast<std::uint64_t>(ms * 1e6))] += times;
  };
  count(block.totals.lock_wait_histogram, 5'000, 98);
  count(block.totals.lock_wait_histogram, 60'000, 2);
  block.totals.sync_histogram[HistoryWaitScale::Bucket(100'000)] += 99;
  block.totals.sync_histogram[HistoryWaitScale::Bucket(30'000'000)] += 1;
  block.Step(0);
  block.Step(0);
  const auto percentile = [](const std::vector<std::uint64_t>& histogram, double quantile) {
    return *HistogramQuantile<HistoryWaitScale>(histogram, quantile) / 1e6;
  };
  const auto merged = block.history.Merge(0, kAlways);
  EXPECT_NEAR(percentile(merged->lock_wait_histogram, 0.98), 5'000, 5'000 * 0.112);
  EXPECT_NEAR(percentile(merged->lock_wait_histogram, 0.99), 60'000, 60'000 * 0.112);
  EXPECT_NEAR(percentile(merged->sync_histogram, 0.99), 0.1, 0.1 * 0.112);
  EXPECT_NEAR(percentile(merged->sync_histogram, 1), 30, 30 * 0.112);
  EXPECT_TRUE(merged->commit_histogram.empty());
  EXPECT_TRUE(block.history.Read().back().lock_wait_histogram.empty()) << "nothing since";
}

// A count that does not fit into a bucket is halved, and keeps its weight among others.
TEST(HistorySample, BusySamplesKeepTheirWeightAmongOthers) {
  const std::size_t fast = DurationScale::Bucket(10'000), slow = DurationScale::Bucket(90'000'000);
  const auto weight = [](const HistorySample& sample, std::uint64_t ns) {
    return static_cast<double>(sample.commit_histogram[HistoryScale::Bucket(ns)]);
  };
  Sampled block;
  block.Take();
  block.totals.commit_histogram[fast] += 50'000'000;
  block.totals.commit_histogram[slow] += 1'000'000;
  block.Step(1);
  block.totals.commit_histogram[slow] += 40'000;  // a quiet one: exact
  block.Step(1);
  const auto samples = block.history.Read();
  EXPECT_NEAR(weight(samples[1], 10'000), 50e6, 50e6 / 65536);
  EXPECT_NEAR(weight(samples[1], 90'000'000), 1e6, 50e6 / 65536);
  EXPECT_EQ(weight(samples[2], 90'000'000), 40'000);
  const auto merged = block.history.Merge(0, kAlways);
  EXPECT_NEAR(weight(*merged, 90'000'000), 1.04e6, 50e6 / 65536);
  // A full bucket that is rounded up does not run over.
  block.totals.commit_histogram[fast] += 131'071;
  block.Step(1);
  EXPECT_NEAR(weight(block.history.Read().back(), 10'000), 131'071, 2);
}

}  // namespace
}  // namespace walmanager
