#include "ext/checkpoint/checkpoint_state.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "ext/core/base/time_units.h"
#include "ext/core/control/shared_words.h"
#include "ext/system/clock.h"
#include "tests/engine/wal_database.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kSecond = 1'000 * kMs;

class CheckpointStateTest : public testing::Test {
 protected:
  ~CheckpointStateTest() override { state_.connections.Close(); }

  void OpenConnections() {
    const MutexLock lock(state_.mutex);
    ASSERT_TRUE(state_.OpenFor(database_.host())) << state_.connections.unguarded_because();
  }
  ControlRegion& region() { return control_->Get()->region(); }

  WalDatabase database_;
  std::unique_ptr<ControlInUse> control_ = MakeControl(database_);
  CheckpointState state_{database_.path(), database_.id(), *control_};
};

TEST_F(CheckpointStateTest, TheLastLookIsWhatWasRememberedUntilConnectionsAreOpen) {
  EXPECT_FALSE(state_.LastLook());
  WalIndex remembered;
  remembered.page_size = 4096;
  remembered.max_frame = 12'345;
  {
    const MutexLock lock(state_.mutex);
    state_.RememberLog(remembered);
  }
  ASSERT_TRUE(state_.LastLook());
  EXPECT_EQ(state_.LastLook()->max_frame, 12'345u);
  OpenConnections();
  ASSERT_TRUE(state_.LastLook());
  EXPECT_EQ(state_.LastLook()->end(), database_.Look().end());
}

TEST_F(CheckpointStateTest, TheLastLookDoesNotWaitForACheckpoint) {
  OpenConnections();
  const MutexLock lock(state_.mutex);  // as a checkpoint holds it
  std::optional<WalIndex> seen = WalIndex{};
  std::thread asker([&] { seen = state_.LastLook(); });
  asker.join();
  EXPECT_FALSE(seen);
}

TEST_F(CheckpointStateTest, TheLargestSizeOfTheLogIsKept) {
  database_.Commit(20);
  const std::int64_t bytes = database_.wal_bytes();
  EXPECT_EQ(state_.MeasureWal(), bytes);
  database_.Run("PRAGMA wal_checkpoint(TRUNCATE)");
  EXPECT_EQ(state_.MeasureWal(), 0);
  EXPECT_EQ(region().ReadCheckpointTotals().wal_bytes_max, static_cast<std::uint64_t>(bytes));
}

TEST_F(CheckpointStateTest, ConnectionsCloseOnlyAfterASecondWithoutUseAndCommit) {
  OpenConnections();
  const MutexLock lock(state_.mutex);
  state_.connections.MarkUsed();
  const std::uint64_t used = state_.connections.last_used_ns();
  state_.CloseIfIdle(/*last_commit_ns=*/0, used + kSecond);
  EXPECT_TRUE(state_.connections.open());
  state_.CloseIfIdle(/*last_commit_ns=*/used + 1, used + kSecond + 1);
  EXPECT_TRUE(state_.connections.open());
  state_.CloseIfIdle(/*last_commit_ns=*/0, used + kSecond + 1);
  EXPECT_FALSE(state_.connections.open());
}

TEST_F(CheckpointStateTest, ConnectionsAreOpenedForATracedConnectionAlone) {
  HostConnection host = database_.host();
  host.traced = false;
  const MutexLock lock(state_.mutex);
  EXPECT_FALSE(state_.OpenFor(host));
  EXPECT_FALSE(state_.connections.open());
  host.traced = true;
  EXPECT_TRUE(state_.OpenFor(host));
  EXPECT_TRUE(state_.connections.open());
}

TEST_F(CheckpointStateTest, CommitsThatSyncMakeCopyingWait) {
  WalIndex index = database_.Look();
  const std::uint64_t now = Get(region().header().last_checkpoint_ns);
  const MutexLock lock(state_.mutex);
  ASSERT_TRUE(state_.FollowSettings().ok());
  index.max_frame = 3999;  // checkpoint_frames is 1000
  EXPECT_FALSE(state_.IsEarly(index, now));
  state_.commits_sync = true;
  EXPECT_TRUE(state_.IsEarly(index, now));
  EXPECT_FALSE(state_.IsEarly(index, now + 60 * kSecond));  // checkpoint_interval_ms is over
  index.max_frame = 4000;
  EXPECT_FALSE(state_.IsEarly(index, now));
}

TEST_F(CheckpointStateTest, ACheckpointThatRanIsALineAndOneThatDidNotIsNone) {
  database_.Commit(20);
  OpenConnections();
  const MutexLock lock(state_.mutex);
  CheckpointOutcome skipped;
  skipped.message = "nothing to move";
  EXPECT_EQ(
      state_.Record(CheckpointMode::kPassive, CheckpointOrigin::kManual, "rule", skipped, 5, 9)
          .message,
      "nothing to move");
  EXPECT_TRUE(region().ReadCheckpointLog().empty());
  const CheckpointOutcome outcome = state_.checkpointer.RunOpen(CheckpointMode::kPassive, 0);
  const CheckpointReport report =
      state_.Record(CheckpointMode::kPassive, CheckpointOrigin::kManual, "rule", outcome, 5, 9);
  EXPECT_EQ(report.duration_ns, 4u);
  EXPECT_EQ(report.wal_bytes, database_.wal_bytes());
  const auto lines = region().ReadCheckpointLog();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].result, CheckpointResult::kComplete);
  EXPECT_EQ(lines[0].origin, CheckpointOrigin::kManual);
  EXPECT_EQ(lines[0].rule, "rule");
  EXPECT_EQ(lines[0].moved_frames, database_.Look().max_frame);
  EXPECT_EQ(lines[0].duration_ns, 4);
}

