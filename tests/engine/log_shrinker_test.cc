#include "ext/checkpoint/log_shrinker.h"

#include <gtest/gtest.h>

#include <thread>

#include "ext/checkpoint/checkpoint_state.h"
#include "ext/core/base/time_units.h"
#include "ext/core/control/shared_words.h"
#include "ext/system/clock.h"
#include "ext/system/registry.h"
#include "tests/engine/wal_database.h"

namespace walmanager {
namespace {

constexpr std::int64_t kMiB = 1024 * 1024;
constexpr std::int64_t kLimit = kMiB;
constexpr int kLongLog = 700;  // pages: over 2.7 MiB
constexpr std::uint64_t kSecond = 1'000 * kMs;

class LogShrinkerTest : public testing::Test {
 protected:
  void SetUp() override {
    // The program's connection, as a managed one shows itself.
    slab_ = file_->ClaimSlab();
    DescribeConnection(file_->region().slab(slab_).info, {.id = 1,
                                                          .main = true,
                                                          .application = "a test",
                                                          .process = "a test",
                                                          .file = database_.path()});
  }
  void TearDown() override { state_.connections.Close(); }

  void OpenConnections() {
    const MutexLock lock(state_.mutex);
    ASSERT_TRUE(state_.OpenFor(database_.host())) << state_.connections.unguarded_because();
  }
  // What the commits of a managed connection record of the log.
  void RecordLog() {
    bool reset = false;
    const LogEnd end = database_.Look().end();
    (void)file_->region().AdvanceLog(end.salt1, end.max_frame, &reset);
  }
  LogShrinker::IdleStep ShrinkWhileIdle() {
    const MutexLock lock(state_.mutex);
    return state_.shrinker.ShrinkWhileIdle(*file_, database_.Look(), kLimit, database_.wal_bytes());
  }
  // Steps in the background need a system that shows the locks of all processes.
  static bool ProcessesAreHidden() {
    constexpr std::uint64_t kAllProcesses = 0xefff'fffc;
    return ThisProcess().pid_namespace != kAllProcesses;
  }

