// The wait of a commit beyond the limit: from nothing, smoothly, to a second.
#include "ext/core/policy/backpressure.h"

#include <gtest/gtest.h>

#include "ext/core/base/time_units.h"

namespace walmanager {
namespace {

TEST(Backpressure, ThereIsNoneUpToTheLimit) {
  EXPECT_EQ(0u, BackpressureNs(0, 1000));
  EXPECT_EQ(0u, BackpressureNs(999, 1000));
  EXPECT_EQ(0u, BackpressureNs(1000, 1000));
}

TEST(Backpressure, ItGrowsWithTheSquareOfTheExcess) {
  EXPECT_NEAR(1 * kMs, BackpressureNs(1100, 1000), 1);
  EXPECT_NEAR(25 * kMs, BackpressureNs(1500, 1000), 1);
  EXPECT_NEAR(100 * kMs, BackpressureNs(2000, 1000), 1);
  EXPECT_NEAR(400 * kMs, BackpressureNs(3000, 1000), 1);
}

TEST(Backpressure, ItNeverFallsAndNeverExceedsASecond) {
  std::uint64_t last = 0;
  for (std::uint64_t frames = 0; frames < 100'000; frames += 7) {
    const std::uint64_t wait = BackpressureNs(frames, 1000);
    ASSERT_GE(wait, last);
    ASSERT_LE(wait, 1000 * kMs);
    last = wait;
  }
  EXPECT_EQ(1000 * kMs, last);
  EXPECT_EQ(1000 * kMs, BackpressureNs(~std::uint64_t{0}, 1));
}

TEST(Backpressure, WhileFramesAreCopiedItIsSteeperFromATenthOn) {
  EXPECT_EQ(0u, CopierPauseNs(1000, 1000));
  EXPECT_EQ(BackpressureNs(1100, 1000), CopierPauseNs(1100, 1000));
  EXPECT_NEAR(7.8 * kMs, CopierPauseNs(1150, 1000), 0.1 * kMs);
  EXPECT_NEAR(56 * kMs, CopierPauseNs(1250, 1000), 0.5 * kMs);
  EXPECT_EQ(0u, CopierPauseNs(5, 0));
  std::uint64_t last = 0;
  for (std::uint64_t frames = 0; frames < 100'000; frames += 7) {
    ASSERT_GE(CopierPauseNs(frames, 1000), last);
    last = CopierPauseNs(frames, 1000);
  }
  EXPECT_EQ(2000 * kMs, last);
}

TEST(Backpressure, WithoutALimitThereIsNone) { EXPECT_EQ(0u, BackpressureNs(5, 0)); }

}  // namespace
}  // namespace walmanager
