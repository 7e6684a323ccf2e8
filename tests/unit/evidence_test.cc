#include "ext/core/control/evidence.h"

#include <gtest/gtest.h>

#include <memory>

namespace walmanager {
namespace {

constexpr std::int64_t kNow = 1'700'000'000'000, kYearMs = 31'536'000'000;

class EvidenceTest : public testing::Test {
 protected:
  const std::unique_ptr<layout::Evidence> evidence_ = std::make_unique<layout::Evidence>();
  const std::unique_ptr<layout::Evidence> other_ = std::make_unique<layout::Evidence>();
};

TEST_F(EvidenceTest, KeepsWhenTheDatabaseWasLastAttached) {
  EXPECT_EQ(LastAttachedMs(*evidence_, kNow), 0);
  KeepAttached(*evidence_, kNow);
  KeepAttached(*evidence_, kNow - 500);  // another process, whose clock was read earlier
  EXPECT_EQ(LastAttachedMs(*evidence_, kNow), kNow);
  EXPECT_EQ(LastAttachedMs(*evidence_, kNow - 500), kNow);
}

// Bug: after one look with a clock that was a year ahead, no index was reported as not used.
TEST_F(EvidenceTest, ATimeInTheFutureIsNotBelievedAndGivesWay) {
  KeepAttached(*evidence_, kNow + kYearMs);
  EXPECT_EQ(LastAttachedMs(*evidence_, kNow), 0);
  KeepAttached(*evidence_, kNow);
  EXPECT_EQ(LastAttachedMs(*evidence_, kNow + 2 * kYearMs), kNow);
}

TEST_F(EvidenceTest, TakesOverTheLaterTimeThatIsNotInTheFuture) {
  KeepAttached(*evidence_, kNow - 5000);
  KeepAttached(*other_, kNow - 3000);
  TakeOverEvidence(*evidence_, *other_, kNow);
  EXPECT_EQ(LastAttachedMs(*other_, kNow), kNow - 3000);
  TakeOverEvidence(*other_, *evidence_, kNow);
  EXPECT_EQ(LastAttachedMs(*evidence_, kNow), kNow - 3000);
  KeepAttached(*other_, kNow + kYearMs);
  TakeOverEvidence(*other_, *evidence_, kNow);
  EXPECT_EQ(LastAttachedMs(*evidence_, kNow), kNow - 3000);
  TakeOverEvidence(*evidence_, *other_, kNow);
  EXPECT_EQ(LastAttachedMs(*other_, kNow), kNow - 3000);
}

}  // namespace
}  // namespace walmanager
