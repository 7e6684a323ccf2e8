#include "ext/checkpoint/room_watch.h"

#include <gtest/gtest.h>

#include "tests/engine/wal_database.h"
#include "tests/file_size_limit.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kNow = 1'000'000'000'000;
constexpr std::uint32_t kPageSize = 4096;

class RoomWatchTest : public testing::Test {
 protected:
  void Look(std::uint64_t now_ns) { room_.Look(SettingValues(), kPageSize, 0, now_ns); }

  WalDatabase database_;
  std::unique_ptr<ControlInUse> control_ = MakePrivateControl();
  InlinePeriod inline_period_;
  RoomWatch room_{database_.path(), *control_, inline_period_};
};

TEST_F(RoomWatchTest, ALimitThatIsLoweredIsSeenAtTheNextLook) {
  Look(kNow);
  EXPECT_FALSE(room_.is_short());
  EXPECT_FALSE(inline_period_.LastsAt(kNow));
  {
    const FileSizeLimit limit(6 << 20);
    Look(kNow + 1000);
    EXPECT_TRUE(room_.is_short());
    EXPECT_EQ(room_.most_wal_bytes(), 3 << 20);
    EXPECT_TRUE(inline_period_.LastsAt(kNow + 1000));
  }
  Look(kNow + 2000);
  EXPECT_FALSE(room_.is_short());
}

TEST_F(RoomWatchTest, APeriodOfInlineCopyingOutlastsTheNextLookOfACommit) {
  const FileSizeLimit limit(6 << 20);
  Look(kNow);
  const auto interval_ns =
      static_cast<std::uint64_t>(SettingValues()[Setting::kSampleIntervalMs] * 1'000'000);
  EXPECT_TRUE(inline_period_.LastsAt(kNow + interval_ns));
}

}  // namespace
}  // namespace walmanager
