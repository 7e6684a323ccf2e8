#include "ext/core/policy/inline_period.h"

#include <gtest/gtest.h>

namespace walmanager {
namespace {

TEST(InlinePeriod, LastsUntilItsEndAndKeepsItsReason) {
  InlinePeriod period;
  EXPECT_FALSE(period.LastsAt(100));
  EXPECT_TRUE(period.Begin(100, "no room", 50));
  EXPECT_TRUE(period.LastsAt(149));
  EXPECT_FALSE(period.LastsAt(150));
  EXPECT_EQ(period.because(), "no room");
}

TEST(InlinePeriod, ASecondReasonProlongsAPeriodAndLeavesItsReason) {
  InlinePeriod period;
  period.Begin(100, "first", 50);
  EXPECT_FALSE(period.Begin(120, "second", 50));
  EXPECT_TRUE(period.LastsAt(169));
  EXPECT_EQ(period.because(), "first");
  // A shorter one does not end it earlier.
  EXPECT_FALSE(period.Begin(130, "third", 10));
  EXPECT_TRUE(period.LastsAt(169));
}

TEST(InlinePeriod, IsNewAgainAfterItsEnd) {
  InlinePeriod period;
  period.Begin(100, "first", 50);
  EXPECT_TRUE(period.Begin(151, "second", 50));
  EXPECT_EQ(period.because(), "second");
}

}  // namespace
}  // namespace walmanager
