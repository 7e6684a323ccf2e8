#include "ext/core/policy/stall_allowance.h"

#include <gtest/gtest.h>

#include "ext/core/base/time_units.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kNow = 1'000'000 * kMs;

TEST(StallAllowance, AllOfItIsLeftAtFirst) {
  EXPECT_EQ(300 * kMs, StallAllowance(0).LeftNs(kNow));
  EXPECT_EQ(100 * kMs, StallAllowance(0).LeftNs(1'000 * kMs));  // a second after the boot
}

TEST(StallAllowance, AWaitIsPaidBackInTenTimesItsLength) {
  const std::uint64_t after = StallAllowance(0).AfterWait(40 * kMs, kNow);
  EXPECT_EQ(260 * kMs, StallAllowance(after).LeftNs(kNow));
  EXPECT_EQ(280 * kMs, StallAllowance(after).LeftNs(kNow + 200 * kMs));
  EXPECT_EQ(300 * kMs, StallAllowance(after).LeftNs(kNow + 400 * kMs));
  EXPECT_EQ(300 * kMs, StallAllowance(after).LeftNs(kNow + 40'000 * kMs));
}

TEST(StallAllowance, WhatIsWaitedBeyondItIsOwed) {
  std::uint64_t word = 0;
  for (int i = 0; i < 2; ++i) word = StallAllowance(word).AfterWait(200 * kMs, kNow);
  EXPECT_EQ(0u, StallAllowance(word).LeftNs(kNow));
  EXPECT_EQ(0u, StallAllowance(word).LeftNs(kNow + 1'000 * kMs));
  EXPECT_EQ(100 * kMs, StallAllowance(word).LeftNs(kNow + 2'000 * kMs));
}

TEST(StallAllowance, NoDebtIsTakenForAWordThatCannotBe) {
  std::uint64_t word = 0;
  for (int i = 0; i < 40; ++i) word = StallAllowance(word).AfterWait(250 * kMs, kNow);
  EXPECT_EQ(0u, StallAllowance(word).LeftNs(kNow));
  EXPECT_EQ(0u, StallAllowance(word).LeftNs(kNow + 3'000 * kMs));
}

TEST(StallAllowance, OfAllTimeATenthIsWaitedAtMost) {
  std::uint64_t word = 0, waited = 0, now = kNow;
  for (; now < kNow + 60'000 * kMs; now += 10 * kMs) {
    if (StallAllowance(word).LeftNs(now) < 200 * kMs) continue;
    now += 200 * kMs;
    waited += 200 * kMs;
    word = StallAllowance(word).AfterWait(200 * kMs, now);
  }
  EXPECT_LE(waited, (now - kNow) / 10 + 300 * kMs);
  EXPECT_GE(waited, (now - kNow) / 10 - 200 * kMs);
}

TEST(StallAllowance, AWordThatCannotBeIsNone) {
  EXPECT_EQ(300 * kMs, StallAllowance(~std::uint64_t{0}).LeftNs(kNow));
  const std::uint64_t after = StallAllowance(~std::uint64_t{0}).AfterWait(40 * kMs, kNow);
  EXPECT_EQ(260 * kMs, StallAllowance(after).LeftNs(kNow));
  EXPECT_EQ(0u, StallAllowance(0).LeftNs(0));
}

}  // namespace
}  // namespace walmanager
