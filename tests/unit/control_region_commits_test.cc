// Commits of all connections add up, a reset sets them to 0, and each frame of the log is counted
// once.
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>

#include "ext/core/control/control_region.h"
#include "tests/unit/control_region_block.h"

namespace walmanager {
namespace {

TEST(ControlRegionCommits, SlabsAreSummed) {
  MadeBlock block;
  block.region.header().slabs_used = 3;
  block.region.RecordCommit(0, {5, 1'000'000, 10});
  block.region.RecordCommit(0, {7, std::nullopt, 20});
  block.region.RecordCommit(2, {11, 4'000'000, 0});
  block.region.RecordCommit(kShared, {13, 2'000'000, 30});
  const CommitTotals totals = block.region.ReadCommits(true);
  EXPECT_EQ(totals.commits, 4u);
  EXPECT_EQ(totals.frames_written, 36u);
  EXPECT_EQ(totals.timed_commits, 3u);
  EXPECT_EQ(totals.commit_ns, 7'000'000u);
  EXPECT_EQ(totals.commit_max_ns, 4'000'000u);
  EXPECT_EQ(totals.stall_ns, 60u);
  ASSERT_EQ(totals.histogram.size(), DurationScale::kBuckets);
  for (const std::uint64_t ns : {1'000'000u, 4'000'000u, 2'000'000u}) {
    EXPECT_EQ(totals.histogram[DurationScale::Bucket(ns)], 1u);
  }
  EXPECT_TRUE(block.region.ReadCommits(false).histogram.empty());
}

TEST(ControlRegionCommits, FramesOfCommitsWithoutAHookCountAsFramesAlone) {
  MadeBlock block;
  block.region.header().slabs_used = 1;
  block.region.AddFrames(0, 5);
  block.region.AddFrames(kShared, 7);
  EXPECT_EQ(block.region.ReadCommits(false).frames_written, 12u);
  EXPECT_EQ(block.region.ReadCommits(false).commits, 0u);
  block.region.ResetWalStatistics(1, 1);
  EXPECT_EQ(block.region.ReadCommits(false).frames_written, 0u);
  block.region.AddFrames(0, 3);
  EXPECT_EQ(block.region.ReadCommits(false).frames_written, 3u);
}

TEST(ControlRegionCommits, AnOwnerThatIsKilledLeavesItsCountsToTheNext) {
  MadeBlock block;
  block.region.header().slabs_used = 1;
  block.region.slab(0).owner = 111;
  block.region.RecordCommit(0, {5, std::nullopt, 0});
  block.region.slab(0).owner = 222;
  block.region.RecordCommit(0, {6, std::nullopt, 0});
  EXPECT_EQ(block.region.ReadCommits(false).commits, 2u);
  EXPECT_EQ(block.region.ReadCommits(false).frames_written, 11u);
}

TEST(ControlRegionCommits, AResetIsSeenByReadersAtOnceAndByOwnersAtTheirNextCommit) {
  MadeBlock block;
  block.region.header().slabs_used = 2;
  for (const std::size_t slab : {std::size_t{0}, std::size_t{1}, kShared}) {
    block.region.RecordCommit(slab, {5, 1'000, 7});
  }
  block.region.ResetWalStatistics(77, 88);
  ExpectEqual(block.region.ReadCommits(true), MadeBlock().region.ReadCommits(true));
  EXPECT_EQ(block.file->slabs[0].commits.load(), 1u) << "its owner has not looked yet";
  EXPECT_EQ(block.region.header().statistics_since_ms.load(), 77u);
  EXPECT_EQ(block.region.header().last_checkpoint_ns.load(), 88u);
  block.region.RecordCommit(0, {2, 3'000, 1});
  const CommitTotals totals = block.region.ReadCommits(true);
  EXPECT_EQ(totals.commits, 1u);
  EXPECT_EQ(totals.frames_written, 2u);
  EXPECT_EQ(totals.commit_ns, 3'000u);
  EXPECT_EQ(totals.commit_max_ns, 3'000u);
  EXPECT_EQ(totals.stall_ns, 1u);
  EXPECT_EQ(totals.histogram[DurationScale::Bucket(1'000)], 0u);
  EXPECT_EQ(totals.histogram[DurationScale::Bucket(3'000)], 1u);
}

// Four threads with a slab each, four on the shared one, and one thread that does it all: the same.
TEST(ControlRegionCommits, RecordedTogetherTheyEqualASingleThreadedTwin) {
  constexpr int kThreads = 8;
  constexpr int kCommits = 20'000;
  const auto commit = [](int thread, int i) {
    ControlRegion::Commit made;
    made.frames = static_cast<std::uint64_t>(i % 7);
    if (i % 3 != 0) made.duration_ns = static_cast<std::uint64_t>(thread + 1) * 997u * i;
    made.stall_ns = static_cast<std::uint64_t>(i % 11);
    return made;
  };
  const auto slab = [](int thread) {
    return thread < 4 ? static_cast<std::size_t>(thread) : kShared;
  };
  MadeBlock together, alone;
  together.region.header().slabs_used = 4;
  alone.region.header().slabs_used = 4;
  RunThreads(kThreads, [&](int thread) {
    for (int i = 0; i < kCommits; ++i)
      together.region.RecordCommit(slab(thread), commit(thread, i));
  });
  for (int thread = 0; thread < kThreads; ++thread) {
    for (int i = 0; i < kCommits; ++i) alone.region.RecordCommit(slab(thread), commit(thread, i));
  }
  EXPECT_EQ(together.region.ReadCommits(true).commits,
            static_cast<std::uint64_t>(kThreads) * kCommits);
  ExpectEqual(together.region.ReadCommits(true), alone.region.ReadCommits(true));
}

// A committer on the shared slab that has read the old generation when a reset comes by: what
// others have counted since the reset stays.
TEST(ControlRegionCommits, BugALateCommitterTurnsTheSharedSlabBack) {
  MadeBlock block;
  block.region.ResetWalStatistics(1, 1);
  const std::uint64_t now = block.region.header().reset_generation.load();
  block.region.RecordCommit(kShared, {5, 1'000, 0});
  // The late committer's view, for the time of its commit alone.
  block.region.header().reset_generation = now - 1;
  block.region.RecordCommit(kShared, {5, 1'000, 0});
  block.region.header().reset_generation = now;
  EXPECT_GE(block.region.ReadCommits(false).commits, 1u);
}

TEST(AdvanceLog, GivesEachFrameOnce) {
  MadeBlock block;
  bool reset = true;
  EXPECT_EQ(block.region.AdvanceLog(100, 10, &reset), 10u);
  EXPECT_FALSE(reset) << "the first look";
  EXPECT_EQ(block.region.AdvanceLog(100, 12, &reset), 2u);
  EXPECT_EQ(block.region.AdvanceLog(100, 12, &reset), 0u);
  EXPECT_FALSE(reset);
}

TEST(AdvanceLog, OutOfOrderWithinALog) {
  MadeBlock block;
  bool reset = true;
  EXPECT_EQ(block.region.AdvanceLog(100, 30, &reset), 30u);
  EXPECT_EQ(block.region.AdvanceLog(100, 10, &reset), 0u);
  EXPECT_EQ(block.region.AdvanceLog(100, 20, &reset), 0u);
  EXPECT_EQ(block.region.AdvanceLog(100, 31, &reset), 1u);
  EXPECT_FALSE(reset);
}

TEST(AdvanceLog, ALogThatStartedOverIsCountedFromItsBeginning) {
  MadeBlock block;
  bool reset = false;
  std::uint64_t frames = block.region.AdvanceLog(0xffffffffu, 1'000, &reset);
  frames += block.region.AdvanceLog(0, 3, &reset);  // salt1 is incremented, and wraps
  EXPECT_TRUE(reset);
  frames += block.region.AdvanceLog(0, 5, &reset);
  EXPECT_FALSE(reset);
  frames += block.region.AdvanceLog(1, 1'000, &reset);
  EXPECT_TRUE(reset);
  EXPECT_EQ(frames, 1'000u + 5u + 1'000u);
  // The -wal file was deleted and made anew: its salt is random.
  EXPECT_EQ(block.region.AdvanceLog(0x80001234u, 2, &reset), 2u);
  EXPECT_TRUE(reset);
  EXPECT_EQ(block.region.AdvanceLog(0x12345678u, 0xffffffffu, &reset), 0xffffffffu);
  EXPECT_TRUE(reset);
}

// Two threads commit; the first looked at the log before the second started it over, and comes to
// count after it. Its frames were counted or are lost; it must not count all 100 again, nor a
// reset.
TEST(AdvanceLog, BugALateLookAtTheLogBeforeIsCountedAsANewLog) {
  MadeBlock block;
  bool reset = false;
  EXPECT_EQ(block.region.AdvanceLog(7, 100, &reset), 100u);
  EXPECT_EQ(block.region.AdvanceLog(8, 2, &reset), 2u);
  EXPECT_TRUE(reset);
  EXPECT_EQ(block.region.AdvanceLog(7, 100, &reset), 0u);
  EXPECT_FALSE(reset);
  EXPECT_EQ(block.region.AdvanceLog(8, 3, &reset), 1u);
  EXPECT_FALSE(reset);
}

TEST(AdvanceLog, ThreadsTogetherGetEachFrameOnce) {
  MadeBlock block;
  std::atomic<std::uint32_t> frame{0};
  std::atomic<std::uint64_t> given{0};
  std::atomic<int> resets{0};
  RunThreads(4, [&](int thread) {
    const auto step = static_cast<std::uint32_t>(thread + 1);
    for (int i = 0; i < 50'000; ++i) {
      const std::uint32_t max_frame = frame.fetch_add(step) + step;
      bool reset = false;
      given += block.region.AdvanceLog(55, max_frame, &reset);
      if (reset) ++resets;
    }
  });
  EXPECT_EQ(given, 50'000u * (1 + 2 + 3 + 4));
  EXPECT_EQ(resets, 0);
}

TEST(AdvanceLog, ThreadsThatAllSeeTheLogStartOverCountItOnce) {
  MadeBlock block;
  std::atomic<std::uint64_t> given{0};
  std::atomic<int> resets{0};
  constexpr int kThreads = 4;
  constexpr std::uint32_t kLogs = 2'000;
  std::barrier next_log(kThreads);
  RunThreads(kThreads, [&](int) {
    for (std::uint32_t salt = 1; salt <= kLogs; ++salt) {
      bool reset = false;
      given += block.region.AdvanceLog(salt, 3, &reset);
      if (reset) ++resets;
      next_log.arrive_and_wait();
    }
  });
  EXPECT_EQ(given, 3u * kLogs);
  EXPECT_EQ(resets, static_cast<int>(kLogs - 1));
}

// What was counted in private memory goes into the file that the process has by now, once.
TEST(ControlRegionCommits, BugCountsWithoutAnOwnerWereLeftBehind) {
  MadeBlock before, file;
  before.region.RecordCommit(3, {5, 1'000, 200});
  before.region.RecordCommit(kShared, {2, 3'000, 0});
  before.region.RecordCheckpoint(EntryOf(1), 3'000);
  before.region.RecordCheckpoint(EntryOf(2), 4'000);
  before.region.CountFired(true, 0, 100);
  file.region.RecordCommit(kShared, {1, 9'000, 0});
  for (int i = 0; i < 2; ++i) {
    file.region.TakeOverLeft(before.region, 3, /*with_frames=*/true);
    file.region.TakeOverLeft(before.region, kShared, /*with_frames=*/false);
    file.region.TakeOverCheckpoints(before.region, /*with_resets=*/true);
  }
  const CommitTotals totals = file.region.ReadCommits(true);
  EXPECT_EQ(totals.commits, 3u);
  EXPECT_EQ(totals.frames_written, 6u);
  EXPECT_EQ(totals.timed_commits, 3u);
  EXPECT_EQ(totals.commit_ns, 13'000u);
  EXPECT_EQ(totals.commit_max_ns, 9'000u);
  EXPECT_EQ(totals.stall_ns, 200u);
  EXPECT_EQ(before.region.ReadCommits(false).commits, 0u);
  const auto log = file.region.ReadCheckpointLog();
  ASSERT_EQ(log.size(), 2u);
  EXPECT_EQ(log[0].rule, "rule_2");
  EXPECT_EQ(log[1].rule, "rule_1");
  EXPECT_EQ(file.region.ReadCheckpointTotals().by_mode[0], 2u);
  EXPECT_EQ(file.region.ReadCheckpointTotals().total_ns, 3u);
  EXPECT_EQ(file.region.ReadFired(true, 0).fired, 1u);
}

}  // namespace
}  // namespace walmanager
