#include "ext/core/policy/look_plan.h"

#include <gtest/gtest.h>

#include <vector>

namespace walmanager {
namespace {

constexpr std::uint32_t kPage = 4096;
constexpr std::int64_t kFrame = kPage + kFrameHeaderBytes;

WalIndex Log(std::uint32_t max_frame, std::uint32_t backfill = 0) {
  WalIndex index;
  index.page_size = kPage;
  index.max_frame = max_frame;
  index.backfill = backfill;
  return index;
}

std::vector<Rule> DefaultRules() {
  std::vector<Rule> rules;
  for (const Rule& rule : BuiltinRules()) {
    if (rule.strategy == kDefaultStrategy) rules.push_back(rule);
  }
  return rules;
}

TEST(LeastDueFrames, IsTheSmallerOfCheckpointFramesAndAQuarterOfTheLimit) {
  SettingValues values;
  values.Lower(Setting::kWalLimitBytes, 400 * kFrame);
  values.Lower(Setting::kCheckpointFrames, 300);
  EXPECT_EQ(LeastDueFrames(values, kPage), 100);
  values.Lower(Setting::kCheckpointFrames, 70);
  EXPECT_EQ(LeastDueFrames(values, kPage), 70);
  values.Lower(Setting::kWalLimitBytes, 1);
  EXPECT_EQ(LeastDueFrames(values, kPage), 1);
}

TEST(PlanLook, BuiltInRulesAreNotAskedBeforeAnythingIsDue) {
  SettingValues values;
  values.Lower(Setting::kCheckpointFrames, 160);
  EXPECT_EQ(PlanLook(Log(3), values, DefaultRules(), 0, 160).look_frame, 160u);
  // Beyond that, every sixteenth part of checkpoint_frames.
  EXPECT_EQ(PlanLook(Log(200, 190), values, DefaultRules(), 0, 160).look_frame, 210u);
}

TEST(PlanLook, StrategiesThatBeginLateLookLate) {
  SettingValues values;
  values.Lower(Setting::kCheckpointFrames, 160);
  EXPECT_EQ(PlanLook(Log(200), values, DefaultRules(), 0, 800).look_frame, 800u);
  EXPECT_EQ(PlanLook(Log(801), values, DefaultRules(), 0, 800).look_frame, 811u);
  std::vector<Rule> rules = DefaultRules();
  rules.back().condition = "pending_frames >= checkpoint_frames";
  EXPECT_EQ(PlanLook(Log(3), values, rules, 0, 800).look_frame, 160u);
}

TEST(PlanLook, RulesOfTheUsersMayHoldEarlier) {
  SettingValues values;
  values.Lower(Setting::kCheckpointFrames, 160);
  std::vector<Rule> rules = DefaultRules();
  rules.front().builtin = false;
  EXPECT_EQ(PlanLook(Log(3), values, rules, 0, 160).look_frame, 13u);
  EXPECT_EQ(PlanLook(Log(3), values, {}, 0, 160).look_frame, 13u);
}

TEST(PlanLook, LandsOnTheFrameThatARuleOfTheUsersNames) {
  SettingValues values;
  std::vector<Rule> rules(1);
  const auto next = [&](const char* condition, const WalIndex& index) {
    rules.front().condition = condition;
    return PlanLook(index, values, rules, 0, 1000).look_frame;
  };
  EXPECT_EQ(next("readers > 9000", Log(100)), 101u + 61) << "every sixteenth part of 1000";
  EXPECT_EQ(next("wal_frames >= 130", Log(100)), 130u);
  EXPECT_EQ(next("wal_frames > 130", Log(130)), 131u);
  EXPECT_EQ(next("130 < wal_frames", Log(131)), 131u + 62);
  EXPECT_EQ(next("pending_frames = 30", Log(200, 180)), 210u);
  rules.front().condition = "pending_bytes >= " + std::to_string(20 * kFrame - 7);
  EXPECT_EQ(PlanLook(Log(110, 100), values, rules, 0, 1000).look_frame, 120u);
  EXPECT_EQ(next("wal_frames > 99999999999999999999999", Log(100)), 162u);
}

TEST(PlanLook, LandsOnTheFrameAtWhichAThresholdIsReached) {
  SettingValues values;
  values.Lower(Setting::kCheckpointFrames, 160);
  // 45 frames are copied: 160 more of them are due at frame 205.
  EXPECT_EQ(PlanLook(Log(200, 45), values, DefaultRules(), 0, 160).look_frame, 205u);
}

TEST(PlanLook, EachCommitLooksWhereTheyPauseOrAreSlowed) {
  SettingValues values;
  values.Lower(Setting::kWalLimitBytes, 400 * kFrame);
  EXPECT_EQ(PlanLook(Log(300), values, DefaultRules(), 300, 160).look_frame, 0u);
  EXPECT_NE(PlanLook(Log(299), values, DefaultRules(), 300, 160).look_frame, 0u);
  const LookPlan plan = PlanLook(Log(400), values, DefaultRules(), 0, 160);
  EXPECT_NE(plan.look_frame, 0u) << "backpressure is off";
  EXPECT_EQ(plan.pressure_frame, ~std::uint64_t{0});
  EXPECT_EQ(plan.wait_frame, 375u);
}

TEST(PlanLook, ACommitWaitsForTheLongestBudgetOfTheBuiltInRulesThatRunInCommits) {
  SettingValues values;
  Rule in_commit, in_background, of_the_user;
  in_commit.builtin = in_background.builtin = true;
  in_commit.stall_budget_ms = 3;
  in_background.runs = RuleRuns::kBackground;
  in_background.stall_budget_ms = 4;
  of_the_user.stall_budget_ms = 5;
  const std::vector<Rule> rules = {in_commit, in_background, of_the_user};
  EXPECT_EQ(PlanLook(Log(1), values, rules, 0, 160).wait_ns, 3'000'000u);
}

}  // namespace
}  // namespace walmanager
