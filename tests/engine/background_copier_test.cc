#include "ext/checkpoint/background_copier.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>

#include "ext/core/base/time_units.h"
#include "ext/system/clock.h"
#include "ext/system/registry.h"
#include "tests/engine/wal_database.h"

namespace walmanager {
namespace {

class BackgroundCopierTest : public testing::Test {
 protected:
  ~BackgroundCopierTest() override {
    copier_.Stop();
    state_.connections.Close();
  }

  ControlRegion& region() { return file_->region(); }
  // Rows in the log of which a managed commit has told the control file.
  void CommitRecorded(int rows) {
    database_.Commit(rows);
    bool reset = false;
    const LogEnd end = database_.Look().end();
    (void)region().AdvanceLog(end.salt1, end.max_frame, &reset);
  }
  // Ten frames are due, and the thread looks every 10 ms.
  void MakeCopyingDue() {
    ChangeSetting(region(), Setting::kCheckpointFrames, 10);
    ChangeSetting(region(), Setting::kSampleIntervalMs, 10);
    const MutexLock lock(state_.mutex);
    ASSERT_TRUE(state_.FollowSettings().ok());
    state_.PlanNextLook(database_.Look(), MonotonicNs());
  }
  bool HandOver(const HostConnection& host) {
    const MutexLock lock(state_.mutex);
    return copier_.HandOver(host);
  }
  bool HandOver() { return HandOver(database_.host()); }
  // Whether the thread looks `more` times from now on.
  bool WaitForLooks(int more) {
    const int looks = looks_ + more;
    return WaitUntil([&] { return looks_ >= looks; });
  }

