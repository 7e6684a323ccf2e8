#include "ext/core/policy/work_budget.h"

#include <gtest/gtest.h>

namespace walmanager {
namespace {

constexpr std::uint64_t kMs = 1'000'000, kStart = 5'000 * kMs;

TEST(WorkBudget, HasRoomForATenthOfASecondAtOnce) {
  WorkBudget budget;
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(budget.HasRoom(kStart)) << i;
    budget.Spend(kStart, kMs);
  }
  EXPECT_FALSE(budget.HasRoom(kStart));
}

TEST(WorkBudget, ThenHasRoomForATwentiethOfTheTime) {
  WorkBudget budget;
  int done = 0;
  for (std::uint64_t ms = 0; ms < 10'000; ++ms) {
    const std::uint64_t now = kStart + ms * kMs;
    if (!budget.HasRoom(now)) continue;
    budget.Spend(now, kMs);
    ++done;
  }
  EXPECT_NEAR(done, 100 + 10'000 / 20, 1);
}

TEST(WorkBudget, ARestSavesNoMoreThanWhatMayBeDoneAtOnce) {
  WorkBudget budget;
  budget.Spend(kStart, 200 * kMs);
  EXPECT_FALSE(budget.HasRoom(kStart + 1'999 * kMs));
  EXPECT_TRUE(budget.HasRoom(kStart + 2'001 * kMs));
  const std::uint64_t later = kStart + 3'600'000 * kMs;
  budget.Spend(later, 100 * kMs);
  EXPECT_FALSE(budget.HasRoom(later));
}

TEST(WorkBudget, OnePieceOfWorkDelaysTheNextByFourSecondsAtMost) {
  WorkBudget budget;
  budget.Spend(kStart, 3'600'000 * kMs);
  EXPECT_FALSE(budget.HasRoom(kStart + 3'999 * kMs));
  EXPECT_TRUE(budget.HasRoom(kStart + 4'001 * kMs));
}

}  // namespace
}  // namespace walmanager
