#include "ext/checkpoint/checkpoint_connections.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "ext/core/control/io_statistics.h"
#include "ext/engine/own_vfs.h"
#include "tests/engine/checkpoint_parts.h"

namespace walmanager {
namespace {

class CheckpointConnectionsTest : public CheckpointParts {};

TEST_F(CheckpointConnectionsTest, OpenOnlyWithPermissionAndSeeTheProgramsLog) {
  EXPECT_EQ(connections_.Open(), Allowed::kNotNow);
  EXPECT_EQ(connections_.Look(), std::nullopt);
  database_.Commit(5);
  OpenConnections();
  EXPECT_TRUE(connections_.open());
  EXPECT_EQ(connections_.times_opened(), 1u);
  EXPECT_EQ(shown_, 1);
  ASSERT_TRUE(connections_.Look());
  EXPECT_EQ(connections_.Look()->end(), database_.Look().end());
  connections_.Close();
  EXPECT_EQ(shown_, 0);
  EXPECT_FALSE(connections_.open());
  connections_.Revoke();
  EXPECT_EQ(connections_.Open(), Allowed::kNotNow);
}

TEST_F(CheckpointConnectionsTest, FindTheMarkThatAReaderHolds) {
  database_.Commit(5);
  OpenConnections();
  EXPECT_FALSE(connections_.IsPinned());
  OwnedDb reader = database_.OpenReader();
  EXPECT_TRUE(connections_.IsPinned());
  auto held = connections_.TryReadMarks();
  ASSERT_TRUE(held);
  EXPECT_EQ(std::count(held->begin(), held->end(), true), 1);
  EXPECT_FALSE((*held)[0]);  // it reads from the log
  reader.reset();
  EXPECT_FALSE(connections_.IsPinned());
  held = connections_.TryReadMarks();
  ASSERT_TRUE(held);
  EXPECT_EQ(std::count(held->begin(), held->end(), true), 0);
}

// Bug: a process of another PID namespace that had a mark alone for a moment was a reader.
TEST_F(CheckpointConnectionsTest, TellAReaderFromAConnectionThatHasTheMarkAlone) {
  database_.Commit(5);
  OpenConnections();
  const OwnedDb reader = database_.OpenReader();
  constexpr int kUnused = kReadMarks - 1;
  sqlite3_file* other = DatabaseFile(connections_.guard(), "main");
  const auto change = [&](int flags) {
    return other->pMethods->xShmLock(other, kReadLock0 + kUnused, 1, flags | SQLITE_SHM_EXCLUSIVE);
  };
  ASSERT_EQ(change(SQLITE_SHM_LOCK), SQLITE_OK);
  const auto held = connections_.TryReadMarks();
  ASSERT_TRUE(held);
  EXPECT_EQ(std::count(held->begin(), held->end(), true), 2);
  for (int mark = 0; mark < kReadMarks; ++mark) {
    if (!(*held)[static_cast<std::size_t>(mark)]) continue;
    EXPECT_EQ(connections_.IsHeldByReaders(mark), mark != kUnused);
  }
  EXPECT_EQ(change(SQLITE_SHM_UNLOCK), SQLITE_OK);
  EXPECT_EQ(connections_.TryReadMarks(), [&] {
    auto of_reader = *held;
    of_reader[kUnused] = false;
    return of_reader;
  }());
}

TEST_F(CheckpointConnectionsTest, AreNeverOpenedBesideLockingModeExclusive) {
  // Set before the first use of the log, so that the connection keeps its wal-index to itself.
  database_.Run(
      "PRAGMA journal_mode=DELETE; PRAGMA locking_mode=EXCLUSIVE; "
      "PRAGMA journal_mode=WAL");
  database_.Commit(1);
  EXPECT_EQ(connections_.Permit(database_.host()), Allowed::kNever);
  EXPECT_EQ(connections_.unguarded_because().rfind("locking_mode is EXCLUSIVE", 0), 0u)
      << connections_.unguarded_because();
}

TEST_F(CheckpointConnectionsTest, AreNotOpenedWhereTheLogIsGoneFromItsPath) {
  ASSERT_EQ(connections_.Permit(database_.host()), Allowed::kYes);
  const std::string aside = database_.wal_path() + ".aside";
  std::filesystem::rename(database_.wal_path(), aside);
  EXPECT_EQ(connections_.Open(), Allowed::kNever);
  EXPECT_EQ(connections_.unguarded_because(), "the -wal file is not to be found at its path");
  // Nothing is tried for ten seconds, also where the file is back.
  std::filesystem::rename(aside, database_.wal_path());
  EXPECT_EQ(connections_.Open(), Allowed::kNever);
  EXPECT_EQ(connections_.times_opened(), 0u);
}

TEST_F(CheckpointConnectionsTest, AreClosedWhereTheFileAtThePathIsAnotherOne) {
  OpenConnections();
  const WalDatabase other;
  EXPECT_EQ(connections_.Permit(other.host()), Allowed::kYes);
  EXPECT_FALSE(connections_.open());
  EXPECT_EQ(connections_.Open(), Allowed::kNever);
  EXPECT_EQ(connections_.unguarded_because(), "the file at its path is another one");
}

TEST_F(CheckpointConnectionsTest, ACancelLastsUntilAsManyResumes) {
  database_.Commit(20);
  OpenConnections();
  connections_.Cancel();
  connections_.Cancel();
  EXPECT_EQ(checkpointer_.RunOpen(CheckpointMode::kPassive, 0).result, CheckpointResult::kBusy);
  connections_.Resume();
  EXPECT_TRUE(connections_.cancelled());
  connections_.Resume();
  EXPECT_FALSE(connections_.cancelled());
  EXPECT_EQ(checkpointer_.RunOpen(CheckpointMode::kPassive, 0).result, CheckpointResult::kComplete);
  EXPECT_EQ(database_.RowsWithoutLog(), 20);
}

// Bug: after the control file was made anew, nothing that walmanager read and wrote was counted.
TEST_F(CheckpointConnectionsTest, CountInTheControlFileThatIsInUse) {
  const auto control = MakePrivateControl();
  const auto first = control->Get();
  CheckpointConnections counted{database_.path(), database_.id(), [](bool) {}, control.get()};
  CopiedFrames frames{counted};
  Checkpointer checkpointer{database_.path(), callers_waiting_, counted, frames};
  const auto writes = [](ControlFile& file) {
    return IoStatistics(file.space()).ReadTraffic(IoOrigin::kWalmanager, IoFile::kDatabase).writes;
  };
  database_.Commit(20);
  ASSERT_EQ(counted.Permit(database_.host()), Allowed::kYes);
  ASSERT_EQ(counted.Open(), Allowed::kYes);
  EXPECT_EQ(checkpointer.RunOpen(CheckpointMode::kPassive, 0).result, CheckpointResult::kComplete);
  EXPECT_GE(writes(*first), 20u);
  const std::uint64_t written = writes(*first);
  control->Replace(MakePrivateControl()->Get());
  database_.Commit(20);
  EXPECT_EQ(checkpointer.RunOpen(CheckpointMode::kPassive, 0).result, CheckpointResult::kComplete);
  EXPECT_GE(writes(*control->Get()), 20u);
  EXPECT_EQ(writes(*first), written);
}

// SQLite writes a statement that is interrupted to the host's error log.
TEST_F(CheckpointConnectionsTest, ACancelInterruptsNoStatement) {
  database_.Commit(20);
  OpenConnections();
  auto rows = Prepare(connections_.checkpoint(), "SELECT * FROM t");
  ASSERT_TRUE(rows.ok());
  ASSERT_EQ(sqlite3_step(rows.value().get()), SQLITE_ROW);
  connections_.Cancel();
  EXPECT_EQ(sqlite3_step(rows.value().get()), SQLITE_ROW);
  connections_.Resume();
}

TEST_F(CheckpointConnectionsTest, ACancelInterruptsTheCheckpointThatRuns) {
  database_.Commit(20);
  OpenConnections();
  const CheckpointConnections::Interruptible interruptible(connections_);
  connections_.Cancel();
  EXPECT_EQ(sqlite3_wal_checkpoint_v2(connections_.checkpoint(), "main", SQLITE_CHECKPOINT_PASSIVE,
                                      nullptr, nullptr),
            SQLITE_INTERRUPT);
  connections_.Resume();
}

TEST_F(CheckpointConnectionsTest, DoNotTakeTheWriteLockUnlessAllowed) {
  OpenConnections();
  EXPECT_EQ(sqlite3_exec(connections_.checkpoint(), "BEGIN IMMEDIATE", nullptr, nullptr, nullptr),
            SQLITE_BUSY);
  OwnFileOf(connections_.checkpoint())->may_write_lock = true;
  EXPECT_EQ(sqlite3_exec(connections_.checkpoint(), "BEGIN IMMEDIATE; ROLLBACK", nullptr, nullptr,
                         nullptr),
            SQLITE_OK);
}

}  // namespace
}  // namespace walmanager