TEST_F(CheckpointStateTest, HeldMarksAreFoundAndConnectionsOpenedForItClose) {
  database_.Commit(5);
  const HostConnection host = database_.host();
  OwnedDb reader = database_.OpenReader();
  auto marks = state_.FindReadMarks(&host, /*wait_ns=*/0);
  ASSERT_TRUE(marks);
  EXPECT_EQ(std::count(marks->held.begin(), marks->held.end(), true), 1);
  EXPECT_FALSE(state_.connections.open());
  reader.reset();
  marks = state_.FindReadMarks(&host, /*wait_ns=*/0);
  ASSERT_TRUE(marks);
  EXPECT_EQ(std::count(marks->held.begin(), marks->held.end(), true), 0);
}

// Bug: while the background thread copied, wal_readers had no row for a reader of another PID
// namespace, which the lock table does not show.
TEST_F(CheckpointStateTest, HeldMarksAreTriedAfterACheckpointThatRuns) {
  database_.Commit(5);
  const HostConnection host = database_.host();
  std::atomic<bool> asked{false};
  std::thread asker;
  {
    const MutexLock lock(state_.mutex);  // as a checkpoint holds it
    asker = std::thread([&] {
      state_.FindReadMarks(&host, /*wait_ns=*/60 * kSecond);
      asked = true;
    });
    while (state_.callers_waiting == 0 && !asked) usleep(100);
    EXPECT_FALSE(asked);
  }
  asker.join();
  EXPECT_EQ(state_.connections.times_opened(), 1u);  // which it does to try them
  EXPECT_EQ(state_.callers_waiting, 0);
}

TEST_F(CheckpointStateTest, ACheckpointThatGoesOnIsNotWaitedForBeyondTheLimit) {
  database_.Commit(5);
  OpenConnections();
  const HostConnection host = database_.host();
  const OwnedDb reader = database_.OpenReader();
  const MutexLock lock(state_.mutex);  // as a checkpoint holds it
  const auto find = [&](const HostConnection* asks, std::uint64_t wait_ns) {
    std::optional<ReadMarks> marks;
    std::thread asker([&] { marks = state_.FindReadMarks(asks, wait_ns); });
    asker.join();
    return marks ? std::count(marks->held.begin(), marks->held.end(), true) : -1;
  };
  const std::uint64_t began = MonotonicNs();
  EXPECT_EQ(find(&host, 5 * kMs), 1);
  EXPECT_GE(MonotonicNs() - began, 5 * kMs);
  EXPECT_EQ(find(nullptr, 3'600 * kSecond), 1);  // the table shows all, so this does not wait
  EXPECT_EQ(state_.callers_waiting, 0);
}

}  // namespace
}  // namespace walmanager
