// The rings: each count is in each resolution once, also when clocks are set and writers are
// killed.
#include "ext/core/control/history.h"

#include <atomic>
#include <numeric>

#include "tests/unit/history_block.h"

namespace walmanager {
namespace {

TEST(History, TheFirstSampleOfANewFileHasAllCountsSinceItWasMade) {
  MadeBlock block;
  History history(&block.space);
  history.Begin(1'000'000, 5'000'000'000);
  EXPECT_EQ(history.DueInNs(5'400'000'000, 1000), 600'000'000u);
  HistoryTotals totals{{},
                       std::vector<std::uint64_t>(DurationScale::kBuckets),
                       std::vector<std::uint64_t>(StatementScale::kBuckets)};
  totals.counters.commits = 7;
  history.Add(1'003'000, 8'000'000'000, 1000, totals, {});
  ASSERT_EQ(history.Read().size(), 1u);
  EXPECT_EQ(history.Read()[0].counters.commits, 7u);
  EXPECT_EQ(history.Read()[0].covers_ms, 3000);
}

std::uint64_t Commits(const std::vector<HistorySample>& samples) {
  return std::accumulate(
      samples.begin(), samples.end(), std::uint64_t{0},
      [](std::uint64_t sum, const HistorySample& sample) { return sum + sample.counters.commits; });
}

TEST(History, IsEmptyAtFirst) {
  Sampled block;
  EXPECT_TRUE(block.history.Read().empty());
  EXPECT_FALSE(block.history.Merge(0, kAlways).has_value());
  EXPECT_FALSE(block.history.last_ms().has_value());
  EXPECT_EQ(block.history.DueInNs(0, 1000), 0u);
  EXPECT_EQ(block.history.Reset(), 0);
}

TEST(History, SaysWhenTheNextSampleIsDue) {
  Sampled block;
  block.Take();
  EXPECT_EQ(block.history.last_ms(), block.now_ms);
  EXPECT_EQ(block.history.DueInNs(block.monotonic_ns, 1000), 1'000'000'000u);
  EXPECT_EQ(block.history.DueInNs(block.monotonic_ns + 999'999'999, 1000), 1u);
  EXPECT_EQ(block.history.DueInNs(block.monotonic_ns + 1'000'000'000, 1000), 0u);
  EXPECT_EQ(block.history.DueInNs(block.monotonic_ns - 1, 1000), 0u) << "another boot";
}

TEST(History, AMinuteIsClosedByTheFirstSampleOfAnother) {
  Sampled block;
  block.Take();
  for (int i = 0; i < 59; ++i) block.Step(2);
  EXPECT_TRUE(block.Of(kMinuteMs).empty());
  block.Step(100);
  auto minutes = block.Of(kMinuteMs);
  ASSERT_EQ(minutes.size(), 1u);
  EXPECT_EQ(minutes[0].at_ms, block.now_ms - 1000);
  EXPECT_EQ(minutes[0].covers_ms, 59'000) << "nothing is known of the time before the first";
  EXPECT_EQ(minutes[0].samples, 60);
  EXPECT_EQ(minutes[0].counters.commits, 118u);
  for (int i = 0; i < 60 * 60; ++i) block.Step(1);
  minutes = block.Of(kMinuteMs);
  EXPECT_EQ(minutes.size(), 61u);
  EXPECT_EQ(minutes[1].covers_ms, 60'000);
  EXPECT_EQ(minutes[1].counters.commits, 159u);
  const auto hours = block.Of(kHourMs);
  ASSERT_EQ(hours.size(), 1u);
  EXPECT_EQ(hours[0].samples, 3600);
  EXPECT_EQ(hours[0].at_ms % kHourMs, kHourMs - 1000);
  EXPECT_EQ(hours[0].counters.commits, 118u + 100 + 3539);
}

// A week at a sample a second, of which every one has another number of commits.
TEST(History, AWeekInFixedSpaceAndNothingTwice) {
  Sampled block;
  const std::int64_t start = block.now_ms;
  std::vector<std::uint64_t> sums = {0};  // commits up to each second
  block.Take();
  for (std::uint64_t i = 1; i < 7 * 24 * 3600; ++i) {
    block.Step(i % 97);
    sums.push_back(sums.back() + i % 97);
  }
  const std::int64_t end = block.now_ms;
  const auto counted = [&](std::int64_t from, std::int64_t to) {
    const auto at = [&](std::int64_t ms) {
      return sums[static_cast<std::size_t>(std::clamp(ms, start, end) - start) / 1000];
    };
    return at(to) - at(from);
  };
  EXPECT_EQ(block.Of(1000).size(), layout::kHistorySamples);
  EXPECT_EQ(block.Of(kMinuteMs).size(), layout::kHistoryMinutes);
  const auto hours = block.Of(kHourMs);
  ASSERT_EQ(hours.size(), 7u * 24 - 1);
  for (std::size_t i = 0; i < hours.size(); ++i) {
    EXPECT_EQ(hours[i].counters.commits, counted(hours[i].at_ms - kHourMs, hours[i].at_ms));
    EXPECT_EQ(hours[i].samples, 3600);
  }
  EXPECT_EQ(block.Merged(0, kAlways), sums.back());
  EXPECT_EQ(block.history.Merge(0, kAlways)->samples, 7 * 24 * 3600);
  // From any second of the last quarter of an hour, also to another one.
  for (std::int64_t ago = 0; ago < 899; ++ago) {
    EXPECT_EQ(block.Merged(end - ago * 1000, end), counted(end - ago * 1000, end));
    EXPECT_EQ(block.Merged(end - ago * 1000, end - ago * 400),
              counted(end - ago * 1000, end - ago * 400));
  }
  // From any second before: at most the rest of its minute, or hour, is there as well.
  for (std::int64_t ago = 900; ago < 20'000; ago += 7) {
    const std::uint64_t merged = block.Merged(end - ago * 1000, end);
    EXPECT_GE(merged, counted(end - ago * 1000, end));
    EXPECT_LE(merged, counted(end - ago * 1000 - kMinuteMs, end));
  }
  for (std::int64_t from = start; from < end; from += 1'234'000) {
    EXPECT_GE(block.Merged(from, end), counted(from, end));
    EXPECT_LE(block.Merged(from, end), counted(from - kHourMs, end));
  }
  // From and to the ends of minutes and hours: exactly.
  for (std::int64_t to = end; to > end - 23 * kHourMs; to -= 11 * kMinuteMs) {
    EXPECT_EQ(block.Merged(end - 23 * kHourMs, to), counted(end - 23 * kHourMs, to));
  }
  for (const HistorySample& hour : hours) {
    EXPECT_EQ(block.Merged(hour.at_ms, end), counted(hour.at_ms, end));
    EXPECT_EQ(block.Merged(start - 1, hour.at_ms), counted(start, hour.at_ms));
  }
}

TEST(History, AFullRingOfHoursKeepsTheNewest) {
  Sampled block;
  block.interval_ms = 1'800'000;
  block.Take();
  for (int i = 0; i < 5000; ++i) block.Step(1, block.interval_ms);
  const auto hours = block.Of(kHourMs);
  ASSERT_EQ(hours.size(), layout::kHistoryHours);
  EXPECT_EQ(hours.back().at_ms, block.now_ms - block.interval_ms);
  EXPECT_EQ(hours.front().at_ms, hours.back().at_ms - 2159 * kHourMs);
  EXPECT_EQ(block.Merged(0, kAlways), 2160u * 2 + 1);
}

// At 10 ms the first ring is shorter than a minute: the minute that is not over has the rest.
TEST(History, SamplesThatLeftTheirRingAreInTheMinuteThatIsNotOver) {
  Sampled block;
  block.interval_ms = 10;
  block.Take();
  for (int i = 0; i < 5000; ++i) block.Step(1, 10);
  EXPECT_TRUE(block.Of(kMinuteMs).empty());
  EXPECT_EQ(block.Merged(0, kAlways), 5000u);
  EXPECT_EQ(block.Merged(block.now_ms - 5000, block.now_ms), 500u);
}

TEST(History, AMinuteStandsInForSamplesThatWereLost) {
  Sampled block;
  block.Take();
  for (int i = 0; i < 200; ++i) block.Step(1);
  const std::int64_t end = block.now_ms;
  // Of the second minute, as where the file could not grow for them.
  for (std::size_t i = 70; i < 90; ++i) block.space.file()->samples[i].id = 0;
  EXPECT_EQ(block.Merged(0, kAlways), 200u);
  EXPECT_EQ(block.Merged(end - 30'000, end), 30u) << "after the gap";
  EXPECT_EQ(block.Merged(1000 * kHourMs + 10'000, kAlways), 190u) << "from within the first minute";
}

TEST(History, AGapIsCoveredByTheSampleAfterItAndNotFilled) {
  Sampled block;
  block.Take();
  block.Step(1);
  block.Step(600, 5 * kHourMs);
  const auto samples = block.Of(1000);
  ASSERT_EQ(samples.size(), 3u);
  EXPECT_EQ(samples[2].covers_ms, 5 * kHourMs);
  EXPECT_EQ(samples[2].counters.commits, 600u);
  EXPECT_EQ(block.Of(kMinuteMs).size(), 1u);
  EXPECT_EQ(block.Of(kHourMs).size(), 1u);
  EXPECT_EQ(block.Merged(block.now_ms - 4 * kHourMs, block.now_ms - 1), 0u);
}

// The hour that is passed through twice has two samples: neither is lost, nor mixed with the other.
TEST(History, AClockThatIsSetLosesNothingAndDoublesNothing) {
  for (const std::int64_t jump : {-kHourMs, kHourMs, -kMinuteMs, -30 * kHourMs, 1000 * kHourMs}) {
    Sampled block;
    block.Take();
    for (int i = 0; i < 2 * 3600 + 1800; ++i) block.Step(1);
    block.now_ms += jump;
    for (int i = 0; i < 3 * 3600; ++i) block.Step(3);
    EXPECT_EQ(block.Merged(-1, kAlways), 9'000u + 3 * 10'800) << jump;
    EXPECT_EQ(block.history.Merge(-1, kAlways)->covers_ms, 19'800'000) << jump;
    const auto hours = block.Of(kHourMs);
    EXPECT_EQ(Commits(hours) + block.Merged(hours.back().at_ms, block.now_ms), 9'000u + 3 * 10'800)
        << jump;
    for (std::size_t i = 0; jump % kHourMs == 0 && i < hours.size(); ++i) {
      const bool before = i < 3;
      EXPECT_EQ(hours[i].covers_ms % 1000, 0);
      EXPECT_EQ(hours[i].counters.commits,
                static_cast<std::uint64_t>(hours[i].covers_ms / 1000) * (before ? 1 : 3))
          << jump << " " << i;
    }
    if (jump != -kHourMs) continue;
    ASSERT_EQ(hours.size(), 6u);
    EXPECT_EQ(hours[1].at_ms, hours[3].at_ms);
    EXPECT_EQ(block.Merged(hours[0].at_ms, hours[1].at_ms), 3600u + 3 * 1799);
  }
}

// What is left of the time before in the ring of minutes ended after samples that come later.
TEST(History, MinutesBeforeTheClockWasSetBackAreMergedWithSamplesAfterIt) {
  Sampled block;
  block.Take();
  for (int i = 0; i < 2 * 3600 + 1800; ++i) block.Step(1);
  block.now_ms -= kHourMs;
  for (int i = 0; i < 1000; ++i) block.Step(3);
  // 2701 commits from 01:45:00 to 02:30:00, and the last 100 seconds.
  EXPECT_EQ(block.Merged(block.now_ms - 100'000, kAlways), 2701u + 300);
}

TEST(History, AfterAnotherBootTheWallClockSaysHowLongItWas) {
  Sampled block;
  block.Take();
  block.Step(5);
  block.monotonic_ns = 10;
  block.now_ms += kHourMs;
  block.totals.counters.commits += 9;
  block.Take();
  EXPECT_EQ(block.history.Read().back().covers_ms, kHourMs);
  EXPECT_EQ(block.history.Read().back().counters.commits, 9u);
  block.monotonic_ns = 5;
  block.now_ms -= 2 * kHourMs;
  block.totals.counters.commits += 4;
  block.Take();
  EXPECT_EQ(block.history.Read().back().covers_ms, 0);
  EXPECT_EQ(block.history.Read().back().counters.commits, 4u);
}

// A boot that has lasted longer than the one before had when the last sample was taken.
TEST(History, ItStartsAnewForAnotherBootAndAnotherDatabase) {
  Sampled block;
  block.Take();
  block.Step(5);
  block.region.Adopt({kIdentity.database, "another boot"}, 1, 2);
  EXPECT_EQ(block.history.DueInNs(block.monotonic_ns + 1, 1000), 0u);
  block.monotonic_ns += 10'000'000'000;
  block.now_ms += kHourMs;
  block.totals.counters.commits += 9;
  block.Take();
  EXPECT_EQ(block.history.Read().back().covers_ms, kHourMs);
  EXPECT_EQ(block.Merged(0, kAlways), 14u);
  block.region.Adopt({{kIdentity.database.device, kIdentity.database.inode + 1}, "another boot"}, 1,
                     2);
  EXPECT_TRUE(block.history.Read().empty());
  block.totals.counters.commits = 0;  // as the region forgets, too
  block.Step(3);
  EXPECT_EQ(block.Merged(0, kAlways), 3u) << "the first since the new database";
}

TEST(History, ResetForgetsSamplesAndTheBaseline) {
  Sampled block;
  block.Take();
  for (int i = 0; i < 130; ++i) block.Step(1);
  EXPECT_EQ(block.history.Reset(), 131 + 2);
  EXPECT_TRUE(block.history.Read().empty());
  EXPECT_FALSE(block.history.Merge(0, kAlways).has_value());
  EXPECT_EQ(block.history.DueInNs(block.monotonic_ns, 1000), 0u);
  block.Step(50);
  block.Step(7);
  EXPECT_EQ(block.history.Read().size(), 2u);
  EXPECT_EQ(block.Merged(0, kAlways), 7u);
}

// A writer is killed before its last store, which puts the others in force: whatever it had stored,
// the sample was not taken, and the next sample has the counts.
TEST(History, AKilledWriterTookNoSampleAndNothingIsLostOrDoubled) {
  Sampled block, twin;
  for (Sampled* each : {&block, &twin}) each->Take();
  std::uint64_t commits = 0;
  for (int i = 0; i < 3000; ++i) {
    const bool killed = i % 3 == 0;
    layout::History& history = block.file->history;
    if (killed) {
      const std::uint64_t generation = history.generation.load();
      block.Step(5);
      history.generation = generation;
      auto& slot =
          block.file
              ->samples[(history.states[generation & 1].last_ids[0] + 1) % layout::kHistorySamples];
      if (i % 2 == 0) slot.id = 0;  // it was not finished, either
      if (i % 4 == 0) std::memset(static_cast<void*>(&slot.record), 0x41, sizeof slot.record);
      twin.Pass(1000);
      twin.totals.counters.commits += 5;
      EXPECT_EQ(block.Merged(0, kAlways), commits);
      EXPECT_EQ(block.history.last_ms(), twin.history.last_ms());
    }
    for (Sampled* each : {&block, &twin}) each->Step(2);
    commits += killed ? 7 : 2;
    EXPECT_EQ(block.history.Read().back().counters.commits, killed ? 7u : 2u);
    if (i % 100 == 0) {
      EXPECT_EQ(block.Merged(0, kAlways), commits);
    }
  }
  const auto samples = block.history.Read(), expected = twin.history.Read();
  ASSERT_EQ(samples.size(), expected.size());
  for (std::size_t i = 0; i < samples.size(); ++i) {
    EXPECT_EQ(samples[i].at_ms, expected[i].at_ms);
    EXPECT_EQ(samples[i].covers_ms, expected[i].covers_ms);
    EXPECT_EQ(samples[i].counters.commits, expected[i].counters.commits);
    EXPECT_EQ(samples[i].samples, expected[i].samples);
  }
}

TEST(History, ReadersBesideAWriterNeverSeeHalfASample) {
  Sampled block;
  std::atomic<bool> done = false;
  RunThreads(2, [&](int thread) {
    if (thread == 0) {
      for (std::uint64_t i = 0; i < 20'000; ++i) {
        block.totals.counters.statements += 1 + i % 5;
        block.totals.counters.transactions_upgraded += 1 + i % 5;
        block.totals.query_histogram[200] += 1 + i % 5;
        block.Step(1 + i % 5, 10'000);
      }
      done = true;
      return;
    }
    while (!done) {
      std::int64_t last_ms = 0, resolution_ms = kHourMs;
      auto samples = block.history.Read();
      if (auto merged = block.history.Merge(0, kAlways)) samples.push_back(*merged);
      for (std::size_t i = 0; i < samples.size(); ++i) {
        const HistorySample& sample = samples[i];
        EXPECT_EQ(sample.counters.commits, sample.counters.statements);
        EXPECT_EQ(sample.counters.commits, sample.counters.transactions_upgraded);
        EXPECT_EQ(std::accumulate(sample.query_histogram.begin(), sample.query_histogram.end(),
                                  std::uint64_t{0}),
                  sample.counters.commits);
        if (i + 1 == samples.size()) break;
        EXPECT_TRUE(sample.resolution_ms < resolution_ms || sample.at_ms > last_ms);
        last_ms = sample.at_ms;
        resolution_ms = sample.resolution_ms;
      }
    }
  });
  EXPECT_EQ(block.Merged(0, kAlways), block.totals.counters.commits - 1);
}

}  // namespace
}  // namespace walmanager
