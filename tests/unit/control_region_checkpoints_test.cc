// Checkpoint records come back newest first and whole, and their totals add up.
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <set>

#include "ext/core/control/control_region.h"
#include "tests/unit/control_region_block.h"

namespace walmanager {
namespace {

TEST(ControlRegionCheckpoints, ARecordIsReadAsItWasMade) {
  MadeBlock block;
  CheckpointEntry entry;
  entry.at_ms = 1'700'000'000'000;
  entry.pid = 4711;
  entry.mode = CheckpointMode::kTruncate;
  entry.origin = CheckpointOrigin::kClose;
  entry.result = CheckpointResult::kFailed;
  entry.wal_frames = 100;
  entry.checkpointed_frames = 0;
  entry.moved_frames = std::nullopt;
  entry.wal_bytes = std::int64_t{1} << 40;
  entry.blocked_by_pid = 12;
  entry.duration_ns = 5'000'000;
  entry.rule = "limit";
  entry.error = std::string(94, 'x') + "é";  // room for 95 bytes
  block.region.RecordCheckpoint(entry, 9);
  block.region.RecordCheckpoint({}, 10);
  const auto log = block.region.ReadCheckpointLog();
  ASSERT_EQ(log.size(), 2u);
  EXPECT_EQ(log[0].id, 2u);
  EXPECT_EQ(log[0].wal_frames, std::nullopt);
  EXPECT_EQ(log[0].blocked_by_pid, std::nullopt);
  EXPECT_EQ(log[0].rule, "");
  EXPECT_EQ(log[1].id, 1u);
  EXPECT_EQ(log[1].at_ms, entry.at_ms);
  EXPECT_EQ(log[1].pid, entry.pid);
  EXPECT_EQ(log[1].mode, entry.mode);
  EXPECT_EQ(log[1].origin, entry.origin);
  EXPECT_EQ(log[1].result, entry.result);
  EXPECT_EQ(log[1].wal_frames, 100);
  EXPECT_EQ(log[1].checkpointed_frames, 0);
  EXPECT_EQ(log[1].moved_frames, std::nullopt);
  EXPECT_EQ(log[1].wal_bytes, std::int64_t{1} << 40);
  EXPECT_EQ(log[1].blocked_by_pid, 12);
  EXPECT_EQ(log[1].duration_ns, 5'000'000);
  EXPECT_EQ(log[1].rule, "limit");
  EXPECT_EQ(log[1].error, std::string(94, 'x'));
  EXPECT_EQ(block.region.header().last_checkpoint_ns.load(), 10u);
}

TEST(ControlRegionCheckpoints, WhatOneThreadLearnsIsNotLostToAnother) {
  MadeBlock block;
  Learned engine = block.region.learned(), other = block.region.learned();
  other.PagesMeasured(1, 2);
  block.region.SetLearned(other);
  engine.PassEnded({40, 4, 5'000'000});
  engine.Finished(1'000'000);
  block.region.SetLearned(engine);
  Learned file_made = block.region.learned();
  Learned before;
  before.ReaderLeft(7'000'000);
  before.PagesMeasured(3, 4);
  file_made.Complete(before);
  other = block.region.learned();
  other.PagesMeasured(5, 2);
  block.region.SetLearned(other);
  block.region.SetLearned(file_made);
  const Learned known = block.region.learned();
  EXPECT_EQ(known[LearnedValue::kReadPageUs], 2);
  EXPECT_EQ(known[LearnedValue::kMappedPageUs], 2);
  EXPECT_EQ(known[LearnedValue::kWriteRate], 800);
  EXPECT_EQ(known[LearnedValue::kSyncMs], 5);
  EXPECT_EQ(known[LearnedValue::kFinishMs], 1);
  EXPECT_EQ(known[LearnedValue::kReaderMs], 7);
  EXPECT_EQ(known[LearnedValue::kFrameUs], std::nullopt);
}

TEST(ControlRegionCheckpoints, TotalsCountModesOriginsAndResults) {
  MadeBlock block;
  EXPECT_EQ(block.region.ReadCheckpointTotals().last_mode, std::nullopt);
  CheckpointEntry entry = EntryOf(1'000);
  entry.mode = CheckpointMode::kFull;
  entry.origin = CheckpointOrigin::kManual;
  entry.result = CheckpointResult::kPartial;
  entry.moved_frames = 40;
  block.region.RecordCheckpoint(entry, 1);
  entry = EntryOf(600);
  entry.origin = CheckpointOrigin::kBackground;
  entry.result = CheckpointResult::kComplete;
  entry.moved_frames = 2;
  block.region.RecordCheckpoint(entry, 2);
  block.region.CountSkippedCheckpoint();
  block.region.CountLogReset();
  block.region.CountLogReset();
  block.region.RaiseWalBytesMax(500);
  block.region.RaiseWalBytesMax(400);
  const CheckpointTotals totals = block.region.ReadCheckpointTotals();
  const std::uint64_t modes[] = {1, 1, 0, 0}, origins[] = {0, 1, 1, 0}, results[] = {1, 1, 0, 1, 0};
  for (int i = 0; i < 4; ++i) EXPECT_EQ(totals.by_mode[i], modes[i]) << i;
  for (int i = 0; i < 4; ++i) EXPECT_EQ(totals.by_origin[i], origins[i]) << i;
  for (int i = 0; i < 5; ++i) EXPECT_EQ(totals.by_result[i], results[i]) << i;
  EXPECT_EQ(totals.frames, 42u);
  EXPECT_EQ(totals.total_ns, 1'600u);
  EXPECT_EQ(totals.max_ns, 1'000u);
  EXPECT_EQ(totals.last_ns, 600u);
  EXPECT_EQ(totals.last_ms, 600);
  EXPECT_EQ(totals.last_mode, CheckpointMode::kPassive);
  EXPECT_EQ(totals.wal_resets, 2u);
  EXPECT_EQ(totals.wal_bytes_max, 500u);
  ASSERT_EQ(totals.histogram.size(), DurationScale::kBuckets);
  EXPECT_EQ(totals.histogram[DurationScale::Bucket(1'000)], 1u);
  EXPECT_EQ(totals.histogram[DurationScale::Bucket(600)], 1u);
}

TEST(ControlRegionCheckpoints, CommitsSinceTheLastCheckpointCanBeTold) {
  MadeBlock block;
  for (int i = 0; i < 5; ++i) block.region.RecordCommit(kShared, {});
  block.region.RecordCheckpoint(EntryOf(1), 1);
  EXPECT_EQ(block.region.header().commits_at_checkpoint.load(), 5u);
  block.region.ResetWalStatistics(1, 1);
  EXPECT_EQ(block.region.header().commits_at_checkpoint.load(), 0u);
}

TEST(ControlRegionCheckpoints, TheLogHoldsTheLast512NewestFirst) {
  MadeBlock block;
  const std::int64_t all = static_cast<std::int64_t>(2 * kRing) + 100;
  for (std::int64_t i = 1; i <= all; ++i) block.region.RecordCheckpoint(EntryOf(i), 1);
  const auto log = block.region.ReadCheckpointLog();
  ASSERT_EQ(log.size(), kRing);
  for (std::size_t i = 0; i < log.size(); ++i) {
    const std::int64_t number = all - static_cast<std::int64_t>(i);
    EXPECT_EQ(log[i].id, static_cast<std::uint64_t>(number));
    EXPECT_EQ(log[i].at_ms, number);
    EXPECT_EQ(log[i].rule, "rule_" + std::to_string(number));
  }
  EXPECT_EQ(block.region.ReadCheckpointTotals().by_mode[0], static_cast<std::uint64_t>(all));
}

TEST(ControlRegionCheckpoints, ARecordBeingWrittenIsPassedOver) {
  MadeBlock block;
  for (std::int64_t i = 1; i <= 3; ++i) block.region.RecordCheckpoint(EntryOf(i), 1);
  block.file->ring.slots[2].id = 0;
  const auto log = block.region.ReadCheckpointLog();
  ASSERT_EQ(log.size(), 2u);
  EXPECT_EQ(log[0].id, 3u);
  EXPECT_EQ(log[1].id, 1u);
}

TEST(ControlRegionCheckpoints, AResetForgetsAndNumbersGoOn) {
  MadeBlock block;
  for (std::int64_t i = 1; i <= 3; ++i) block.region.RecordCheckpoint(EntryOf(i), 1);
  block.region.CountLogReset();
  block.region.RaiseWalBytesMax(9);
  EXPECT_EQ(block.region.ResetWalStatistics(5, 6), 3);
  EXPECT_TRUE(block.region.ReadCheckpointLog().empty());
  const CheckpointTotals totals = block.region.ReadCheckpointTotals();
  EXPECT_EQ(totals.by_mode[0] + totals.by_origin[0] + totals.by_result[3], 0u);
  EXPECT_EQ(totals.total_ns + totals.max_ns + totals.wal_resets + totals.wal_bytes_max, 0u);
  EXPECT_EQ(totals.histogram, std::vector<std::uint64_t>(DurationScale::kBuckets));
  EXPECT_EQ(totals.last_mode, std::nullopt);
  EXPECT_EQ(block.region.ResetWalStatistics(5, 6), 0);
  block.region.RecordCheckpoint(EntryOf(9), 1);
  const auto log = block.region.ReadCheckpointLog();
  ASSERT_EQ(log.size(), 1u);
  EXPECT_EQ(log[0].id, 4u);
}

TEST(ControlRegionCheckpoints, RecordedTogetherTheyEqualASingleThreadedTwin) {
  constexpr int kThreads = 4;
  constexpr int kRecords = 3'000;
  const auto entry = [](int thread, int i) {
    CheckpointEntry made = EntryOf(std::int64_t{thread} * kRecords + i);
    made.mode = static_cast<CheckpointMode>(i % 4);
    made.origin = static_cast<CheckpointOrigin>(thread % 4);
    made.result = static_cast<CheckpointResult>(i % 5);
    made.moved_frames = i % 13;
    return made;
  };
  MadeBlock together, alone;
  std::atomic<bool> stop{false};
  std::atomic<int> mixtures{0}, reads{0};
  std::thread reader([&] {
    while (!stop) {
      for (const CheckpointEntry& read : together.region.ReadCheckpointLog()) {
        ++reads;
        if (read.pid != read.at_ms || read.duration_ns != read.at_ms ||
            read.wal_frames != read.at_ms || read.rule != "rule_" + std::to_string(read.at_ms)) {
          ++mixtures;
        }
      }
    }
  });
  // A thread that is held up while others go once around the ring would write into their record:
  // they wait for it before that.
  std::barrier before_the_ring_is_full(kThreads);
  RunThreads(kThreads, [&](int thread) {
    for (int i = 0; i < kRecords; ++i) {
      if (i % 100 == 0) before_the_ring_is_full.arrive_and_wait();
      // On a busy machine the reader may come late: it has half of the records left to read beside.
      while (i == kRecords / 2 && reads == 0) std::this_thread::yield();
      together.region.RecordCheckpoint(entry(thread, i), 1);
    }
  });
  stop = true;
  reader.join();
  for (int thread = 0; thread < kThreads; ++thread) {
    for (int i = 0; i < kRecords; ++i) alone.region.RecordCheckpoint(entry(thread, i), 1);
  }
  EXPECT_EQ(mixtures, 0);
  EXPECT_GT(reads, 0);
  const CheckpointTotals a = together.region.ReadCheckpointTotals();
  const CheckpointTotals b = alone.region.ReadCheckpointTotals();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(a.by_mode[i], b.by_mode[i]);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(a.by_origin[i], b.by_origin[i]);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(a.by_result[i], b.by_result[i]);
  EXPECT_EQ(a.frames, b.frames);
  EXPECT_EQ(a.total_ns, b.total_ns);
  EXPECT_EQ(a.max_ns, b.max_ns);
  EXPECT_EQ(a.histogram, b.histogram);
  const auto log = together.region.ReadCheckpointLog();
  ASSERT_EQ(log.size(), kRing);
  std::set<std::int64_t> numbers;
  for (std::size_t i = 0; i < log.size(); ++i) {
    EXPECT_EQ(log[i].id, static_cast<std::uint64_t>(kThreads * kRecords) - i);
    EXPECT_TRUE(numbers.insert(log[i].at_ms).second) << "a record stands twice";
  }
}

// Ids are the ring's own: one that was never given out, or of another slot, is not a record.
TEST(ControlRegionCheckpoints, BugIdsThatWereNeverGivenOutAreTaken) {
  MadeBlock block;
  block.region.RecordCheckpoint(EntryOf(1), 1);
  block.file->ring.slots[5].id = ~std::uint64_t{0} / kRing * kRing + 5;
  block.file->ring.slots[6].id = 1;
  const auto log = block.region.ReadCheckpointLog();
  ASSERT_EQ(log.size(), 1u);
  EXPECT_EQ(log[0].at_ms, 1);
}

}  // namespace
}  // namespace walmanager
