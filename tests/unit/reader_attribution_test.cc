// Which process and connection hold a read mark, from the lock table and the connections.
#include "ext/core/control/reader_attribution.h"

#include <gtest/gtest.h>

namespace walmanager {
namespace {

ConnectionEntry Of(std::int64_t pid, std::uint64_t id) {
  ConnectionEntry entry;
  entry.pid = pid;
  entry.id = id;
  entry.main = true;
  return entry;
}
ConnectionEntry Reading(std::int64_t pid, std::uint64_t id, std::uint64_t since_ns) {
  ConnectionEntry entry = Of(pid, id);
  entry.transaction = TransactionState::kRead;
  entry.is_explicit = true;
  entry.transaction_ns = since_ns;
  return entry;
}
ConnectionEntry Running(std::int64_t pid, std::uint64_t id, std::uint64_t rows) {
  ConnectionEntry entry = Of(pid, id);
  entry.started_ns = 50;
  entry.statement_rows = rows;
  return entry;
}

struct Seen : ReadersSeen {
  Seen() {
    own_pid = 1;
    knows_pids = true;
  }
  Seen& Mark(int mark, std::vector<std::int64_t> by) {
    held[static_cast<std::size_t>(mark)] = true;
    pids[static_cast<std::size_t>(mark)] = std::move(by);
    return *this;
  }
};

TEST(ReaderAttribution, TheOnlyConnectionThatReadsIsTheOne) {
  const auto readers = AttributeReaders(
      Seen().Mark(2, {7}), std::vector{Of(7, 70), Reading(7, 71, 40), Reading(8, 80, 1)});
  ASSERT_EQ(readers.size(), 1u);
  EXPECT_EQ(readers[0].mark, 2);
  EXPECT_EQ(readers[0].pid, 7);
  EXPECT_EQ(readers[0].connection->id, 71u);
  EXPECT_EQ(readers[0].since_ns, 40u);
  EXPECT_EQ(readers[0].verdict, ReaderVerdict::kOpenTransaction);
  EXPECT_TRUE(readers[0].certain);
}

TEST(ReaderAttribution, EachOfSeveralIsACandidate) {
  const auto readers = AttributeReaders(
      Seen().Mark(1, {7, 8}), std::vector{Reading(7, 70, 1), Running(7, 71, 0), Running(8, 80, 3)});
  ASSERT_EQ(readers.size(), 3u);
  EXPECT_FALSE(readers[0].certain);
  EXPECT_FALSE(readers[1].certain);
  EXPECT_TRUE(readers[2].certain);
  EXPECT_EQ(readers[1].verdict, ReaderVerdict::kRunningQuery);
  EXPECT_EQ(readers[1].since_ns, 50u);
}

TEST(ReaderAttribution, AStatementThatReturnsNoRowsIsUnfinished) {
  Seen seen;
  seen.Mark(1, {7}).Mark(2, {8}).Mark(3, {9});
  seen.standing_still = {70, 80};
  const auto readers =
      AttributeReaders(seen, std::vector{Running(7, 70, 1), Running(8, 80, 0), Running(9, 90, 1)});
  ASSERT_EQ(readers.size(), 3u);
  EXPECT_EQ(readers[0].verdict, ReaderVerdict::kUnfinishedStatement);
  EXPECT_EQ(readers[1].verdict, ReaderVerdict::kRunningQuery);  // it has not come to its first row
  EXPECT_EQ(readers[2].verdict, ReaderVerdict::kRunningQuery);
}

TEST(ReaderAttribution, AnUnmanagedProcessIsNamed) {
  const auto readers = AttributeReaders(Seen().Mark(1, {99}), std::vector{Reading(7, 70, 1)});
  ASSERT_EQ(readers.size(), 1u);
  EXPECT_EQ(readers[0].pid, 99);
  EXPECT_EQ(readers[0].verdict, ReaderVerdict::kUnmanagedProcess);
  EXPECT_FALSE(readers[0].connection);
  EXPECT_TRUE(readers[0].certain);
}

TEST(ReaderAttribution, AReaderOfAnotherPidNamespaceHasNoPid) {
  const auto readers = AttributeReaders(Seen().Mark(1, {0}), {});
  ASSERT_EQ(readers.size(), 1u);
  EXPECT_FALSE(readers[0].pid);
  EXPECT_FALSE(readers[0].certain);
}

ConnectionEntry Hidden(ConnectionEntry entry, std::uint64_t owner) {
  entry.pid = std::nullopt;
  entry.owner = owner;
  return entry;
}

TEST(ReaderAttribution, BugAReaderOfAnotherPidNamespaceHadNoRow) {
  Seen seen;
  seen.held[2] = true;  // the system's table leaves its holder out
  const auto one = AttributeReaders(
      seen, std::vector{Hidden(Reading(1, 70, 40), 5), Hidden(Of(1, 71), 5), Reading(8, 80, 1)});
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].connection->id, 70u);
  EXPECT_EQ(one[0].verdict, ReaderVerdict::kOpenTransaction);
  EXPECT_FALSE(one[0].pid);
  EXPECT_FALSE(one[0].certain) << "an unmanaged process may be hidden, too";
  const auto none = AttributeReaders(seen, std::vector{Reading(8, 80, 1)});
  ASSERT_EQ(none.size(), 1u);
  EXPECT_FALSE(none[0].connection);
  EXPECT_FALSE(none[0].verdict);
  seen.checkpoint_runs = true;
  EXPECT_TRUE(AttributeReaders(seen, std::vector{Hidden(Of(1, 71), 5)}).empty()) << "its guard";
}

