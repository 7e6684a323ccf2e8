#include "ext/checkpoint/room_watch.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "tests/engine/wal_database.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kNow = 1'000'000'000'000;
constexpr std::uint32_t kPageSize = 4096;

class RoomWatchTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before_), 0); }
  void TearDown() override { EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &before_), 0); }
  void Limit(rlim_t bytes) const {
    const rlimit limit{bytes, before_.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  void Look(std::uint64_t now_ns) { room_.Look(SettingValues(), kPageSize, 0, now_ns); }

  rlimit before_{};
  WalDatabase database_;
  std::unique_ptr<ControlInUse> control_ = MakePrivateControl();
  InlinePeriod inline_period_;
  RoomWatch room_{database_.path(), *control_, inline_period_};
};

TEST_F(RoomWatchTest, ALimitThatIsLoweredIsSeenAtTheNextLook) {
  Look(kNow);
  EXPECT_FALSE(room_.is_short());
  EXPECT_FALSE(inline_period_.LastsAt(kNow));
  Limit(6 << 20);
  Look(kNow + 1000);
  EXPECT_TRUE(room_.is_short());
  EXPECT_EQ(room_.most_wal_bytes(), 3 << 20);
  EXPECT_TRUE(inline_period_.LastsAt(kNow + 1000));
  Limit(before_.rlim_cur);
  Look(kNow + 2000);
  EXPECT_FALSE(room_.is_short());
}

TEST_F(RoomWatchTest, APeriodOfInlineCopyingOutlastsTheNextLookOfACommit) {
  Limit(6 << 20);
  Look(kNow);
  const auto interval_ns =
      static_cast<std::uint64_t>(SettingValues()[Setting::kSampleIntervalMs] * 1'000'000);
  EXPECT_TRUE(inline_period_.LastsAt(kNow + interval_ns));
}

}  // namespace
}  // namespace walmanager
