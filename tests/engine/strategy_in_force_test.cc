#include "ext/checkpoint/strategy_in_force.h"

#include <gtest/gtest.h>

#include <limits>

#include "ext/core/control/alerts.h"
#include "tests/engine/wal_database.h"

namespace walmanager {
namespace {

constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMiB = 1024 * 1024;

class StrategyInForceTest : public testing::Test {
 protected:
  // Whether it compiled; fails the test on an error.
  bool Follow(std::int64_t most_wal_bytes = kNoLimit) {
    const auto compiled = strategy_.Follow(most_wal_bytes);
    EXPECT_TRUE(compiled.ok());
    return compiled.ok() && compiled.value();
  }
  ControlRegion& region() { return control_->Get()->region(); }

  std::unique_ptr<ControlInUse> control_ = MakePrivateControl();
  StrategyInForce strategy_{*control_};
};

TEST_F(StrategyInForceTest, CompilesTheDefaultStrategyOnce) {
  EXPECT_FALSE(strategy_.is_compiled());
  EXPECT_TRUE(strategy_.rules().empty());
  EXPECT_TRUE(Follow());
  EXPECT_EQ(strategy_.name(), "conversation_workload");
  ASSERT_EQ(strategy_.rules().size(), 3u);
  EXPECT_EQ(strategy_.rules()[1].name, "frames");
  EXPECT_FALSE(Follow());
}

TEST_F(StrategyInForceTest, FollowsTheSelectedStrategyAndItsSettings) {
  EXPECT_TRUE(Follow());
  SelectStrategy(region(), "sqlite_default");
  ChangeSetting(region(), Setting::kCheckpointFrames, 30);
  EXPECT_TRUE(Follow());
  EXPECT_EQ(strategy_.name(), "sqlite_default");
  Facts facts;
  facts.wal_frames = 29;
  EXPECT_EQ(strategy_.ChooseRule(facts), std::nullopt);
  facts.wal_frames = 30;
  EXPECT_EQ(strategy_.ChooseRule(facts), 0u);
}

TEST_F(StrategyInForceTest, TheSystemLowersTheLimitOfTheLogAndGivesItBack) {
  EXPECT_TRUE(Follow(kMiB));
  EXPECT_EQ(strategy_[Setting::kWalLimitBytes], kMiB);
  EXPECT_FALSE(Follow(kMiB));
  EXPECT_TRUE(Follow(2 * kMiB));
  EXPECT_EQ(strategy_[Setting::kWalLimitBytes], 2 * kMiB);
  EXPECT_TRUE(Follow());
  EXPECT_EQ(strategy_[Setting::kWalLimitBytes], 64 * kMiB);
  // What does not lower it changes nothing.
  EXPECT_FALSE(Follow(65 * kMiB));
}

TEST_F(StrategyInForceTest, TheDefaultRulesAreInForceWhereTheSelectedOnesDoNotCompile) {
  SelectRule(region(), "pending_frames >");
  EXPECT_TRUE(Follow());
  EXPECT_EQ(strategy_.name(), "mine");
  EXPECT_EQ(strategy_.error().rfind("strategy 'mine': ", 0), 0u) << strategy_.error();
  ASSERT_EQ(strategy_.rules().size(), 3u);
  EXPECT_EQ(strategy_.rules()[0].strategy, "conversation_workload");
  // It is put right.
  SelectRule(region(), "pending_frames > 2");
  EXPECT_TRUE(Follow());
  EXPECT_EQ(strategy_.error(), "");
  ASSERT_EQ(strategy_.rules().size(), 1u);
  EXPECT_EQ(strategy_.rules()[0].name, "only");
}

TEST_F(StrategyInForceTest, SaysWhichConditionFailsUntilTheRulesChange) {
  SelectRule(region(), "abs(-9223372036854775807 - (wal_frames > 5)) > 0");
  EXPECT_TRUE(Follow());
  Facts facts;
  facts.wal_frames = 5;
  EXPECT_EQ(strategy_.ChooseRule(facts), 0u);
  EXPECT_EQ(strategy_.error(), "");
  facts.wal_frames = 6;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(strategy_.ChooseRule(facts), std::nullopt);
  const std::string error =
      "strategy 'mine': rule 'only': condition 'abs(-9223372036854775807 - (wal_frames > 5)) > 0': "
      "integer overflow; it does not hold then";
  EXPECT_EQ(strategy_.error(), error);
  // Once, for all processes.
  const auto alerts = Alerts(control_->Get()->space()).Read();
  ASSERT_EQ(alerts.size(), 1u);
  EXPECT_EQ(alerts[0].check, "strategy");
  EXPECT_EQ(alerts[0].detail, error);
  SelectRule(region(), "wal_frames > 5");
  EXPECT_TRUE(Follow());
  EXPECT_EQ(strategy_.error(), "");
}

// Memory of SQLite that has ended.
class NoMemory {
 public:
  NoMemory() { sqlite3_hard_heap_limit64(1); }
  ~NoMemory() { sqlite3_hard_heap_limit64(0); }
};

TEST_F(StrategyInForceTest, TheDefaultRulesAreInForceUntilThereIsMemoryToCompileTheSelectedOnes) {
  EXPECT_TRUE(Follow());
  SelectRule(region(), "wal_frames > 2");
  {
    const NoMemory none;
    EXPECT_TRUE(Follow());
    EXPECT_EQ(strategy_.error(), "strategy 'mine': out of memory");
    ASSERT_EQ(strategy_.rules().size(), 3u);
    EXPECT_EQ(strategy_.rules()[0].strategy, "conversation_workload");
  }
  EXPECT_TRUE(Follow());
  EXPECT_EQ(strategy_.error(), "");
  EXPECT_EQ(strategy_.rules().size(), 1u);
  EXPECT_FALSE(Follow());
}

TEST_F(StrategyInForceTest, SaysThatNoRuleWasAskedWhereMemoryEnds) {
  SelectRule(region(), "wal_frames > 2");
  EXPECT_TRUE(Follow());
  Facts facts;
  facts.wal_frames = 3;
  {
    // Another database of the process evaluates the only set.
    const auto borrowed = RuleSets::OfThisProcess()->Borrow(
        std::vector<Rule>(strategy_.rules().begin(), strategy_.rules().end()), strategy_.values());
    ASSERT_TRUE(borrowed.ok());
    const NoMemory none;
    EXPECT_EQ(strategy_.ChooseRule(facts), std::nullopt);
  }
  EXPECT_EQ(strategy_.error(), "strategy 'mine': no rule was asked: out of memory");
  EXPECT_TRUE(Follow());
  EXPECT_EQ(strategy_.error(), "");
  EXPECT_EQ(strategy_.ChooseRule(facts), 0u);
}

TEST_F(StrategyInForceTest, CompilesAnewForAnotherControlFileOfTheSameGeneration) {
  EXPECT_TRUE(Follow());
  const auto other = MakePrivateControl()->Get();
  ASSERT_EQ(other->region().settings_generation(), region().settings_generation());
  control_->Replace(other);
  EXPECT_TRUE(Follow());
  EXPECT_FALSE(Follow());
}

TEST_F(StrategyInForceTest, CountsARuleThatFiredUnderItsOwnPlace) {
  SelectRule(region(), "1");
  EXPECT_TRUE(Follow());
  strategy_.CountFired(strategy_.rules()[0]);
  strategy_.CountFired(strategy_.rules()[0]);
  const auto builtin = BuiltinRules();
  strategy_.CountFired(builtin[3]);  // 'limit', as other strategies also call a rule
  ASSERT_EQ(builtin[3].name, builtin[0].name);
  EXPECT_EQ(region().ReadFired(/*builtin=*/false, 0).fired, 2u);
  for (std::size_t i = 0; i < builtin.size(); ++i) {
    EXPECT_EQ(region().ReadFired(/*builtin=*/true, i).fired, i == 3 ? 1u : 0u) << i;
  }
}

TEST_F(StrategyInForceTest, SettingsCanBeTakenBeforeARuleIsCompiled) {
  StoredSettings stored;
  stored.strategy = "low_latency";
  SettingValues values;
  values.Lower(Setting::kCheckpointFrames, 3);
  strategy_.TakeUncompiled(stored, values);
  EXPECT_FALSE(strategy_.is_compiled());
  EXPECT_EQ(strategy_.name(), "low_latency");
  EXPECT_EQ(strategy_[Setting::kCheckpointFrames], 3);
  EXPECT_TRUE(Follow());
  EXPECT_EQ(strategy_[Setting::kCheckpointFrames], 1000);
}

}  // namespace
}  // namespace walmanager
