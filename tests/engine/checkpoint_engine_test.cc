#include "ext/checkpoint/checkpoint_engine.h"

#include <gtest/gtest.h>

#include <thread>

#include "ext/core/base/time_units.h"
#include "ext/system/clock.h"
#include "tests/engine/wal_database.h"

namespace walmanager {
namespace {

class CheckpointEngineTest : public testing::Test {
 protected:
  ~CheckpointEngineTest() override {
    copier_.Stop();
    state_.connections.Close();
  }

  ControlRegion& region() { return file_->region(); }
  // SQLite's own strategy, due at so many frames.
  void UseInlineStrategy(std::int64_t frames) {
    SelectStrategy(region(), "sqlite_default");
    ChangeSetting(region(), Setting::kCheckpointFrames, frames);
  }
  CheckpointReport AfterCommit() {
    return engine_.AfterCommit(database_.host(), region(), database_.Look(), MonotonicNs());
  }
  CheckpointReport Commit(int rows) {
    database_.Commit(rows);
    return AfterCommit();
  }

  WalDatabase database_;
  std::unique_ptr<ControlInUse> control_ = MakeControl(database_);
  std::shared_ptr<ControlFile> file_ = control_->Get();
  CheckpointState state_{database_.path(), database_.id(), *control_};
  int looks_for_control_ = 0;
  BackgroundCopier copier_{state_, {.look = [] {}, .make_if_wanted = [] {}}};
  CheckpointEngine engine_{state_, copier_, [this] { ++looks_for_control_; }};
};

TEST_F(CheckpointEngineTest, TheCommitThatFulfilsARuleCopiesTheLog) {
  UseInlineStrategy(30);
  const CheckpointReport before = Commit(5);
  EXPECT_EQ(before.message, "no rule of the strategy holds");
  EXPECT_EQ(before.result, CheckpointResult::kSkipped);
  EXPECT_EQ(before.mode, std::nullopt);
  EXPECT_EQ(database_.Look().backfill, 0u);
  const CheckpointReport ran = Commit(40);
  EXPECT_EQ(ran.strategy, "sqlite_default");
  EXPECT_EQ(ran.rule, "autocheckpoint");
  EXPECT_EQ(ran.mode, CheckpointMode::kPassive);
  EXPECT_EQ(ran.result, CheckpointResult::kComplete);
  EXPECT_EQ(ran.checkpointed_frames, database_.Look().max_frame);
  EXPECT_TRUE(database_.Look().complete());
  EXPECT_EQ(database_.RowsWithoutLog(), 45);
}

TEST_F(CheckpointEngineTest, ACheckpointIsALineAndCountsItsRule) {
  UseInlineStrategy(10);
  Commit(20);
  const auto lines = region().ReadCheckpointLog();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].origin, CheckpointOrigin::kInline);
  EXPECT_EQ(lines[0].rule, "autocheckpoint");
  EXPECT_EQ(lines[0].moved_frames, database_.Look().max_frame);
  const auto rules = BuiltinRules();
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const bool ran = rules[i].name == "autocheckpoint";
    EXPECT_EQ(region().ReadFired(/*builtin=*/true, i).fired, ran ? 1u : 0u) << rules[i].name;
  }
}

TEST_F(CheckpointEngineTest, TheStrategyOffRunsNothing) {
  SelectStrategy(region(), "off");
  EXPECT_EQ(Commit(1200).message, "no rule of the strategy holds");
  EXPECT_EQ(database_.Look().backfill, 0u);
  EXPECT_TRUE(region().ReadCheckpointLog().empty());
}

TEST_F(CheckpointEngineTest, ACallOfTheUsersRunsWhatACommitLeavesToTheThread) {
  ChangeSetting(region(), Setting::kCheckpointFrames, 10);
  database_.Commit(20);
  const CheckpointReport ran = engine_.AutoCheckpoint(database_.host(), database_.Look());
  EXPECT_EQ(ran.rule, "frames");
  EXPECT_EQ(ran.result, CheckpointResult::kComplete);
  EXPECT_FALSE(copier_.is_at_work());
  ASSERT_EQ(region().ReadCheckpointLog().size(), 1u);
  EXPECT_EQ(region().ReadCheckpointLog()[0].origin, CheckpointOrigin::kManual);
  EXPECT_EQ(database_.RowsWithoutLog(), 20);
}

