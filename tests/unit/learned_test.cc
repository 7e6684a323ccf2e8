// What the engine learns after ten cycles of injected costs, and what follows from it, within the
// bounds of the settings.
#include "ext/core/policy/learned.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <string>

#include "ext/core/base/time_units.h"

namespace walmanager {
namespace {

constexpr int kCycles = 10;

SettingValues Values() { return SettingValues(); }

SettingValues ValuesWith(Setting setting, std::int64_t value) {
  SettingValues values;
  values.Set(static_cast<std::size_t>(setting), value);
  return values;
}

// A cycle: a large pass, a small one, and a commit that finishes.
void Cycle(Learned& learned, std::uint64_t frame_ns, std::uint64_t sync_ns) {
  learned.PassEnded({4000, 400, 4000 * frame_ns});
  learned.PassEnded({40, 4, sync_ns});
  learned.Finished(sync_ns / 2);
}

TEST(Learned, NothingIsKnownAtFirst) {
  const Learned learned;
  for (std::size_t i = 0; i < kLearnedCount; ++i) EXPECT_EQ(std::nullopt, learned.at(i));
  EXPECT_EQ(48u, learned.FinishFrames(Values()));
  EXPECT_EQ(0u, learned.WaitForReadersNs());
}

TEST(Learned, AfterTenCyclesOfTheSameCostsItIsThatCost) {
  Learned learned;
  for (int i = 0; i < kCycles; ++i) Cycle(learned, 5'000, 2 * kMs);
  EXPECT_DOUBLE_EQ(5.0, *learned[LearnedValue::kFrameUs]);
  EXPECT_DOUBLE_EQ(2.0, *learned[LearnedValue::kSyncMs]);
  EXPECT_DOUBLE_EQ(1.0, *learned[LearnedValue::kFinishMs]);
  EXPECT_EQ(100u, learned.FinishFrames(Values()));  // 500 µs / 5 µs
}

TEST(Learned, TheWriteRateIsSmoothedOverAllPasses) {
  Learned learned;
  // 400 frames in 20 ms and 4 frames in 2 ms, in turn: 20000 and 2000 a second.
  double expected = 20'000;
  for (int i = 0; i < kCycles; ++i) {
    Cycle(learned, 5'000, 2 * kMs);
    if (i > 0) expected += (20'000 - expected) / 4;
    expected += (2'000 - expected) / 4;
  }
  EXPECT_DOUBLE_EQ(expected, *learned[LearnedValue::kWriteRate]);
}

TEST(Learned, AfterTenCyclesADiskThatBecameSlowerIsNearlyAllOfIt) {
  Learned learned;
  Cycle(learned, 5'000, 2 * kMs);
  for (int i = 0; i < kCycles; ++i) Cycle(learned, 50'000, 30 * kMs);
  const double rest = std::pow(0.75, kCycles);
  EXPECT_NEAR(50 - 45 * rest, *learned[LearnedValue::kFrameUs], 1e-9);
  EXPECT_NEAR(30 - 28 * rest, *learned[LearnedValue::kSyncMs], 1e-9);
  EXPECT_EQ(16u, learned.FinishFrames(Values()));  // 10 by cost, but never less than 16
}

TEST(Learned, FinishFramesStayWithinTheirBounds) {
  Learned fast;
  for (int i = 0; i < kCycles; ++i) Cycle(fast, 100, kMs);
  EXPECT_EQ(256u, fast.FinishFrames(Values()));
  EXPECT_EQ(10u, fast.FinishFrames(ValuesWith(Setting::kCheckpointFrames, 10)));
}

WalIndex Log(std::uint32_t page_size, std::uint32_t backfill = 0) {
  WalIndex index;
  index.page_size = page_size;
  index.backfill = backfill;
  return index;
}

TEST(Learned, CopyingBeginsSoLateThatTheLogStaysWithinItsLimit) {
  const WalIndex log = Log(4096);  // so 64 MiB are 16,288 frames
  const auto due = [&](std::uint32_t added_for_1000, const SettingValues& values = Values()) {
    Learned learned;
    learned.PassEnded({4000, 4 * added_for_1000, 20 * kMs});
    return learned.DueFrames(values, log);
  };
  EXPECT_EQ(1000, Learned().DueFrames(Values(), log)) << "nothing is known";
  EXPECT_EQ(8000, due(20)) << "eight times checkpoint_frames";
  EXPECT_EQ(8000, due(0)) << "a writer that rests";
  EXPECT_EQ(2850, due(800)) << "a fifth of 7/8 of the limit";
  EXPECT_EQ(1000, due(5000)) << "the log grows faster than it is copied";
  EXPECT_EQ(999, due(20, ValuesWith(Setting::kCheckpointFrames, 999))) << "as it was set";
  EXPECT_EQ(8144, due(20, ValuesWith(Setting::kCheckpointFrames, 9000))) << "half of the limit";
  EXPECT_EQ(127, due(20, ValuesWith(Setting::kWalLimitBytes, 1 << 20)));
}

TEST(Learned, WhereTheLogDidNotStartOverCopyingBeginsAgainEarly) {
  Learned learned;
  learned.PassEnded({4000, 80, 20 * kMs});
  EXPECT_EQ(6000, learned.DueFrames(Values(), Log(4096, 2000)));
  EXPECT_EQ(1000, learned.DueFrames(Values(), Log(4096, 8000)));
}

TEST(Learned, LargePagesAreLearnedFromPassesOfFewFrames) {
  Learned learned;
  learned.PassEnded({200, 0, 20 * kMs});
  EXPECT_DOUBLE_EQ(100, *learned[LearnedValue::kFrameUs]);
  EXPECT_EQ(511, learned.DueFrames(Values(), Log(65536))) << "half of the limit";
  EXPECT_EQ(8000, learned.DueFrames(Values(), Log(512)));
}

TEST(Learned, APassOfMediumSizeTeachesNeitherSyncNorFrame) {
  Learned learned;
  learned.PassEnded({100, 10, 10 * kMs});
  EXPECT_EQ(std::nullopt, learned[LearnedValue::kSyncMs]);
  EXPECT_EQ(std::nullopt, learned[LearnedValue::kFrameUs]);
  EXPECT_DOUBLE_EQ(1000, *learned[LearnedValue::kWriteRate]);
}

TEST(Learned, APassThatMovedNothingTeachesNothing) {
  Learned learned;
  learned.PassEnded({0, 500, kMs});
  learned.PassEnded({500, 500, 0});
  for (std::size_t i = 0; i < kLearnedCount; ++i) EXPECT_EQ(std::nullopt, learned.at(i));
}

TEST(Learned, AWaitTakesALifetimeOfAReaderAtLeast) {
  Learned learned;
  for (int i = 0; i < kCycles; ++i) learned.ReaderLeft(15 * kMs);
  EXPECT_DOUBLE_EQ(15, *learned[LearnedValue::kReaderMs]);
  EXPECT_NEAR(16.5 * kMs, learned.WaitForReadersNs(), 1);
}

TEST(Learned, AReaderOfHoursIsForgottenAfterSomeShortOnes) {
  Learned learned;
  learned.ReaderLeft(3'600'000 * kMs);
  EXPECT_DOUBLE_EQ(1000, *learned[LearnedValue::kReaderMs]);
  for (int i = 0; i < kCycles; ++i) learned.ReaderLeft(5 * kMs);
  EXPECT_NEAR(5 + 995 * std::pow(0.75, kCycles), *learned[LearnedValue::kReaderMs], 1e-9);
  for (int i = 0; i < kCycles; ++i) learned.ReaderLeft(5 * kMs);
  EXPECT_LE(learned.WaitForReadersNs(), 20 * kMs);
}

TEST(Learned, ValuesReadFromTheFileAreNotTrusted) {
  Learned learned;
  const double bad[] = {0, -1, std::numeric_limits<double>::quiet_NaN(),
                        std::numeric_limits<double>::infinity()};
  for (const double value : bad) {
    for (std::size_t i = 0; i <= kLearnedCount; ++i) learned.Set(i, value);
  }
  for (std::size_t i = 0; i < kLearnedCount; ++i) EXPECT_EQ(std::nullopt, learned.at(i));
  for (std::size_t i = 0; i < kLearnedCount; ++i) learned.Set(i, 1e300);
  EXPECT_EQ(16u, learned.FinishFrames(Values()));
  EXPECT_EQ(1100 * kMs, learned.WaitForReadersNs());
  for (std::size_t i = 0; i < kLearnedCount; ++i) learned.Set(i, 1e-300);
  EXPECT_EQ(256u, learned.FinishFrames(Values()));
}

TEST(Learned, EveryValueHasANameOfItsOwnAndASentence) {
  ASSERT_EQ(kLearnedCount, LearnedSpecs().size());
  std::set<std::string> names;
  for (const LearnedSpec& spec : LearnedSpecs()) {
    EXPECT_TRUE(names.insert(spec.name).second) << spec.name;
    EXPECT_NE('\0', *spec.unit);
    EXPECT_TRUE(std::string(spec.description).ends_with('.')) << spec.name;
  }
}

TEST(Learned, WhatIsNotKnownIsTakenFromAnother) {
  Learned here, there;
  here.PagesMeasured(1, 2);
  there.PagesMeasured(3, 4);
  there.ReaderLeft(5 * kMs);
  here.Complete(there);
  EXPECT_EQ(1, here[LearnedValue::kReadPageUs]);
  EXPECT_EQ(2, here[LearnedValue::kMappedPageUs]);
  EXPECT_EQ(5, here[LearnedValue::kReaderMs]);
}

}  // namespace
}  // namespace walmanager
