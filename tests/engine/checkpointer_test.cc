#include "ext/checkpoint/checkpointer.h"

#include <gtest/gtest.h>

#include "ext/core/base/time_units.h"
#include "ext/system/clock.h"
#include "tests/engine/checkpoint_parts.h"

namespace walmanager {
namespace {

class CheckpointerTest : public CheckpointParts {};

TEST_F(CheckpointerTest, PassiveMovesAllFramesAndThenHasNothingToMove) {
  database_.Commit(20);
  OpenConnections();
  const std::uint32_t frames = database_.Look().max_frame;
  const CheckpointOutcome moved = checkpointer_.RunOpen(CheckpointMode::kPassive, 0);
  EXPECT_EQ(moved.result, CheckpointResult::kComplete);
  EXPECT_EQ(moved.wal_frames, frames);
  EXPECT_EQ(moved.checkpointed_frames, frames);
  EXPECT_EQ(moved.moved_frames, frames);
  EXPECT_EQ(database_.RowsWithoutLog(), 20);
  const CheckpointOutcome again = checkpointer_.RunOpen(CheckpointMode::kPassive, 0);
  EXPECT_EQ(again.result, CheckpointResult::kSkipped);
  EXPECT_EQ(again.message, "nothing to move");
  EXPECT_EQ(checkpointer_.guard_mark(), std::nullopt);
}

TEST_F(CheckpointerTest, APassiveCheckpointStopsAtAReader) {
  database_.Commit(10);
  const std::uint32_t seen = database_.Look().max_frame;
  const OwnedDb reader = database_.OpenReader();
  database_.Commit(10);
  OpenConnections();
  const CheckpointOutcome outcome = checkpointer_.RunOpen(CheckpointMode::kPassive, 0);
  EXPECT_EQ(outcome.result, CheckpointResult::kPartial);
  EXPECT_EQ(outcome.checkpointed_frames, seen);
  EXPECT_EQ(outcome.wal_frames, database_.Look().max_frame);
}

TEST_F(CheckpointerTest, APassiveCheckpointThatWaitsSaysThatAReaderPinsTheLog) {
  database_.Commit(10);
  const OwnedDb reader = database_.OpenReader();
  OpenConnections();
  const CheckpointOutcome outcome =
      checkpointer_.RunOpen(CheckpointMode::kPassive, MonotonicNs() + 20 * kMs);
  EXPECT_EQ(outcome.result, CheckpointResult::kComplete);
  EXPECT_TRUE(outcome.pinned);
}

TEST_F(CheckpointerTest, APassiveCheckpointWaitsForNoReaderThatItselfWaits) {
  database_.Commit(10);
  const OwnedDb reader = database_.OpenReader();
  OpenConnections();
  callers_waiting_ = 1;
  const std::uint64_t start = MonotonicNs();
  const CheckpointOutcome outcome =
      checkpointer_.RunOpen(CheckpointMode::kPassive, start + 60'000 * kMs);
  EXPECT_TRUE(outcome.pinned);
  EXPECT_LT(MonotonicNs() - start, 30'000 * kMs);
}

TEST_F(CheckpointerTest, RestartMakesTheNextCommitStartTheLogOver) {
  database_.Commit(20);
  OpenConnections();
  const CheckpointOutcome outcome =
      checkpointer_.RunOpen(CheckpointMode::kRestart, MonotonicNs() + 1'000 * kMs);
  EXPECT_EQ(outcome.result, CheckpointResult::kComplete);
  database_.Commit(1);
  EXPECT_LT(database_.Look().max_frame, 10u);
  EXPECT_EQ(database_.RowsAfterRecovery(), 21);
}

TEST_F(CheckpointerTest, RestartIsBusyBesideAWriterUntilItsDeadline) {
  database_.Commit(20);
  OpenConnections();
  database_.Run("BEGIN IMMEDIATE");
  const std::uint64_t start = MonotonicNs();
  const CheckpointOutcome outcome =
      checkpointer_.RunOpen(CheckpointMode::kRestart, start + 30 * kMs);
  EXPECT_GE(MonotonicNs() - start, 30 * kMs);
  EXPECT_EQ(outcome.result, CheckpointResult::kBusy);
  EXPECT_TRUE(outcome.busy);
  database_.Run("ROLLBACK");
}

TEST_F(CheckpointerTest, RunsOnTheHostsConnectionWhereOwnOnesCannotBeOpen) {
  database_.Run(
      "PRAGMA journal_mode=DELETE; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL");
  database_.Commit(20);
  HostConnection host = database_.host();
  host.own_only = true;
  const CheckpointOutcome skipped = checkpointer_.Run(host, CheckpointMode::kPassive, 0, {});
  EXPECT_EQ(skipped.result, CheckpointResult::kSkipped);
  EXPECT_EQ(skipped.message, connections_.unguarded_because());
  host.own_only = false;
  const CheckpointOutcome ran = checkpointer_.Run(host, CheckpointMode::kPassive, 0, {});
  EXPECT_EQ(ran.result, CheckpointResult::kComplete);
  EXPECT_FALSE(connections_.open());
}

}  // namespace
}  // namespace walmanager