TEST(ReaderAttribution, BugTheSamePidOfTwoNamespacesCountedAsOneProcess) {
  // Process 1 here has an idle connection, process 1 there reads: the mark here is another's.
  Seen seen;
  seen.own_pid = 9;
  seen.Mark(1, {1});
  const auto readers =
      AttributeReaders(seen, std::vector{Of(1, 70), Hidden(Reading(1, 70, 40), 5)});
  ASSERT_EQ(readers.size(), 1u);
  EXPECT_EQ(readers[0].pid, 1);
  EXPECT_FALSE(readers[0].connection);
}

TEST(ReaderAttribution, TheAskerAndTheGuardAreNotCounted) {
  Seen asking;
  asking.Mark(1, {1});
  asking.asking = 10;
  asking.asking_reads = true;
  EXPECT_TRUE(AttributeReaders(asking, std::vector{Reading(1, 10, 1)}).empty());
  // Another connection of its process reads, so it is not certain which one holds the mark.
  const auto both = AttributeReaders(asking, std::vector{Reading(1, 10, 1), Reading(1, 11, 1)});
  ASSERT_EQ(both.size(), 1u);
  EXPECT_EQ(both[0].connection->id, 11u);
  EXPECT_FALSE(both[0].certain);
  Seen guarded;
  guarded.Mark(1, {1}).Mark(2, {7});
  guarded.guard_mark = 1;
  guarded.checkpoint_runs = true;
  EXPECT_TRUE(AttributeReaders(guarded, std::vector{Of(1, 10), Of(7, 70)}).empty());
}

TEST(ReaderAttribution, TheAskersMarkIsToldFromThoseOfItsProcessThatAreOlder) {
  Seen seen;
  seen.Mark(1, {1}).Mark(2, {1});
  seen.asking = 10;
  seen.asking_reads = true;
  seen.asking_mark = 2;
  seen.asking_mark_since_ns = 100;
  const auto readers = AttributeReaders(seen, std::vector{Of(1, 10), Reading(1, 11, 90)});
  ASSERT_EQ(readers.size(), 1u);
  EXPECT_EQ(readers[0].mark, 1);
  EXPECT_TRUE(readers[0].certain);
  // An unmanaged connection holds the older mark.
  const auto bare = AttributeReaders(seen, std::vector{Of(1, 10)});
  ASSERT_EQ(bare.size(), 1u);
  EXPECT_EQ(bare[0].mark, 1);
  EXPECT_FALSE(bare[0].connection);
  // One that came after the last commit may be on both.
  EXPECT_EQ(AttributeReaders(seen, std::vector{Of(1, 10), Reading(1, 11, 110)}).size(), 2u);
}