TEST_F(CheckpointEngineTest, TruncateEmptiesTheFileOfTheLog) {
  database_.Commit(20);
  const CheckpointReport ran = engine_.ManualCheckpoint(
      database_.host(), CheckpointMode::kTruncate, database_.Look(), MonotonicNs() + 1'000 * kMs);
  EXPECT_EQ(ran.result, CheckpointResult::kComplete);
  EXPECT_EQ(ran.strategy, "conversation_workload");
  EXPECT_EQ(ran.rule, std::nullopt);
  EXPECT_EQ(ran.wal_bytes, 0);
  EXPECT_EQ(database_.wal_bytes(), 0);
  EXPECT_EQ(database_.RowsWithoutLog(), 20);
}

TEST_F(CheckpointEngineTest, ACommitFinishesAPreparedRemainder) {
  database_.Commit(20);
  region().SetPrepared({database_.Look().salt1, /*frames=*/100, /*rule=*/2});
  const CheckpointReport ran = AfterCommit();
  EXPECT_EQ(ran.rule, "frames");  // the second one of conversation_workload
  EXPECT_EQ(ran.result, CheckpointResult::kComplete);
  EXPECT_EQ(region().prepared().frames, 0u);
  EXPECT_TRUE(region().learned()[LearnedValue::kFinishMs]);
  // The next commit starts the log over.
  const std::uint32_t salt = database_.Look().salt1;
  database_.Commit(1);
  EXPECT_NE(database_.Look().salt1, salt);
}

TEST_F(CheckpointEngineTest, ARemainderThatGrewOrIsOfAnotherLogIsNotFinished) {
  UseInlineStrategy(1000);
  database_.Commit(20);
  const WalIndex index = database_.Look();
  region().SetPrepared({index.salt1 + 1, /*frames=*/100, /*rule=*/1});
  EXPECT_EQ(AfterCommit().rule, std::nullopt);
  EXPECT_EQ(database_.Look().backfill, 0u);
  region().SetPrepared({index.salt1, /*frames=*/index.pending() - 1, /*rule=*/1});
  EXPECT_EQ(AfterCommit().rule, std::nullopt);
  EXPECT_EQ(database_.Look().backfill, 0u);
  EXPECT_EQ(region().prepared().frames, 0u);  // the thread prepares it anew
}

TEST_F(CheckpointEngineTest, AReaderInTheWayMakesCommitsWaitBetweenAttempts) {
  UseInlineStrategy(10);
  const OwnedDb reader = database_.OpenReader();
  const CheckpointReport first = Commit(20);
  EXPECT_EQ(first.result, CheckpointResult::kPartial);
  EXPECT_LT(first.checkpointed_frames, first.wal_frames);
  // Attempts that move nothing, ever longer apart.
  EXPECT_TRUE(WaitUntil([&] {
    return Commit(1).message == "the last attempts moved nothing: waiting before the next";
  }));
  EXPECT_GT(region()
                .ReadCheckpointTotals()
                .by_result[static_cast<std::size_t>(CheckpointResult::kSkipped)],
            0u);
  EXPECT_FALSE(database_.Look().complete());
}

TEST_F(CheckpointEngineTest, ADatabaseWithAReplicatorIsOnlyWatched) {
  UseInlineStrategy(10);
  ChangeSetting(region(), Setting::kReplicator, static_cast<int>(ReplicatorWish::kAlways));
  database_.Run("CREATE TABLE _litestream_seq(id INTEGER PRIMARY KEY, seq INTEGER)");
  EXPECT_EQ(Commit(20).message, "a replicator checkpoints this database: walmanager only looks");
  EXPECT_EQ(database_.Look().backfill, 0u);
  ChangeSetting(region(), Setting::kReplicator, static_cast<int>(ReplicatorWish::kNever));
  EXPECT_EQ(Commit(1).result, CheckpointResult::kComplete);
}

TEST_F(CheckpointEngineTest, ACommitGoesOnWhileACheckpointRuns) {
  UseInlineStrategy(10);
  database_.Commit(20);
  CheckpointReport report;
  {
    const MutexLock lock(state_.mutex);  // as a checkpoint holds it
    std::thread committer([&] { report = AfterCommit(); });
    committer.join();
  }
  EXPECT_EQ(report.result, CheckpointResult::kSkipped);
  EXPECT_EQ(report.strategy, "");  // it looked at nothing
  EXPECT_EQ(database_.Look().backfill, 0u);
  EXPECT_EQ(AfterCommit().result, CheckpointResult::kComplete);
}

TEST_F(CheckpointEngineTest, WithoutAThreadACommitLooksForTheControlFileOnceAnInterval) {
  SelectStrategy(region(), "off");
  Commit(1);
  EXPECT_EQ(looks_for_control_, 1);
  Commit(1);
  EXPECT_EQ(looks_for_control_, 1);
  engine_.AfterCommit(database_.host(), region(), database_.Look(),
                      state_.gate.last_look_ns() + state_.gate.sample_interval_ns());
  EXPECT_EQ(looks_for_control_, 2);
}

TEST_F(CheckpointEngineTest, OwnConnectionsThatWereClosedNeedACommitToOpenAgain) {
  UseInlineStrategy(10);
  Commit(20);
  ASSERT_TRUE(state_.connections.open());
  engine_.CloseOwnConnections();
  EXPECT_FALSE(state_.connections.open());
  EXPECT_FALSE(state_.connections.cancelled());
  EXPECT_EQ(state_.connections.Open(), CheckpointConnections::Allowed::kNotNow);
  EXPECT_EQ(Commit(20).result, CheckpointResult::kComplete);
  EXPECT_TRUE(state_.connections.open());
}

}  // namespace
}  // namespace walmanager