  WalDatabase database_;
  std::unique_ptr<ControlInUse> control_ = MakeControl(database_);
  std::shared_ptr<ControlFile> file_ = control_->Get();
  CheckpointState state_{database_.path(), database_.id(), *control_};
  LogShrinker& shrinker_ = state_.shrinker;
  std::size_t slab_ = 0;
};

TEST_F(LogShrinkerTest, ACommitCutsTheFileStepByStepDownToItsLimit) {
  database_.MakeShortLogInLongFile(kLongLog);
  OpenConnections();
  std::int64_t bytes = database_.wal_bytes();
  ASSERT_GT(bytes, 2 * kMiB);
  for (int step = 0; step < 100 && bytes > kLimit; ++step) {
    const auto cut = shrinker_.ShrinkInCommit(database_.Look(), kLimit);
    ASSERT_TRUE(cut);
    EXPECT_LE(*cut, bytes);
    EXPECT_EQ(*cut, database_.wal_bytes());
    bytes = *cut;
  }
  EXPECT_EQ(bytes, kLimit);
  EXPECT_EQ(database_.RowsAfterRecovery(), kLongLog + 1);
}

TEST_F(LogShrinkerTest, ACommitCutsNothingOfALogOverHalfItsLimit) {
  database_.Commit(kLongLog);
  OpenConnections();
  const std::int64_t bytes = database_.wal_bytes();
  WalIndex index = database_.Look();
  index.max_frame = 128;  // of 4120 bytes each: just over half of 1 MiB
  EXPECT_EQ(shrinker_.ShrinkInCommit(index, kLimit), std::nullopt);
  EXPECT_EQ(database_.wal_bytes(), bytes);
}

TEST_F(LogShrinkerTest, TheNextStepInACommitIsFiftyTimesAsFarAwayAsThisOneTook) {
  database_.MakeShortLogInLongFile(kLongLog);
  OpenConnections();
  const std::uint64_t start = MonotonicNs();
  (void)shrinker_.ShrinkInCommit(database_.Look(), kLimit);
  const std::uint64_t took = MonotonicNs() - start;
  EXPECT_GE(shrinker_.not_before_ns(), start + 10 * took);  // `took` has more than the step in it
  EXPECT_LE(shrinker_.not_before_ns(), start + 51 * took);
  EXPECT_EQ(shrinker_.next_idle_step_ns(), shrinker_.not_before_ns());
}

TEST_F(LogShrinkerTest, AnIdleLookIsDueOnceASecondAndNotWhileAStatementRuns) {
  if (ProcessesAreHidden()) GTEST_SKIP() << "this PID namespace hides processes";
  const std::uint64_t now = MonotonicNs();
  layout::ConnectionInfo& info = file_->region().slab(slab_).info;
  EXPECT_TRUE(shrinker_.IsDueWhileIdle(*file_, /*in_use=*/true, now));
  EXPECT_FALSE(shrinker_.IsDueWhileIdle(*file_, /*in_use=*/true, now + kSecond - 1));
  Put(info.started_ns, 1);
  EXPECT_FALSE(shrinker_.IsDueWhileIdle(*file_, /*in_use=*/true, now + kSecond));
  Put(info.started_ns, 0);
  Put(info.transaction, static_cast<std::uint64_t>(TransactionState::kRead));
  EXPECT_FALSE(shrinker_.IsDueWhileIdle(*file_, /*in_use=*/true, now + 2 * kSecond));
  Put(info.transaction, 0);
  Put(info.trace, static_cast<std::uint64_t>(TraceState::kDisplaced));
  EXPECT_FALSE(shrinker_.IsDueWhileIdle(*file_, /*in_use=*/true, now + 3 * kSecond));
  Put(info.trace, static_cast<std::uint64_t>(TraceState::kActive));
  EXPECT_TRUE(shrinker_.IsDueWhileIdle(*file_, /*in_use=*/true, now + 4 * kSecond));
}

TEST_F(LogShrinkerTest, LooksInVainComeLaterEachTimeUntilTheDatabaseIsUsedAgain) {
  if (ProcessesAreHidden()) GTEST_SKIP() << "this PID namespace hides processes";
  layout::ConnectionInfo& info = file_->region().slab(slab_).info;
  Put(info.trace, static_cast<std::uint64_t>(TraceState::kDisplaced));
  std::uint64_t now = MonotonicNs();
  for (const std::uint64_t seconds : {1, 2, 4, 8, 16, 32, 60, 60}) {
    EXPECT_FALSE(shrinker_.IsDueWhileIdle(*file_, /*in_use=*/false, now));
    EXPECT_EQ(shrinker_.next_idle_step_ns(), now + seconds * kSecond);
    now += seconds * kSecond;
  }
  EXPECT_FALSE(shrinker_.IsDueWhileIdle(*file_, /*in_use=*/true, now));
  EXPECT_EQ(shrinker_.next_idle_step_ns(), now + kSecond);
  Put(info.trace, static_cast<std::uint64_t>(TraceState::kActive));
  EXPECT_TRUE(shrinker_.IsDueWhileIdle(*file_, /*in_use=*/false, now + kSecond));
}

TEST_F(LogShrinkerTest, AnIdleLogIsCutWhileNoConnectionIsInAStatement) {
  if (ProcessesAreHidden()) GTEST_SKIP() << "this PID namespace hides processes";
  database_.MakeShortLogInLongFile(kLongLog);
  RecordLog();
  OpenConnections();
  const std::int64_t bytes = database_.wal_bytes();
  Put(file_->region().slab(slab_).info.started_ns, 1);
  EXPECT_FALSE(ShrinkWhileIdle().taken);
  EXPECT_EQ(database_.wal_bytes(), bytes);
  Put(file_->region().slab(slab_).info.started_ns, 0);
  EXPECT_TRUE(WaitUntil([&] { return ShrinkWhileIdle().taken && database_.wal_bytes() < bytes; }));
  EXPECT_GE(database_.wal_bytes(), kLimit);
  EXPECT_EQ(Get(file_->region().header().cut_until_ns), 0u);
  EXPECT_EQ(database_.RowsAfterRecovery(), kLongLog + 1);
}

TEST_F(LogShrinkerTest, AnIdleLogThatIsTooLongStartsOverFirst) {
  if (ProcessesAreHidden()) GTEST_SKIP() << "this PID namespace hides processes";
  database_.Commit(kLongLog);
  RecordLog();
  OpenConnections();
  EXPECT_FALSE(ShrinkWhileIdle().taken);  // frames are pending
  database_.Run("PRAGMA wal_checkpoint(PASSIVE)");
  LogShrinker::IdleStep step;
  EXPECT_TRUE(WaitUntil([&] {
    step = ShrinkWhileIdle();
    return step.log.has_value();
  }));
  EXPECT_EQ(step.log->max_frame, 0u);
  EXPECT_EQ(step.log_position, database_.Look().end().position());
  EXPECT_EQ(file_->region().ReadCheckpointTotals().wal_resets, 1u);
  EXPECT_EQ(database_.RowsAfterRecovery(), kLongLog);
}

TEST_F(LogShrinkerTest, AnUnmanagedConnectionPutsIdleStepsOffEverLonger) {
  if (ProcessesAreHidden()) GTEST_SKIP() << "this PID namespace hides processes";
  database_.MakeShortLogInLongFile(kLongLog);
  RecordLog();
  OpenConnections();
  const OwnedDb unmanaged = database_.Open();
  WalDatabase::Run(unmanaged.get(), "SELECT count(*) FROM t");
  const std::int64_t bytes = database_.wal_bytes();
  for (const std::uint64_t seconds : {1, 2, 4}) {
    const std::uint64_t before = MonotonicNs();
    EXPECT_FALSE(ShrinkWhileIdle().taken);
    EXPECT_GE(shrinker_.next_idle_step_ns(), before + seconds * kSecond);
    EXPECT_LE(shrinker_.next_idle_step_ns(), MonotonicNs() + seconds * kSecond);
  }
  EXPECT_EQ(database_.wal_bytes(), bytes);
  // Commits do not wait for that.
  EXPECT_EQ(shrinker_.not_before_ns(), 0u);
}

TEST_F(LogShrinkerTest, ALogThatACommitDidNotRecordIsLeftForOneMoreLook) {
  if (ProcessesAreHidden()) GTEST_SKIP() << "this PID namespace hides processes";
  database_.MakeShortLogInLongFile(kLongLog);
  OpenConnections();
  EXPECT_FALSE(ShrinkWhileIdle().taken);
  EXPECT_TRUE(WaitUntil([&] { return ShrinkWhileIdle().taken; }));
}

TEST_F(LogShrinkerTest, AStatementWaitsWhileAProcessCutsAndNotForOneThatIsGone) {
  ControlRegion& region = file_->region();
  layout::Counter& cut_until_ns = region.header().cut_until_ns;
  const std::uint64_t start = MonotonicNs();
  Put(cut_until_ns, start + 250 * kMs);
  std::thread cutter([&] {
    sqlite3_sleep(10);
    Put(cut_until_ns, 0);
  });
  LogShrinker::WaitWhileLogIsCut(region);
  EXPECT_GE(MonotonicNs() - start, 10 * kMs);
  cutter.join();
  // The process was killed, then: the word is corrupt.
  for (const std::uint64_t left : {MonotonicNs() - 1, MonotonicNs() + 60 * kSecond}) {
    Put(cut_until_ns, left);
    const std::uint64_t before = MonotonicNs();
    LogShrinker::WaitWhileLogIsCut(region);
    EXPECT_LT(MonotonicNs() - before, 30 * kSecond);
    EXPECT_EQ(Get(cut_until_ns), 0u);
  }
}

}  // namespace
}  // namespace walmanager
