#include "ext/checkpoint/commit_gate.h"

#include <gtest/gtest.h>

#include <thread>

#include "ext/core/base/time_units.h"
#include "ext/core/control/shared_words.h"
#include "ext/system/clock.h"
#include "tests/engine/wal_database.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kNow = 5'000 * kMs;
constexpr std::uint64_t kInterval = 1'000 * kMs;
constexpr std::uint32_t kSalt = 7;

class CommitGateTest : public testing::Test {
 protected:
  // The plan of a look at `kNow` that found ten frames.
  void Plan(const LookPlan& plan) {
    WalIndex index;
    index.salt1 = kSalt;
    index.max_frame = 10;
    gate_.Plan(plan, index, region_.settings_generation(), kInterval, kNow);
  }
  bool IsDue(std::uint32_t max_frame, std::uint64_t now_ns = kNow + 1) {
    return gate_.IsDue(region_, {kSalt, max_frame}, now_ns);
  }

  std::unique_ptr<ControlInUse> control_ = MakePrivateControl();
  std::shared_ptr<ControlFile> file_ = control_->Get();
  ControlRegion& region_ = file_->region();
  layout::Counter& gate_until_ns_ = region_.header().gate_until_ns;
  CommitGate gate_;
};

TEST_F(CommitGateTest, TheCommitThatReachesThePlannedFrameLooks) {
  Plan({.look_frame = 100});
  EXPECT_FALSE(IsDue(99));
  EXPECT_TRUE(IsDue(100));
  EXPECT_TRUE(IsDue(101));
}

TEST_F(CommitGateTest, ACommitLooksWhenTheSampleIntervalIsOver) {
  Plan({.look_frame = 100});
  EXPECT_FALSE(IsDue(11, kNow + kInterval - 1));
  EXPECT_TRUE(IsDue(11, kNow + kInterval));
}

TEST_F(CommitGateTest, ACommitLooksWhenTheLogStartedOver) {
  Plan({.look_frame = 100});
  EXPECT_TRUE(gate_.IsDue(region_, {kSalt + 1, 1}, kNow + 1));
}

TEST_F(CommitGateTest, ACommitLooksWhenSettingsChanged) {
  Plan({.look_frame = 100});
  ChangeSetting(region_, Setting::kCheckpointFrames, 5);
  EXPECT_TRUE(IsDue(11));
}

TEST_F(CommitGateTest, ACommitLooksWhileTheGateIsShut) {
  Plan({.look_frame = 100});
  Put(gate_until_ns_, kNow + 10);
  EXPECT_TRUE(IsDue(11, kNow + 9));
  EXPECT_FALSE(IsDue(11, kNow + 10));
}

TEST_F(CommitGateTest, ALookIsMovedForwardAndNeverBack) {
  Plan({.look_frame = 100});
  gate_.LookFrom(200);
  EXPECT_TRUE(IsDue(100));
  gate_.LookFrom(50);
  EXPECT_FALSE(IsDue(49));
  EXPECT_TRUE(IsDue(50));
  gate_.LookAtNextCommit();
  EXPECT_TRUE(IsDue(1));
}

TEST_F(CommitGateTest, ACommitWaitsUntilAnotherThreadOpensTheGate) {
  Plan({.look_frame = 100, .wait_ns = 60'000 * kMs});
  const std::uint64_t start = MonotonicNs();
  const std::uint64_t until = start + 60'000 * kMs;
  Put(gate_until_ns_, until);
  std::thread finisher([&] {
    sqlite3_sleep(20);
    Put(gate_until_ns_, 0);
  });
  gate_.WaitAtGate(gate_until_ns_, until, start);
  const std::uint64_t waited = MonotonicNs() - start;
  finisher.join();
  EXPECT_GE(waited, 20 * kMs);
  EXPECT_LT(waited, 30'000 * kMs);
}

TEST_F(CommitGateTest, AGateThatNoProcessOpensIsClearedAfterTwoMilliseconds) {
  Plan({.look_frame = 100, .wait_ns = 0});
  const std::uint64_t start = MonotonicNs();
  const std::uint64_t corrupt = start + 60'000 * kMs;
  Put(gate_until_ns_, corrupt);
  gate_.WaitAtGate(gate_until_ns_, corrupt, start);
  const std::uint64_t waited = MonotonicNs() - start;
  EXPECT_GE(waited, CommitGate::kGateNs);
  EXPECT_LT(waited, 30'000 * kMs);
  EXPECT_EQ(Get(gate_until_ns_), 0u);
}

TEST_F(CommitGateTest, AWaitThatIsOverLeavesAGateThatAnotherCommitHasShut) {
  Plan({.look_frame = 100, .wait_ns = 0});
  const std::uint64_t start = MonotonicNs();
  Put(gate_until_ns_, start + 60'000 * kMs);
  gate_.WaitAtGate(gate_until_ns_, start + 1 * kMs, start);  // what this commit had seen
  EXPECT_EQ(Get(gate_until_ns_), start + 60'000 * kMs);
}

TEST_F(CommitGateTest, APauseThatTookLongIsPaidForByTheNextCommits) {
  const layout::Counter brake{1};
  // The first pause seems to take 10 ms: at 50 µs a commit, 198 commits or more do not pause.
  EXPECT_TRUE(gate_.PauseForCopier(brake, 0, MonotonicNs() - 10 * kMs));
  int without_pause = 0;
  while (without_pause < 1'000'000 && !gate_.PauseForCopier(brake, 0, MonotonicNs())) {
    ++without_pause;
  }
  EXPECT_GE(without_pause, 198);
  EXPECT_LT(without_pause, 1'000'000);
}

TEST_F(CommitGateTest, ALongPauseEndsWithTheBrake) {
  layout::Counter brake{1};
  std::uint64_t start = MonotonicNs();
  EXPECT_TRUE(gate_.PauseForCopier(brake, 20 * kMs, start));
  EXPECT_GE(MonotonicNs() - start, 20 * kMs);
  std::thread copier([&] {
    sqlite3_sleep(20);
    Put(brake, 0);
  });
  start = MonotonicNs();
  EXPECT_TRUE(gate_.PauseForCopier(brake, 60'000 * kMs, start));
  EXPECT_LT(MonotonicNs() - start, 30'000 * kMs);
  copier.join();
}

TEST_F(CommitGateTest, BackpressureSleepsOnlyWhileTheLogIsBeyondItsLimit) {
  const WalDatabase database;
  database.Commit(40);
  const std::uint32_t frames = database.Look().max_frame;
  const auto slowed_ms = [&](std::uint32_t committed_at) {
    const std::uint64_t start = MonotonicNs();
    gate_.SlowDown(database.log(), committed_at);
    return (MonotonicNs() - start) / kMs;
  };
  // Twice the limit: 100 ms, more for an odd number of frames.
  Plan({.pressure_frame = frames / 2});
  EXPECT_GE(slowed_ms(frames), 100u);
  EXPECT_LT(slowed_ms(frames / 2), 100u);
  // The commit left the log beyond the limit, and it has started over since.
  Plan({.pressure_frame = frames});
  EXPECT_LT(slowed_ms(3 * frames), 100u);
}

}  // namespace
}  // namespace walmanager
