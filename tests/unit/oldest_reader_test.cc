#include "ext/core/policy/oldest_reader.h"

#include <gtest/gtest.h>

namespace walmanager {
namespace {

WalIndex LogWithMarks(std::array<std::uint32_t, kReadMarks> marks) {
  WalIndex index;
  index.max_frame = 100;
  index.backfill = 10;
  index.read_marks = marks;
  return index;
}

TEST(OldestReader, IsTheHeldMarkOfTheLowestFrame) {
  OldestReader oldest;
  const WalIndex index = LogWithMarks({0, 90, 30, 20, 60});
  EXPECT_EQ(oldest.frame(), std::nullopt);
  EXPECT_EQ(oldest.See({false, true, true, false, true}, index, 1000), std::nullopt);
  EXPECT_EQ(oldest.frame(), 30u);
  EXPECT_FALSE(oldest.IsOlderThan(500, 1500));
  EXPECT_TRUE(oldest.IsOlderThan(500, 1501));
}

TEST(OldestReader, AReaderOnMarkZeroReadsTheDatabaseAlone) {
  OldestReader oldest;
  oldest.See({true, true, false, false, false}, LogWithMarks({0, 90, 0, 0, 0}), 1000);
  EXPECT_EQ(oldest.frame(), 10u);
}

TEST(OldestReader, TellsHowLongTheReaderThatLeftWasSeen) {
  OldestReader oldest;
  const WalIndex index = LogWithMarks({0, 90, 30, 0, 0});
  oldest.See({false, true, true, false, false}, index, 1000);
  EXPECT_EQ(oldest.See({false, true, true, false, false}, index, 1200), std::nullopt);
  EXPECT_EQ(oldest.See({false, true, false, false, false}, index, 1500), 500u);
  EXPECT_EQ(oldest.frame(), 90u);
  EXPECT_EQ(oldest.See({}, index, 1700), 700u);
  EXPECT_EQ(oldest.frame(), std::nullopt);
  EXPECT_FALSE(oldest.IsOlderThan(0, 9000));
}

TEST(OldestReader, ReadersOfTheNewestFrameMayFollowEachOther) {
  OldestReader oldest;
  const WalIndex index = LogWithMarks({0, 100, 0, 0, 0});
  oldest.See({false, true, false, false, false}, index, 1000);
  EXPECT_EQ(oldest.See({false, true, false, false, false}, index, 1500), std::nullopt);
  EXPECT_FALSE(oldest.IsOlderThan(0, 1500));
  EXPECT_EQ(oldest.See({}, index, 1700), 200u);
}

TEST(OldestReader, OfReadersThatOverlapEachCountsFromItsBegin) {
  OldestReader oldest;
  oldest.See({false, true, false, false, false}, LogWithMarks({0, 20, 0, 0, 0}), 1000);
  oldest.See({false, true, true, false, false}, LogWithMarks({0, 20, 30, 0, 0}), 1500);
  // The first has left, and another one has its mark.
  EXPECT_EQ(oldest.See({false, true, true, false, false}, LogWithMarks({0, 40, 30, 0, 0}), 2000),
            1000u);
  EXPECT_EQ(oldest.frame(), 30u);
  EXPECT_TRUE(oldest.IsOlderThan(400, 2000));
  EXPECT_EQ(oldest.See({false, true, false, false, false}, LogWithMarks({0, 40, 50, 0, 0}), 2500),
            1000u);
  EXPECT_EQ(oldest.frame(), 40u);
}

}  // namespace
}  // namespace walmanager
