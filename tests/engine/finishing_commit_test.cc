#include "ext/checkpoint/finishing_commit.h"

#include <gtest/gtest.h>

#include "ext/core/control/shared_words.h"
#include "ext/system/clock.h"

namespace walmanager {
namespace {

class FinishingCommitTest : public testing::Test {
 protected:
  std::uint64_t gate() const { return Get(header_.gate_until_ns); }
  std::uint64_t brake() const { return Get(engine_.brake_frame); }

  layout::Header header_{};
  layout::EngineState engine_{};
};

TEST_F(FinishingCommitTest, OnlyTheCommitThatHasShutTheGateOpensIt) {
  {
    const FinishingCommit longer(header_, engine_, 200, 0);
    { const FinishingCommit shorter(header_, engine_, 100, 0); }
    { const FinishingCommit none(header_, engine_, 0, 0); }
    EXPECT_EQ(gate(), 200u);
    const FinishingCommit longest(header_, engine_, 300, 0);
    EXPECT_EQ(gate(), 300u);
  }
  EXPECT_EQ(gate(), 0u);
  EXPECT_EQ(brake(), 0u);
}

TEST_F(FinishingCommitTest, TheBrakeIsShownWhileItLives) {
  {
    const FinishingCommit commit(header_, engine_, 0, 1000);
    EXPECT_EQ(brake(), 1000u);
    EXPECT_GT(Get(engine_.at_work_until_ns), MonotonicNs());
    { const FinishingCommit other(header_, engine_, 0, 2000); }
    EXPECT_EQ(brake(), 1000u);
  }
  EXPECT_EQ(brake(), 0u);
  EXPECT_EQ(Get(engine_.at_work_until_ns), 0u);
}

TEST_F(FinishingCommitTest, AThreadThatCopiesMeanwhileKeepsItsBrake) {
  const std::uint64_t later = MonotonicNs() + 60'000'000'000;
  {
    const FinishingCommit commit(header_, engine_, 0, 1000);
    Put(engine_.at_work_until_ns, later);
  }
  EXPECT_EQ(brake(), 1000u);
  EXPECT_EQ(Get(engine_.at_work_until_ns), later);
}

}  // namespace
}  // namespace walmanager
