#include "ext/core/control/lock_waits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

#include "ext/core/control/query_statistics.h"
#include "tests/unit/control_region_block.h"

namespace walmanager {
namespace {

class LockWaitsTest : public testing::Test {
 protected:
  static LockWait Wait(std::uint64_t ms, LockOutcome outcome = LockOutcome::kAcquired) {
    LockWait wait;
    wait.at_ms = 1000;
    wait.pid = 7;
    wait.connection_id = 700'001;
    wait.query_id = 5;
    wait.waited_ns = ms * 1'000'000;
    wait.outcome = outcome;
    wait.application = "an order";
    wait.holder.state = HolderState::kIdleInTransaction;
    wait.holder.pid = 8;
    wait.holder.connection_id = 800'001;
    wait.holder.transaction_ns = 9'000'000;
    wait.holder.application = "an import";
    return wait;
  }

  MadeBlock block_;
  LockWaits waits_{&block_.space};
};

TEST_F(LockWaitsTest, CountsAndListsWhatIsToBeListed) {
  waits_.Add(Wait(3), /*listed=*/false);
  waits_.Add(Wait(200), /*listed=*/true);
  waits_.Add(Wait(50, LockOutcome::kBusy), /*listed=*/true);
  waits_.Add(Wait(0, LockOutcome::kSnapshot), /*listed=*/true);
  const LockTotals totals = waits_.ReadTotals();
  EXPECT_EQ(totals.counts.waits, 3U);
  EXPECT_EQ(totals.counts.wait_ns, 253'000'000U);
  EXPECT_EQ(totals.counts.busy_errors, 1U);
  EXPECT_EQ(totals.counts.snapshot_conflicts, 1U) << "which is no wait";
  EXPECT_EQ(totals.max_ns, 200'000'000U);
  const auto listed = waits_.ReadWaits();
  ASSERT_EQ(listed.size(), 3U);
  EXPECT_EQ(listed[0].outcome, LockOutcome::kSnapshot);
  EXPECT_EQ(listed[2].id, 1U);
  EXPECT_EQ(listed[2].application, "an order");
  EXPECT_EQ(listed[2].holder.application, "an import");
  EXPECT_EQ(listed[2].holder.connection_id, 800'001U);
  EXPECT_EQ(listed[2].holder.state, HolderState::kIdleInTransaction);
}

TEST_F(LockWaitsTest, AWaitThatWasGivenUpIsNoError) {
  waits_.Add(Wait(3, LockOutcome::kGivenUp), /*listed=*/true);
  const LockCounts counts = waits_.ReadTotals().counts;
  EXPECT_EQ(counts.waits, 1U);
  EXPECT_EQ(counts.busy_errors, 0U);
  ASSERT_EQ(waits_.ReadWaits().size(), 1U);
  EXPECT_STREQ(LockOutcomeName(waits_.ReadWaits()[0].outcome), "given up");
}

TEST_F(LockWaitsTest, TheListIsBounded) {
  for (std::size_t i = 0; i < layout::kLockWaitRecords + 10; ++i) waits_.Add(Wait(i), true);
  const auto listed = waits_.ReadWaits();
  ASSERT_EQ(listed.size(), layout::kLockWaitRecords);
  EXPECT_EQ(listed.front().id, layout::kLockWaitRecords + 10);
  EXPECT_EQ(listed.back().id, 11U);
}

TEST_F(LockWaitsTest, AResetForgetsAllButStatements) {
  waits_.Add(Wait(200), true);
  waits_.AddToQuery(3, 5, {.waits = 1, .wait_ns = 2});
  waits_.Reset();
  EXPECT_TRUE(waits_.ReadWaits().empty());
  EXPECT_FALSE(waits_.ReadTotals().counts.any());
  EXPECT_EQ(waits_.ReadTotals().max_ns, 0U);
  EXPECT_EQ(waits_.OfQuery(3, 5).waits, 1U);
  waits_.ResetQueries();
  EXPECT_FALSE(waits_.OfQuery(3, 5).any());
  waits_.Add(Wait(200), true);
  EXPECT_EQ(waits_.ReadWaits().size(), 1U);
}

TEST_F(LockWaitsTest, AStatementThatTakesAPlaceOverBeginsAtNull) {
  waits_.AddToQuery(3, 5, {.waits = 4, .wait_ns = 40, .busy_errors = 2, .snapshot_conflicts = 1});
  waits_.AddToQuery(3, 6, {.waits = 1, .wait_ns = 10});
  EXPECT_FALSE(waits_.OfQuery(3, 5).any());
  EXPECT_EQ(waits_.OfQuery(3, 6).waits, 1U);
  const auto evicted = waits_.OfEvicted([](std::size_t, std::uint64_t id) { return id == 6; });
  EXPECT_EQ(evicted.waits, 4U);
  EXPECT_EQ(evicted.busy_errors, 2U);
  const auto all = waits_.OfEvicted([](std::size_t, std::uint64_t) { return false; });
  EXPECT_EQ(all.waits, 5U);
}

TEST_F(LockWaitsTest, HostileBytesAreLeftOut) {
  waits_.Add(Wait(200), true);
  layout::LockWaitSlot& slot = block_.file->lock_waits.slots[1];
  slot.record.lock = 77;
  EXPECT_TRUE(waits_.ReadWaits().empty());
  slot.record.lock = 0;
  slot.record.holder_state = 99;
  EXPECT_TRUE(waits_.ReadWaits().empty());
  slot.record.holder_state = 0;
  slot.id = 2;
  EXPECT_TRUE(waits_.ReadWaits().empty());
  slot.id = 1;
  std::fill(std::begin(slot.record.application), std::end(slot.record.application), 'x');
  EXPECT_EQ(waits_.ReadWaits().at(0).application.size(), 63U);
}

TEST_F(LockWaitsTest, MovesToAFileThatWasMade) {
  MadeBlock file;
  LockWaits other{&file.space};
  other.Add(Wait(100), true);
  waits_.Add(Wait(300), true);
  waits_.Add(Wait(200, LockOutcome::kBusy), true);
  waits_.MoveTo(other);
  EXPECT_EQ(other.ReadTotals().counts.waits, 3U);
  EXPECT_EQ(other.ReadTotals().max_ns, 300'000'000U);
  ASSERT_EQ(other.ReadWaits().size(), 3U);
  EXPECT_EQ(other.ReadWaits()[0].waited_ns, 200'000'000U);
  EXPECT_TRUE(waits_.ReadWaits().empty());
  EXPECT_FALSE(waits_.ReadTotals().counts.any());
}

TEST_F(LockWaitsTest, StatementsShowWhatTheyHaveWaited) {
  QueryStatistics statistics(&block_.space);
  const auto place = statistics.FindOrMake({5, QueryKind::kWrite, "INSERT"}, 1, 100);
  ASSERT_TRUE(place);
  statistics.AddLocks(place, 5, {.waits = 2, .wait_ns = 30, .busy_errors = 1});
  statistics.AddLocks(std::nullopt, 6, {.waits = 1, .wait_ns = 5});
  auto rows = statistics.Read(false);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].totals.locks.waits, 2U);
  EXPECT_EQ(rows[0].totals.locks.busy_errors, 1U);
  statistics.Reset();
  EXPECT_TRUE(statistics.Read(false).empty());
}

TEST(HeldLocks, AreOfTheConnectionThatWroteThem) {
  const std::uint64_t word = 9U << HeldLocks::kIdShift | HeldLocks::kWrite;
  EXPECT_TRUE(HeldLocks(word, 9).Excludes(LockKind::kWrite));
  EXPECT_FALSE(HeldLocks(word, 9).Excludes(LockKind::kCheckpoint));
  EXPECT_FALSE(HeldLocks(word, 8).Excludes(LockKind::kWrite));
}

TEST(HeldLocks, LevelsOfTheDatabaseFile) {
  const auto at = [](std::uint64_t level) { return HeldLocks(level << HeldLocks::kLevelShift, 0); };
  EXPECT_FALSE(at(1).Excludes(LockKind::kShared));
  EXPECT_FALSE(at(2).Excludes(LockKind::kShared));
  EXPECT_TRUE(at(3).Excludes(LockKind::kShared));
  EXPECT_FALSE(at(1).Excludes(LockKind::kReserved));
  EXPECT_TRUE(at(2).Excludes(LockKind::kReserved));
  EXPECT_TRUE(at(1).Excludes(LockKind::kExclusive));
  EXPECT_FALSE(at(0).Excludes(LockKind::kExclusive));
}

}  // namespace
}  // namespace walmanager
