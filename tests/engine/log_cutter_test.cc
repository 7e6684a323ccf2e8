#include "ext/checkpoint/log_cutter.h"

#include <gtest/gtest.h>

#include "ext/core/base/time_units.h"
#include "ext/system/clock.h"
#include "tests/engine/checkpoint_parts.h"

namespace walmanager {
namespace {

constexpr std::int64_t kKiB = 1024;

class LogCutterTest : public CheckpointParts {
 protected:
  std::int64_t Cut(std::int64_t limit, std::int64_t step = 64 * kKiB) {
    return cutter_.Cut(limit, step, MonotonicNs() + 60'000 * kMs);
  }

  LogCutter cutter_{connections_, copied_frames_, checkpointer_};
};

TEST_F(LogCutterTest, CutsTheFileDownToItsLimitAndKeepsTheLog) {
  database_.MakeShortLogInLongFile(100);
  OpenConnections();
  ASSERT_GT(database_.wal_bytes(), 400 * kKiB);
  EXPECT_EQ(Cut(150 * kKiB), 150 * kKiB);
  EXPECT_EQ(database_.wal_bytes(), 150 * kKiB);
  EXPECT_EQ(database_.RowsAfterRecovery(), 101);
}

TEST_F(LogCutterTest, CutsNothingAfterItsDeadline) {
  database_.MakeShortLogInLongFile(100);
  OpenConnections();
  const std::int64_t bytes = database_.wal_bytes();
  EXPECT_EQ(cutter_.Cut(150 * kKiB, 64 * kKiB, MonotonicNs()), bytes);
  EXPECT_EQ(database_.wal_bytes(), bytes);
}

TEST_F(LogCutterTest, NeverCutsFramesOfTheLog) {
  database_.Commit(100);
  OpenConnections();
  const std::int64_t bytes = database_.wal_bytes();
  EXPECT_EQ(Cut(bytes / 2), bytes);
  EXPECT_EQ(database_.wal_bytes(), bytes);
}

TEST_F(LogCutterTest, CutsNothingBesideAReaderOrAWriter) {
  database_.MakeShortLogInLongFile(100);
  OpenConnections();
  const std::int64_t bytes = database_.wal_bytes();
  OwnedDb reader = database_.OpenReader();
  EXPECT_EQ(Cut(150 * kKiB), bytes);
  reader.reset();
  database_.Run("BEGIN IMMEDIATE");
  EXPECT_EQ(Cut(150 * kKiB), bytes);
  database_.Run("ROLLBACK");
  EXPECT_EQ(Cut(150 * kKiB), 150 * kKiB);
}

TEST_F(LogCutterTest, ALogOfWhichAllIsMovedStartsOverAndItsFileStays) {
  database_.Commit(100);
  database_.Run("PRAGMA wal_checkpoint(PASSIVE)");
  OpenConnections();
  const WalIndex before = database_.Look();
  const std::int64_t bytes = database_.wal_bytes();
  EXPECT_TRUE(cutter_.StartLogOver());
  EXPECT_EQ(database_.Look().max_frame, 0u);
  EXPECT_NE(database_.Look().salt1, before.salt1);
  EXPECT_EQ(database_.wal_bytes(), bytes);
  EXPECT_EQ(database_.RowsAfterRecovery(), 100);
}

TEST_F(LogCutterTest, AFileWithANewHeaderIsCutOnlyAfterASyncOfTheHeader) {
  database_.Commit(100);
  database_.Run("PRAGMA wal_checkpoint(PASSIVE)");
  OpenConnections();
  const std::int64_t bytes = database_.wal_bytes();
  ASSERT_TRUE(cutter_.StartLogOver());
  EXPECT_EQ(Cut(150 * kKiB), bytes);
  cutter_.SyncNewHeader();
  EXPECT_EQ(Cut(150 * kKiB), 150 * kKiB);
  EXPECT_EQ(database_.RowsAfterRecovery(), 100);
  database_.Commit(1);
  EXPECT_EQ(database_.RowsAfterRecovery(), 101);
}

TEST_F(LogCutterTest, ALogDoesNotStartOverBesideAReader) {
  database_.Commit(100);
  database_.Run("PRAGMA wal_checkpoint(PASSIVE)");
  OpenConnections();
  const WalIndex before = database_.Look();
  const OwnedDb reader = database_.OpenReader();
  EXPECT_FALSE(cutter_.StartLogOver());
  EXPECT_EQ(database_.Look().end(), before.end());
}

TEST_F(LogCutterTest, ALogWithFramesToMoveKeepsThemWhereItCannotStartOver) {
  database_.Commit(100);
  OpenConnections();
  const OwnedDb reader = database_.OpenReader();
  EXPECT_FALSE(cutter_.StartLogOver());
  EXPECT_EQ(database_.RowsAfterRecovery(), 100);
}

}  // namespace
}  // namespace walmanager
