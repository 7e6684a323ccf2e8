#include "ext/checkpoint/fact_gatherer.h"

#include <gtest/gtest.h>

#include <limits>

#include "ext/core/base/time_units.h"
#include "ext/core/control/shared_words.h"
#include "tests/engine/checkpoint_parts.h"

namespace walmanager {
namespace {

constexpr std::uint64_t kNow = 10'000'000 * kMs;

class FactGathererTest : public CheckpointParts {
 protected:
  // A strategy of one rule with this condition.
  void Use(const std::string& condition) {
    SelectRule(region(), condition);
    const auto followed = strategy_.Follow(std::numeric_limits<std::int64_t>::max());
    ASSERT_TRUE(followed.ok());
    ASSERT_EQ(strategy_.error(), "");
  }
  void RecordCommits(int count) {
    for (int i = 0; i < count; ++i) region().RecordCommit(layout::kConnections, {});
  }
  ControlRegion& region() { return control_->Get()->region(); }

  std::unique_ptr<ControlInUse> control_ = MakeControl(database_);
  StrategyInForce strategy_{*control_};
  LogReaders readers_{database_.path(), connections_, checkpointer_, *control_};
  FactGatherer facts_{*control_, strategy_, readers_};
};

TEST_F(FactGathererTest, TheLogIsCountedInFramesAndBytes) {
  Use("pending_frames > 0");
  WalIndex index;
  index.page_size = 1000;
  index.max_frame = 30;
  index.backfill = 10;
  Facts facts = facts_.Gather(index, 5'000, 700, kNow);
  EXPECT_EQ(facts.wal_frames, 30);
  EXPECT_EQ(facts.pending_frames, 20);
  EXPECT_EQ(facts.pending_bytes, 20 * 1024);  // a frame has a header of 24 bytes
  EXPECT_EQ(facts.wal_bytes, 5'000);
  facts = facts_.Gather(index, std::nullopt, 700, kNow);
  EXPECT_EQ(facts.wal_bytes, std::nullopt);
}

TEST_F(FactGathererTest, TimesAreUnknownBeforeTheirFirstEventAndNeverNegative) {
  Use("idle_ms > 0");
  EXPECT_EQ(facts_.Gather({}, 0, 700, kNow).idle_ms, std::nullopt);
  EXPECT_EQ(facts_.Gather({}, 0, 700, kNow).last_checkpoint_ms, std::nullopt);
  Put(region().header().last_commit_ns, kNow - 250 * kMs);
  Put(region().header().last_checkpoint_ns, kNow + 1);
  EXPECT_EQ(facts_.Gather({}, 0, 700, kNow).idle_ms, 250);
  EXPECT_EQ(facts_.Gather({}, 0, 700, kNow).since_checkpoint_ms, 0);
}

TEST_F(FactGathererTest, TheRateOfCommitsIsSmoothed) {
  Use("commit_rate > 0 AND commits_since_checkpoint > 0");
  RecordCommits(5);
  Facts facts = facts_.Gather({}, 0, 700, kNow);
  EXPECT_EQ(facts.commits_since_checkpoint, 5);
  EXPECT_EQ(facts.commit_rate, std::nullopt);
  RecordCommits(10);
  EXPECT_EQ(facts_.Gather({}, 0, 700, kNow + 1'000 * kMs).commit_rate, 10);
  RecordCommits(20);
  facts = facts_.Gather({}, 0, 700, kNow + 2'000 * kMs);
  EXPECT_NEAR(facts.commit_rate.value_or(0), 13, 1e-9);  // 10 + 0.3 * (20 - 10)
  EXPECT_EQ(facts.commits_since_checkpoint, 35);
}

TEST_F(FactGathererTest, ReadersAreLookedForOnlyWhereARuleAsks) {
  database_.Commit(10);
  const std::uint32_t seen = database_.Look().max_frame;
  const OwnedDb reader = database_.OpenReader();
  database_.Commit(10);
  const WalIndex index = database_.Look();
  Use("pending_frames > 0");
  EXPECT_EQ(facts_.Gather(index, 0, 700, kNow).readers, std::nullopt);
  Use("readers > 0 AND oldest_reader_lag > 0");
  OpenConnections();
  const Facts facts = facts_.Gather(index, 0, 700, kNow);
  EXPECT_EQ(facts.readers, 1);
  EXPECT_EQ(facts.oldest_reader_lag, index.max_frame - seen);
}

}  // namespace
}  // namespace walmanager
