#include "ext/core/policy/reader_lease.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace walmanager {
namespace {

constexpr std::uint64_t kSalt = std::uint64_t{7} << 32;

TEST(ReaderLease, KnowsHowLongALogIs) {
  EXPECT_EQ(LogBytes(kSalt, 4096), 0);
  EXPECT_EQ(LogBytes(kSalt | 1, 4096), 32 + 24 + 4096);
  EXPECT_EQ(LogBytes(kSalt | 1000, 65536), 32 + 1000 * (24 + 65536));
}

TEST(ReaderLease, IsForALogBeyondItsLimitThatIsWritten) {
  constexpr std::int64_t kLimit = 32 + 100 * (24 + 4096);
  EXPECT_FALSE(IsBeyondLimit(kSalt | 5, kSalt | 100, 4096, kLimit));
  EXPECT_TRUE(IsBeyondLimit(kSalt | 5, kSalt | 101, 4096, kLimit));
  // Nobody has written since the query began: the log was as long before.
  EXPECT_FALSE(IsBeyondLimit(kSalt | 101, kSalt | 101, 4096, kLimit));
  // It has started over meanwhile.
  EXPECT_FALSE(IsBeyondLimit(kSalt | 900, 2 * kSalt | 3, 4096, kLimit));
  EXPECT_TRUE(IsBeyondLimit(kSalt | 900, 2 * kSalt | 900, 4096, kLimit));
}

TEST(ReaderLease, HasATextForEachObstacle) {
  std::set<std::string> texts;
  constexpr auto kCount = static_cast<int>(LeaseObstacle::kCount);
  for (int i = 0; i < kCount; ++i) texts.insert(ObstacleText(static_cast<LeaseObstacle>(i)));
  EXPECT_EQ(texts.size(), static_cast<std::size_t>(kCount));
  EXPECT_STREQ(ObstacleText(LeaseObstacle::kNoMutex), "the connection has no mutex");
  EXPECT_STREQ(ObstacleText(LeaseObstacle::kOtherDatabase), "its query reads another database");
}

}  // namespace
}  // namespace walmanager