TEST(ReaderAttribution, AManagedProcessMayHaveAnUnmanagedConnection) {
  const auto readers = AttributeReaders(Seen().Mark(1, {7}), std::vector{Of(7, 70)});
  ASSERT_EQ(readers.size(), 1u);
  EXPECT_EQ(readers[0].pid, 7);
  EXPECT_FALSE(readers[0].connection);
  EXPECT_FALSE(readers[0].certain);
}

TEST(ReaderAttribution, AConnectionWhoseStatementsAreNotSeenMayBeTheOne) {
  ConnectionEntry unseen = Of(7, 72);
  unseen.trace = TraceState::kDisplaced;
  unseen.transaction = TransactionState::kRead;  // as it was when it was last seen
  const auto alone = AttributeReaders(Seen().Mark(1, {7}), std::vector{Of(7, 70), unseen});
  ASSERT_EQ(alone.size(), 1u);
  EXPECT_EQ(alone[0].connection->id, 72u);
  EXPECT_FALSE(alone[0].verdict);
  EXPECT_FALSE(alone[0].since_ns);
  EXPECT_FALSE(alone[0].certain);
  const auto beside = AttributeReaders(Seen().Mark(1, {7}), std::vector{Reading(7, 70, 1), unseen});
  ASSERT_EQ(beside.size(), 1u);
  EXPECT_EQ(beside[0].connection->id, 70u);
  EXPECT_FALSE(beside[0].certain);
}

TEST(ReaderAttribution, WithoutALockTableAllThatReadAreCandidates) {
  Seen seen;
  seen.knows_pids = false;
  seen.held[3] = true;
  const auto readers =
      AttributeReaders(seen, std::vector{Of(7, 70), Reading(7, 71, 1), Running(8, 80, 0)});
  ASSERT_EQ(readers.size(), 2u);
  EXPECT_FALSE(readers[0].certain);
  EXPECT_EQ(AttributeReaders(seen, {}).size(), 1u);
  EXPECT_FALSE(AttributeReaders(seen, {})[0].verdict);
}

TEST(ReaderAttribution, AProcessMayHoldTheMarksThatTheSystemNamesItFor) {
  const std::array<bool, kReadMarks> held = {true, true, false, true};
  const std::array<std::vector<std::int64_t>, kReadMarks> pids = {{{7}, {7, 8}, {8}, {0}, {}}};
  EXPECT_EQ(MayBeHeldBy(8, held, pids, /*knows_pids=*/true),
            (std::array<bool, kReadMarks>{false, true}));
  EXPECT_EQ(MayBeHeldBy(8, held, pids, /*knows_pids=*/false), held);
}

TEST(ReaderAttribution, AStatementThatBeganJustNowHoldsTheNewestHeldMark) {
  WalIndex index;
  index.read_marks = {0, 100, 60, 100, 900};
  EXPECT_EQ(NewestHeldMark({}, index), std::nullopt);
  EXPECT_EQ(NewestHeldMark({true}, index), 0);
  EXPECT_EQ(NewestHeldMark({true, false, true}, index), 2);
  EXPECT_EQ(NewestHeldMark({true, true, true, true}, index), 1);
}

TEST(ReaderAttribution, WhatAMarkBlocks) {
  WalIndex index;
  index.max_frame = 100;
  index.backfill = 60;
  index.read_marks = {0, 100, 60, 0, 0};
  EXPECT_STREQ(BlockedBy(0, index), "checkpoint");
  EXPECT_STREQ(BlockedBy(1, index), "reset");
  EXPECT_STREQ(BlockedBy(2, index), "checkpoint");
  index.backfill = 100;
  EXPECT_EQ(BlockedBy(0, index), nullptr);
}

}  // namespace
}  // namespace walmanager
