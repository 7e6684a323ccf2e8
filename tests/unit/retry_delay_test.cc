#include "ext/core/policy/retry_delay.h"

#include <gtest/gtest.h>

#include "ext/core/base/time_units.h"

namespace walmanager {
namespace {

TEST(RetryDelay, DoublesFromFiveToAHundredMilliseconds) {
  RetryDelay delay;
  EXPECT_FALSE(delay.lasts());
  std::uint64_t now = 1000 * kMs;
  for (const std::uint64_t ms : {5, 10, 20, 40, 80}) {
    EXPECT_FALSE(delay.MovedNothing(now));
    EXPECT_EQ(delay.not_before_ns(), now + ms * kMs);
    EXPECT_TRUE(delay.lasts());
    now = delay.not_before_ns();
  }
  EXPECT_TRUE(delay.MovedNothing(now)) << "the longest delay is reported once";
  EXPECT_EQ(delay.not_before_ns(), now + 100 * kMs);
  EXPECT_FALSE(delay.MovedNothing(now));
  EXPECT_EQ(delay.not_before_ns(), now + 100 * kMs);
}

TEST(RetryDelay, BeginsAnewAfterAnAttemptThatMovedSomething) {
  RetryDelay delay;
  for (int i = 0; i < 8; ++i) delay.MovedNothing(0);
  delay.Reset();
  EXPECT_FALSE(delay.lasts());
  EXPECT_EQ(delay.not_before_ns(), 0u);
  EXPECT_FALSE(delay.MovedNothing(kMs));
  EXPECT_EQ(delay.not_before_ns(), 6 * kMs);
}

}  // namespace
}  // namespace walmanager
