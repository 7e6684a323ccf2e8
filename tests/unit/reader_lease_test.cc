// Which readers have held their snapshot for too long, and whether their query can be ended.
#include "ext/core/control/reader_lease.h"

#include <gtest/gtest.h>

#include "ext/core/base/running_count.h"

namespace walmanager {
namespace {

using Verdict = ReaderVerdictOfLease;
constexpr std::uint64_t kLease = 1000, kBegan = 50'000;

ConnectionEntry Query(std::uint64_t rows = 0) {
  ConnectionEntry entry;
  entry.started_ns = kBegan;
  entry.statement_rows = rows;
  return entry;
}
ConnectionEntry Transaction(TransactionState state) {
  ConnectionEntry entry;
  entry.transaction = state;
  entry.is_explicit = true;
  entry.transaction_ns = kBegan;
  return entry;
}

Verdict Judge(const ConnectionEntry& entry, std::uint64_t after_ns,
              const std::optional<SeenStatement>& before = std::nullopt) {
  return JudgeLease(entry, before, kLease, kBegan + after_ns);
}

TEST(ReaderLease, RunsOutAfterItsTimeAlone) {
  EXPECT_EQ(Judge(Query(), 0), Verdict::kWithin);
  EXPECT_EQ(Judge(Query(), kLease), Verdict::kWithin);
  EXPECT_EQ(Judge(Query(), kLease + 1), Verdict::kQuery);
  // The clock of the look is older than the statement.
  EXPECT_EQ(JudgeLease(Query(), std::nullopt, kLease, kBegan - 1), Verdict::kWithin);
}

TEST(ReaderLease, CountsFromTheTransactionsFirstRead) {
  ConnectionEntry entry = Transaction(TransactionState::kRead);
  entry.started_ns = kBegan + 2 * kLease;
  EXPECT_EQ(SnapshotSince(entry), kBegan);
  EXPECT_EQ(Judge(entry, 2 * kLease + 1), Verdict::kQuery);
  // BEGIN has read nothing: the snapshot begins with the first statement.
  entry = Transaction(TransactionState::kNone);
  EXPECT_EQ(SnapshotSince(entry), std::nullopt);
  entry.started_ns = kBegan + 7;
  EXPECT_EQ(SnapshotSince(entry), kBegan + 7);
}

TEST(ReaderLease, IsNotForWriters) {
  ConnectionEntry entry = Transaction(TransactionState::kWrite);
  EXPECT_EQ(Judge(entry, 9 * kLease), Verdict::kWithin);
  entry.started_ns = kBegan;
  EXPECT_EQ(Judge(entry, 9 * kLease), Verdict::kWithin);
}

TEST(ReaderLease, CannotEndATransactionWithoutAStatement) {
  EXPECT_EQ(Judge(Transaction(TransactionState::kRead), kLease + 1), Verdict::kIdle);
}

TEST(ReaderLease, EndsAStatementThatReturnsRowsAndNotACursorThatStandsStill) {
  EXPECT_EQ(Judge(Query(5), kLease + 1, SeenStatement{kBegan, 4}), Verdict::kQuery);
  EXPECT_EQ(Judge(Query(5), kLease + 1, SeenStatement{kBegan, 5}), Verdict::kUnfetched);
  // It was not seen before: the next look knows more.
  EXPECT_EQ(Judge(Query(5), kLease + 1), Verdict::kWithin);
  EXPECT_EQ(Judge(Query(5), kLease + 1, SeenStatement{kBegan - 9, 5}), Verdict::kWithin);
}

TEST(RunningCount, KnowsAStatementThatReadsAlone) {
  RunningCount count;
  EXPECT_FALSE(count.IsOneThatReads());
  count.Begin(/*reads_only=*/true);
  EXPECT_TRUE(count.IsOneThatReads());
  count.Begin(/*reads_only=*/false);
  EXPECT_EQ(count.running(), 2u);
  EXPECT_FALSE(count.IsOneThatReads());
  count.End(/*reads_only=*/true);
  EXPECT_EQ(count.running(), 1u);
  EXPECT_FALSE(count.IsOneThatReads());
  count.End(/*reads_only=*/false);
  EXPECT_EQ(count.running(), 0u);
  count.Begin(/*reads_only=*/false);
  count.Clear();
  EXPECT_EQ(count.running(), 0u);
}

}  // namespace
}  // namespace walmanager
