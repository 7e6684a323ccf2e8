// Which changes of a database's settings are allowed, and the exact message of those that are not.
#include "ext/core/policy/stored_settings.h"

#include <gtest/gtest.h>

#include <limits>

namespace walmanager {
namespace {

const ChangeMark kAnn{"ann (pid 1)", 1000};
const ChangeMark kBob{"bob (pid 2)", 2000};
const std::string kBuiltins =
    "conversation_workload, high_concurrency, low_latency, off, sqlite_default";

const SettingSpec& Spec(Setting setting) {
  return SettingSpecs()[static_cast<std::size_t>(setting)];
}
const SettingSpec& Frames() { return Spec(Setting::kCheckpointFrames); }

Rule RuleOf(const char* strategy, std::int64_t priority, const char* name) {
  Rule rule;
  rule.strategy = strategy;
  rule.priority = priority;
  rule.name = name;
  rule.condition = "1";
  return rule;
}

std::vector<std::string> NamesOf(const std::vector<Rule>& rules) {
  std::vector<std::string> names;
  for (const Rule& rule : rules) names.push_back(rule.strategy + "." + rule.name);
  return names;
}

std::string MessageOf(const Status& status) { return status.ok() ? "ok" : status.error().message; }

TEST(StoredSettings, BeginWithTheDefaults) {
  const StoredSettings stored;
  EXPECT_EQ(stored.strategy, "conversation_workload");
  EXPECT_EQ(stored.strategy_changed.at_ms, 0);
  EXPECT_EQ(stored.Values()[Setting::kCheckpointFrames], 1000);
  EXPECT_EQ(stored.Find("checkpoint_frames"), nullptr);
  EXPECT_EQ(stored.StrategyNames(), kBuiltins);
}

TEST(StoredSettings, SetKeepsTheLastValueAndItsProcess) {
  StoredSettings stored;
  stored.Set(Frames(), 64, kAnn);
  stored.Set(Spec(Setting::kStallBudgetMs), 5, kAnn);
  stored.Set(Frames(), 128, kBob);
  ASSERT_EQ(stored.settings.size(), 2u);
  const StoredSetting* frames = stored.Find("checkpoint_frames");
  ASSERT_NE(frames, nullptr);
  EXPECT_EQ(frames->value, 128);
  EXPECT_EQ(frames->changed_by, kBob.by);
  EXPECT_EQ(frames->changed_at_ms, kBob.at_ms);
  EXPECT_FALSE(frames->adopted);
  EXPECT_EQ(stored.Values()[Setting::kCheckpointFrames], 128);
  EXPECT_EQ(stored.Values()[Setting::kStallBudgetMs], 5);
}

TEST(StoredSettings, SetToNothingIsBackToTheDefault) {
  StoredSettings stored;
  stored.Set(Frames(), std::nullopt, kAnn);
  EXPECT_TRUE(stored.settings.empty());
  stored.Set(Frames(), 64, kAnn);
  stored.Set(Frames(), std::nullopt, kBob);
  EXPECT_EQ(stored.Find("checkpoint_frames"), nullptr);
  EXPECT_EQ(stored.Values()[Setting::kCheckpointFrames], 1000);
}

TEST(StoredSettings, ValuesIgnoreUnknownNamesAndValuesOutOfRange) {
  StoredSettings stored;
  stored.settings.push_back({"from_a_later_version", 7, 0, "", false});
  stored.settings.push_back({"checkpoint_frames", 0, 0, "", false});
  stored.settings.push_back(
      {"stall_budget_ms", std::numeric_limits<std::int64_t>::max(), 0, "", false});
  const SettingValues values = stored.Values();
  for (std::size_t i = 0; i < kSettingCount; ++i) {
    EXPECT_EQ(values.at(i), SettingSpecs()[i].default_value);
  }
}

TEST(StoredSettings, ARealNumberIsKeptByItsBits) {
  StoredSettings stored;
  const std::size_t index = *FindSetting("query_latency.warning");
  stored.Set(SettingSpecs()[index], std::bit_cast<std::int64_t>(0.1), kAnn);
  EXPECT_EQ(stored.Values().RealAt(index), 0.1);
  EXPECT_EQ(stored.Find("query_latency.warning")->changed_by, kAnn.by);
  for (const double bad : {-1.0, 1e300, std::numeric_limits<double>::infinity(),
                           std::numeric_limits<double>::quiet_NaN()}) {
    stored.settings[0].value = std::bit_cast<std::int64_t>(bad);
    EXPECT_EQ(stored.Values().RealAt(index), 100) << bad << ": the default";
  }
  stored.Set(SettingSpecs()[index], std::nullopt, kBob);
  EXPECT_TRUE(stored.settings.empty());
}

TEST(AdoptCheckpointFrames, FollowsThePragmaWhileItWasNotSet) {
  StoredSettings stored;
  EXPECT_TRUE(stored.AdoptCheckpointFrames(500, kAnn));
  EXPECT_TRUE(stored.Find("checkpoint_frames")->adopted);
  EXPECT_EQ(stored.Find("checkpoint_frames")->changed_by, kAnn.by);
  EXPECT_EQ(stored.Values()[Setting::kCheckpointFrames], 500);
  EXPECT_TRUE(stored.AdoptCheckpointFrames(600, kBob));
  EXPECT_EQ(stored.Values()[Setting::kCheckpointFrames], 600);
  EXPECT_EQ(stored.settings.size(), 1u);
}

TEST(AdoptCheckpointFrames, NothingChangesWhereTheValueIsInForceAlready) {
  StoredSettings stored;
  EXPECT_FALSE(stored.AdoptCheckpointFrames(1000, kAnn)) << "the default";
  EXPECT_TRUE(stored.settings.empty());
  EXPECT_TRUE(stored.AdoptCheckpointFrames(500, kAnn));
  EXPECT_FALSE(stored.AdoptCheckpointFrames(500, kBob));
  EXPECT_EQ(stored.Find("checkpoint_frames")->changed_by, kAnn.by);
  EXPECT_TRUE(stored.AdoptCheckpointFrames(1000, kBob)) << "back to the default is a change";
}

TEST(AdoptCheckpointFrames, AValueThatWasSetOnPurposeStays) {
  StoredSettings stored;
  stored.Set(Frames(), 64, kAnn);
  EXPECT_FALSE(stored.AdoptCheckpointFrames(500, kBob));
  EXPECT_EQ(stored.Values()[Setting::kCheckpointFrames], 64);
  stored.Set(Frames(), 1000, kAnn);
  EXPECT_FALSE(stored.AdoptCheckpointFrames(500, kBob)) << "set to 1000 is not the default";
  stored.Set(Frames(), std::nullopt, kAnn);
  EXPECT_TRUE(stored.AdoptCheckpointFrames(500, kBob)) << "given back: followed again";
  stored.Set(Frames(), 500, kAnn);
  EXPECT_FALSE(stored.AdoptCheckpointFrames(600, kBob)) << "setting ends the following";
}

TEST(AdoptCheckpointFrames, ValuesOutOfRangeAreNotFollowed) {
  StoredSettings stored;
  for (const std::int64_t frames :
       {std::int64_t{0}, std::int64_t{-1}, std::int64_t{100'000'001},
        std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
    EXPECT_FALSE(stored.AdoptCheckpointFrames(frames, kAnn)) << frames;
  }
  EXPECT_TRUE(stored.settings.empty());
}

TEST(StoredSettings, AStrategyIsDefinedInPriorityOrder) {
  StoredSettings stored;
  ASSERT_TRUE(stored
                  .DefineStrategy("mine", {RuleOf("mine", 30, "c"), RuleOf("mine", 10, "a"),
                                           RuleOf("mine", 30, "d"), RuleOf("mine", 20, "b")})
                  .ok());
  EXPECT_EQ(NamesOf(stored.RulesOf("mine")),
            (std::vector<std::string>{"mine.a", "mine.b", "mine.c", "mine.d"}))
      << "equal priorities stay in the order given";
  EXPECT_EQ(stored.StrategyNames(), kBuiltins + ", mine");
  EXPECT_EQ(stored.strategy, "conversation_workload") << "defining does not select";
}

TEST(StoredSettings, DefiningAgainReplacesThatStrategyAlone) {
  StoredSettings stored;
  ASSERT_TRUE(stored.DefineStrategy("mine", {RuleOf("mine", 1, "a"), RuleOf("mine", 2, "b")}).ok());
  ASSERT_TRUE(stored.DefineStrategy("yours", {RuleOf("yours", 1, "a")}).ok());
  ASSERT_TRUE(stored.SelectStrategy("mine", kAnn).ok());
  ASSERT_TRUE(stored.DefineStrategy("mine", {RuleOf("mine", 1, "z")}).ok());
  EXPECT_EQ(NamesOf(stored.rules), (std::vector<std::string>{"yours.a", "mine.z"}));
  EXPECT_EQ(stored.strategy, "mine");
}

TEST(StoredSettings, BuiltinStrategiesAreFixed) {
  StoredSettings stored;
  for (const std::string name :
       {"conversation_workload", "high_concurrency", "low_latency", "off", "sqlite_default"}) {
    EXPECT_EQ(MessageOf(stored.DefineStrategy(name, {RuleOf(name.c_str(), 1, "a")})),
              "strategy '" + name + "' is built in and fixed; give yours another name");
    EXPECT_EQ(MessageOf(stored.DropStrategy(name)),
              "strategy '" + name + "' is built in and cannot be dropped");
  }
  EXPECT_TRUE(stored.rules.empty());
}

TEST(StoredSettings, AStrategyIsSelectedByItsName) {
  StoredSettings stored;
  ASSERT_TRUE(stored.DefineStrategy("mine", {RuleOf("mine", 1, "a")}).ok());
  EXPECT_EQ(MessageOf(stored.SelectStrategy("off", kAnn)), "ok");
  EXPECT_EQ(stored.strategy, "off");
  EXPECT_EQ(stored.strategy_changed.by, kAnn.by);
  EXPECT_EQ(stored.strategy_changed.at_ms, kAnn.at_ms);
  EXPECT_EQ(MessageOf(stored.SelectStrategy("mine", kBob)), "ok");
  EXPECT_EQ(MessageOf(stored.SelectStrategy("Min", kAnn)),
            "strategy 'Min' is not one of " + kBuiltins + ", mine");
  EXPECT_EQ(MessageOf(stored.SelectStrategy("", kAnn)),
            "strategy '' is not one of " + kBuiltins + ", mine");
  EXPECT_EQ(stored.strategy, "mine");
  EXPECT_EQ(stored.strategy_changed.by, kBob.by) << "an error leaves all as it was";
}

TEST(StoredSettings, AStrategyIsDroppedUnlessItIsActive) {
  StoredSettings stored;
  ASSERT_TRUE(stored.DefineStrategy("mine", {RuleOf("mine", 1, "a")}).ok());
  ASSERT_TRUE(stored.DefineStrategy("yours", {RuleOf("yours", 1, "a")}).ok());
  ASSERT_TRUE(stored.SelectStrategy("mine", kAnn).ok());
  EXPECT_EQ(MessageOf(stored.DropStrategy("mine")),
            "strategy 'mine' is active; choose another with wal_strategy first");
  EXPECT_EQ(MessageOf(stored.DropStrategy("hers")),
            "strategy 'hers' is not one of your own, which are mine, yours");
  EXPECT_EQ(NamesOf(stored.rules), (std::vector<std::string>{"mine.a", "yours.a"}));
  EXPECT_EQ(MessageOf(stored.DropStrategy("yours")), "ok");
  ASSERT_TRUE(stored.SelectStrategy("off", kAnn).ok());
  EXPECT_EQ(MessageOf(stored.DropStrategy("mine")), "ok");
  EXPECT_TRUE(stored.rules.empty());
}

TEST(StoredSettings, ANameInAnotherCaseIsTheSameStrategy) {
  StoredSettings stored;
  ASSERT_TRUE(stored.DefineStrategy("Mine", {RuleOf("Mine", 1, "a")}).ok());
  EXPECT_EQ(MessageOf(stored.SelectStrategy("MINE", kAnn)), "ok");
  EXPECT_EQ(stored.strategy, "Mine");
  ASSERT_TRUE(stored.DefineStrategy("mine", {RuleOf("mine", 1, "b")}).ok());
  EXPECT_EQ(NamesOf(stored.RulesOf(stored.strategy)), (std::vector<std::string>{"Mine.b"}))
      << "the active strategy keeps its rules and its spelling";
  EXPECT_EQ(MessageOf(stored.SelectStrategy("LOW_LATENCY", kAnn)), "ok");
  EXPECT_EQ(stored.strategy, "low_latency");
  EXPECT_EQ(MessageOf(stored.DropStrategy("mINE")), "ok");
  EXPECT_EQ(MessageOf(stored.DropStrategy("mine")),
            "strategy 'mine' does not exist: no strategy of your own is defined");
}

TEST(StoredSettings, WhatWasSetLaterElsewhereIsTakenOver) {
  const ChangeMark early{"early", 1000}, late{"late", 2000};
  const SettingSpec& frames = SettingSpecs()[*FindSetting("checkpoint_frames")];
  const SettingSpec& limit = SettingSpecs()[*FindSetting("wal_limit_bytes")];
  const SettingSpec& slow = SettingSpecs()[*FindSetting("slow_query_ms")];
  StoredSettings here, elsewhere;
  here.Set(frames, 100, early);
  here.Set(limit, 100'000, late);
  ASSERT_TRUE(here.SelectStrategy("off", early).ok());
  ASSERT_TRUE(here.DefineStrategy("both", {RuleOf("both", 1, "here")}).ok());
  elsewhere.Set(frames, 200, late);
  elsewhere.Set(limit, 200'000, early);
  elsewhere.Set(slow, 7, early);
  ASSERT_TRUE(elsewhere.DefineStrategy("Both", {RuleOf("Both", 1, "elsewhere")}).ok());
  ASSERT_TRUE(elsewhere.DefineStrategy("theirs", {RuleOf("theirs", 1, "a")}).ok());
  ASSERT_TRUE(elsewhere.SelectStrategy("theirs", late).ok());
  here.TakeOverLater(elsewhere);
  const SettingValues values = here.Values();
  EXPECT_EQ(values[Setting::kCheckpointFrames], 200);
  EXPECT_EQ(here.Find("checkpoint_frames")->changed_by, "late");
  EXPECT_EQ(values[Setting::kWalLimitBytes], 100'000);
  EXPECT_EQ(values[Setting::kSlowQueryMs], 7);
  EXPECT_EQ(here.settings.size(), 3u);
  EXPECT_EQ(NamesOf(here.rules), (std::vector<std::string>{"both.here", "theirs.a"}));
  EXPECT_EQ(here.strategy, "theirs");
  here.TakeOverLater(StoredSettings{});
  EXPECT_EQ(here.strategy, "theirs") << "what was never set is not taken over";
}

TEST(StoredSettings, ABuiltinStrategyCannotBeShadowed) {
  StoredSettings stored;
  stored.rules.push_back(RuleOf("off", 1, "foreign"));
  EXPECT_EQ(NamesOf(stored.RulesOf("off")), (std::vector<std::string>{"off.never"}));
}

}  // namespace
}  // namespace walmanager