  WalDatabase database_;
  std::unique_ptr<ControlInUse> control_ = MakeControl(database_);
  std::shared_ptr<ControlFile> file_ = control_->Get();
  CheckpointState state_{database_.path(), database_.id(), *control_};
  std::atomic<int> looks_{0}, wanted_{0};
  BackgroundCopier copier_{state_,
                           {.look = [this] { ++looks_; }, .make_if_wanted = [this] { ++wanted_; }}};
};

TEST_F(BackgroundCopierTest, ThereIsNoThreadForAConnectionThatIsNotTraced) {
  HostConnection host = database_.host();
  host.traced = false;
  EXPECT_FALSE(HandOver(host));
  EXPECT_FALSE(copier_.is_at_work());
  EXPECT_TRUE(HandOver());
  EXPECT_TRUE(copier_.is_at_work());
}

TEST_F(BackgroundCopierTest, ThereIsNoThreadWhileCommitsCopyByThemselves) {
  state_.inline_period.Begin(MonotonicNs(), "a test");
  EXPECT_FALSE(HandOver());
  EXPECT_FALSE(copier_.is_at_work());
}

TEST_F(BackgroundCopierTest, ThereIsNoThreadWhenTheLastConnectionCloses) {
  state_.stopping = true;
  EXPECT_FALSE(HandOver());
  EXPECT_FALSE(copier_.is_at_work());
}

TEST_F(BackgroundCopierTest, TheThreadCopiesAndLeavesTheRemainderToACommit) {
  MakeCopyingDue();
  CommitRecorded(40);
  ASSERT_TRUE(HandOver());
  ASSERT_TRUE(WaitUntil([&] { return !region().ReadCheckpointLog().empty(); }));
  EXPECT_EQ(database_.RowsWithoutLog(), 40);
  const ControlRegion::Prepared prepared = region().prepared();
  EXPECT_EQ(prepared.salt1, database_.Look().salt1);
  EXPECT_GT(prepared.frames, 0u);
  EXPECT_EQ(prepared.rule, 2u);  // 'frames', the second one of conversation_workload
  const CheckpointEntry line = region().ReadCheckpointLog().back();
  EXPECT_EQ(line.origin, CheckpointOrigin::kBackground);
  EXPECT_EQ(line.rule, "frames");
  EXPECT_EQ(line.result, CheckpointResult::kComplete);
  EXPECT_EQ(line.moved_frames, database_.Look().max_frame);
  // Nothing in the control file says that it is still at work.
  EXPECT_TRUE(WaitUntil([&] { return region().engine().at_work_until_ns.load() == 0; }));
}

TEST_F(BackgroundCopierTest, TheThreadCopiesNothingThatNoConnectionWants) {
  MakeCopyingDue();
  CommitRecorded(40);
  state_.wishes.Change(CheckpointWish::kNone, CheckpointWish::kUnwanted);
  ASSERT_TRUE(HandOver());
  ASSERT_TRUE(WaitForLooks(3));
  EXPECT_EQ(database_.Look().backfill, 0u);
  // Another connection wants it.
  state_.wishes.Change(CheckpointWish::kNone, CheckpointWish::kWanted);
  EXPECT_TRUE(WaitUntil([&] { return database_.Look().complete(); }));
}

TEST_F(BackgroundCopierTest, TheThreadCopiesNothingBeforeARuleHolds) {
  MakeCopyingDue();
  CommitRecorded(2);
  ASSERT_LT(database_.Look().max_frame, 10u);
  ASSERT_TRUE(HandOver());
  ASSERT_TRUE(WaitForLooks(3));
  EXPECT_EQ(database_.Look().backfill, 0u);
}

TEST_F(BackgroundCopierTest, ATaskThatStandsByLooksWhileTheDatabaseIsInUse) {
  MakeCopyingDue();
  CommitRecorded(40);
  copier_.FollowActivity(true);
  sqlite3_sleep(20);
  EXPECT_EQ(looks_, 0) << "no connection has permitted it";
  copier_.FollowActivity(false);
  {
    const MutexLock lock(state_.mutex);
    ASSERT_TRUE(copier_.StandBy(database_.host()));
  }
  copier_.FollowActivity(true);
  EXPECT_TRUE(WaitUntil([&] { return database_.Look().complete(); }));
}

TEST_F(BackgroundCopierTest, WhatIsLeftIsCopiedOnceTheDatabaseIsNotInUseThenTheTaskSleeps) {
  MakeCopyingDue();
  CommitRecorded(2);
  ASSERT_TRUE(HandOver());
  ASSERT_TRUE(WaitUntil([&] { return !region().ReadCheckpointLog().empty(); }));
  EXPECT_TRUE(database_.Look().complete());
  EXPECT_EQ(region().ReadCheckpointLog().back().rule, "interval");
  ASSERT_TRUE(WaitUntil([&] { return !state_.connections.open(); }));
  sqlite3_sleep(30);
  const int looks = looks_;
  sqlite3_sleep(100);
  EXPECT_EQ(looks_, looks);
  // It is in use again.
  copier_.FollowActivity(true);
  EXPECT_TRUE(WaitForLooks(3));
}

TEST_F(BackgroundCopierTest, WhatIsLeftWaitsForItsTimeWhileTheDatabaseIsInUse) {
  MakeCopyingDue();
  CommitRecorded(2);
  copier_.FollowActivity(true);
  ASSERT_TRUE(HandOver());
  sqlite3_sleep(2'500);
  EXPECT_EQ(database_.Look().backfill, 0u);
}

TEST_F(BackgroundCopierTest, FramesOfCommitsThatReachedNoHookAreCounted) {
  MakeCopyingDue();
  database_.Commit(40);
  ASSERT_TRUE(HandOver());
  EXPECT_TRUE(WaitUntil([&] {
    return region().ReadCommits(/*with_histogram=*/false).frames_written ==
           database_.Look().max_frame;
  }));
  EXPECT_EQ(wanted_, 1);
}

// Occupies a thread that copies, as a disk does that does not answer.
struct StuckCopy {
  ~StuckCopy() { let_go = true; }
  std::atomic<bool> began{false}, let_go{false};
  Scheduler::Task task{Registry::Get().scheduler, Scheduler::Kind::kCopies, [this] {
                         began = true;
                         while (!let_go) sqlite3_sleep(1);
                         return Scheduler::kNever;
                       }};
};

TEST_F(BackgroundCopierTest, FromTheLimitOnWorkThatNoThreadTakesForASecondIsNotHandedOver) {
  ChangeSetting(region(), Setting::kWalLimitBytes, 64 * 1024);
  MakeCopyingDue();
  std::array<StuckCopy, 3> stuck;
  for (StuckCopy& each : stuck) {
    ASSERT_TRUE(each.task.Wake());
    ASSERT_TRUE(WaitUntil([&] { return each.began.load(); }));
  }
  EXPECT_TRUE(HandOver());
  sqlite3_sleep(1'100);
  EXPECT_TRUE(HandOver()) << "the log is short";
  CommitRecorded(40);
  {
    const MutexLock lock(state_.mutex);
    state_.RememberLog(database_.Look());
    state_.PlanNextLook(database_.Look(), MonotonicNs());
    ASSERT_GE(state_.last_index.max_frame, state_.gate.wait_frame());
  }
  EXPECT_FALSE(HandOver());
  for (StuckCopy& each : stuck) each.let_go = true;
  EXPECT_TRUE(WaitUntil([&] { return database_.Look().complete(); }));
  EXPECT_TRUE(HandOver());
}

TEST_F(BackgroundCopierTest, ARemainderThatGrewIsPreparedNoMore) {
  const MutexLock lock(state_.mutex);
  region().SetPrepared({1, 100, 2});
  copier_.RemainderGrew(region(), 2);
  EXPECT_EQ(region().prepared().frames, 0u);
}

TEST_F(BackgroundCopierTest, AStoppedThreadLooksNoMore) {
  MakeCopyingDue();
  ASSERT_TRUE(HandOver());
  ASSERT_TRUE(WaitForLooks(2));
  copier_.Stop();
  const int looks = looks_;
  EXPECT_FALSE(state_.connections.cancelled());
  sqlite3_sleep(50);
  EXPECT_EQ(looks_, looks);
}

}  // namespace
}  // namespace walmanager
