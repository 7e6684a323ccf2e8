#include "ext/checkpoint/copied_frames.h"

#include <gtest/gtest.h>

#include <string>

#include "ext/engine/own_vfs.h"
#include "tests/engine/checkpoint_parts.h"

namespace walmanager {
namespace {

class CopiedFramesTest : public CheckpointParts {
 protected:
  // What the system answers to syncs of the database file from now on.
  void LetSyncsOfDatabaseFail(bool fail) {
    sqlite3_io_methods& methods = OwnFileOf(connections_.checkpoint())->methods;
    if (fail) {
      works_ = methods.xSync;
      methods.xSync = [](sqlite3_file*, int) { return SQLITE_IOERR_FSYNC; };
    } else {
      methods.xSync = works_;
    }
  }
  // Copies all frames, and loses the copy of one page together with its sync.
  void LoseAPage() {
    database_.Commit(20);
    OpenConnections();
    ASSERT_EQ(checkpointer_.RunOpen(CheckpointMode::kPassive, 0).result,
              CheckpointResult::kComplete);
    LetSyncsOfDatabaseFail(true);
    copied_frames_.SyncDatabase();
    const std::string zeros(4096, '\0');
    sqlite3_file* file = DatabaseFile(connections_.checkpoint(), "main");
    ASSERT_EQ(file->pMethods->xWrite(file, zeros.data(), 4096, 9 * 4096), SQLITE_OK);
    ASSERT_EQ(database_.RowsWithoutLog(), -1);
  }

  int (*works_)(sqlite3_file*, int) = nullptr;
};

TEST_F(CopiedFramesTest, NothingIsOwedAfterASyncThatWorked) {
  database_.Commit(5);
  OpenConnections();
  copied_frames_.Sync();
  EXPECT_FALSE(copied_frames_.owes_sync());
  EXPECT_TRUE(copied_frames_.CopyAgainIfOwed());
  EXPECT_FALSE(connections_.IsPinned());
}

TEST_F(CopiedFramesTest, AFailedSyncPinsTheLog) {
  LoseAPage();
  EXPECT_TRUE(copied_frames_.owes_sync());
  EXPECT_EQ(copied_frames_.error(),
            "syncing what was copied failed: the log is kept, and copied again");
  // All of the log counts as moved, and still the next commit does not start it over.
  const WalIndex before = database_.Look();
  ASSERT_TRUE(before.complete());
  database_.Commit(1);
  EXPECT_EQ(database_.Look().salt1, before.salt1);
  EXPECT_GT(database_.Look().max_frame, before.max_frame);
}

TEST_F(CopiedFramesTest, WhatAFailedSyncMayHaveLostIsCopiedAgain) {
  LoseAPage();
  EXPECT_FALSE(copied_frames_.CopyAgainIfOwed());  // the disk still fails
  EXPECT_TRUE(copied_frames_.owes_sync());
  LetSyncsOfDatabaseFail(false);
  EXPECT_TRUE(copied_frames_.CopyAgainIfOwed());
  EXPECT_FALSE(copied_frames_.owes_sync());
  EXPECT_EQ(database_.RowsWithoutLog(), 20);
  // The log is free to start over.
  const std::uint32_t salt = database_.Look().salt1;
  database_.Commit(1);
  EXPECT_NE(database_.Look().salt1, salt);
}

TEST_F(CopiedFramesTest, ACheckpointCopiesAgainBeforeItDoesAnythingElse) {
  LoseAPage();
  const CheckpointOutcome failed = checkpointer_.RunOpen(CheckpointMode::kPassive, 0);
  EXPECT_EQ(failed.result, CheckpointResult::kFailed);
  EXPECT_EQ(failed.message, copied_frames_.error());
  LetSyncsOfDatabaseFail(false);
  checkpointer_.RunOpen(CheckpointMode::kPassive, 0);
  EXPECT_FALSE(copied_frames_.owes_sync());
  EXPECT_EQ(database_.RowsWithoutLog(), 20);
}

TEST_F(CopiedFramesTest, NothingIsSyncedAfterACancel) {
  database_.Commit(5);
  OpenConnections();
  LetSyncsOfDatabaseFail(true);
  connections_.Cancel();
  copied_frames_.Sync();
  EXPECT_FALSE(copied_frames_.owes_sync());
  connections_.Resume();
}

}  // namespace
}  // namespace walmanager
