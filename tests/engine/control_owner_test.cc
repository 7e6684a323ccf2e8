#include "ext/database/control_owner.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "ext/core/control/alerts.h"
#include "ext/system/file_system.h"
#include "tests/engine/wal_database.h"

namespace walmanager {
namespace {

constexpr ControlFile::Wish kMake = ControlFile::Wish::kMakeAndWait;
constexpr auto kSecond = ControlOwner::Patience::kSecond;

const SettingSpec& CheckpointFrames() {
  return SettingSpecs()[static_cast<std::size_t>(Setting::kCheckpointFrames)];
}

class ControlOwnerTest : public testing::Test {
 protected:
  std::shared_ptr<ControlFile> file() { return owner_.in_use().Get(); }
  bool IsThere() const { return walmanager::IsThere(database_.control_path()); }
  Status SetCheckpointFrames(bool make_file, std::int64_t frames) {
    const ChangeMark mark{"a test", 1};
    return owner_.ChangeSettings(
        make_file,
        [&](StoredSettings& stored) -> Status {
          stored.Set(CheckpointFrames(), frames, mark);
          return Ok{};
        },
        kSecond, mark);
  }
  std::int64_t InForce() {
    return file()->region().ReadSettings()->Values()[Setting::kCheckpointFrames];
  }

  WalDatabase database_;
  ControlOwner owner_{database_.path(), database_.id()};
};

TEST_F(ControlOwnerTest, BeginsInPrivateMemoryAndLooksMakeNoFile) {
  EXPECT_TRUE(owner_.is_wanted());
  EXPECT_FALSE(file()->shared());
  owner_.Look();
  EXPECT_FALSE(IsThere());
  EXPECT_EQ(owner_.in_use().generation(), 0u);
}

TEST_F(ControlOwnerTest, MakesTheFileOnce) {
  EXPECT_TRUE(owner_.Make(kMake));
  EXPECT_FALSE(owner_.is_wanted());
  EXPECT_TRUE(file()->shared());
  EXPECT_TRUE(IsThere());
  EXPECT_EQ(owner_.in_use().generation(), 1u);
  const auto made = file();
  EXPECT_TRUE(owner_.Make(kMake));
  EXPECT_EQ(file(), made);
  EXPECT_EQ(owner_.in_use().generation(), 1u);
}

TEST_F(ControlOwnerTest, ALookFindsAFileThatAnotherOwnerMade) {
  ControlOwner other(database_.path(), database_.id());
  ASSERT_TRUE(other.Make(kMake));
  owner_.Look();
  EXPECT_TRUE(owner_.is_wanted());  // it has not asked for the file itself
  // A process has one object of a file.
  EXPECT_EQ(file(), other.in_use().Get());
}

TEST_F(ControlOwnerTest, ALookMakesAFileAnewThatWasDeleted) {
  ASSERT_TRUE(owner_.Make(kMake));
  bool reset = false;
  (void)file()->region().AdvanceLog(/*salt1=*/7, /*max_frame=*/30, &reset);
  const auto before = file();
  ASSERT_EQ(unlink(database_.control_path().c_str()), 0);
  owner_.Look();
  EXPECT_TRUE(IsThere());
  EXPECT_NE(file(), before);
  EXPECT_TRUE(file()->shared());
  // The new file knows the log as the deleted one did.
  EXPECT_EQ(file()->region().header().log_position.load(), (LogEnd{7, 30}.position()));
}

TEST_F(ControlOwnerTest, SettingsOfPrivateMemoryGoAlongIntoTheFile) {
  ASSERT_TRUE(SetCheckpointFrames(/*make_file=*/false, 17).ok());
  EXPECT_FALSE(IsThere());
  EXPECT_EQ(InForce(), 17);
  ASSERT_TRUE(owner_.Make(kMake));
  ASSERT_TRUE(file()->shared());
  EXPECT_EQ(InForce(), 17);
}

TEST_F(ControlOwnerTest, CommitsOfPrivateMemoryAreAddedToTheFile) {
  const std::size_t slab = file()->ClaimSlab();
  ControlRegion::Commit commit;
  commit.frames = 3;
  file()->region().RecordCommit(slab, commit);
  file()->ReleaseSlab(slab);
  ASSERT_TRUE(owner_.Make(kMake));
  EXPECT_EQ(file()->region().ReadCommits(/*with_histogram=*/false).commits, 1u);
}

TEST_F(ControlOwnerTest, AChangeMakesTheFileAndIsAnAlert) {
  ASSERT_TRUE(SetCheckpointFrames(/*make_file=*/true, 17).ok());
  EXPECT_TRUE(file()->shared());
  EXPECT_EQ(InForce(), 17);
  const auto alerts = Alerts(file()->space()).Read();
  ASSERT_EQ(alerts.size(), 1u);
  EXPECT_EQ(alerts[0].check, "setting");
  EXPECT_EQ(alerts[0].status, AlertStatus::kChanged);
  EXPECT_EQ(alerts[0].raised_ms, 1);
  EXPECT_EQ(alerts[0].detail, "checkpoint_frames: 1000 before, 17 now, by a test");
}

TEST_F(ControlOwnerTest, AChangeThatFailsChangesNothing) {
  ASSERT_TRUE(SetCheckpointFrames(/*make_file=*/true, 17).ok());
  const std::uint64_t generation = file()->region().settings_generation();
  const Status status = owner_.ChangeSettings(true,
                                              [](StoredSettings& stored) -> Status {
                                                stored.Set(CheckpointFrames(), 18, {});
                                                return Error{"no"};
                                              },
                                              kSecond, {"a test", 2});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, "no");
  EXPECT_EQ(InForce(), 17);
  EXPECT_EQ(file()->region().settings_generation(), generation);
  EXPECT_EQ(Alerts(file()->space()).Read().size(), 1u);
}

TEST_F(ControlOwnerTest, BeforeTheLastCloseItLooksOnlyForAFileThatWasAskedFor) {
  ControlOwner other(database_.path(), database_.id());
  ASSERT_TRUE(other.Make(kMake));
  owner_.BeforeClose();
  EXPECT_FALSE(file()->shared());
}

}  // namespace
}  // namespace walmanager
