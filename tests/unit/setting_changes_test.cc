// How wal_alerts describes a change of settings.
#include "ext/core/policy/setting_changes.h"

#include <gtest/gtest.h>

namespace walmanager {
namespace {

std::vector<std::string> Words(const StoredSettings& before, const StoredSettings& after) {
  std::vector<std::string> words;
  for (const SettingChange& change : ChangesBetween(before, after)) {
    words.push_back(std::string(change.what) + " " + change.detail);
  }
  return words;
}

const SettingSpec& Spec(const char* name) { return SettingSpecs()[*FindSetting(name)]; }

Rule RuleOf(const std::string& strategy, const std::string& condition) {
  Rule rule;
  rule.strategy = strategy;
  rule.name = "r";
  rule.condition = condition;
  return rule;
}

TEST(SettingChanges, NothingChangedSaysNothing) {
  StoredSettings settings;
  settings.Set(Spec("slow_query_ms"), 5, {"me", 1});
  EXPECT_TRUE(Words(settings, settings).empty());
}

TEST(SettingChanges, ASettingSaysItsValueBeforeAndNow) {
  const StoredSettings before;
  StoredSettings after;
  after.Set(Spec("slow_query_ms"), 5, {"me", 1});
  after.Set(Spec("backpressure"), 1, {"me", 1});
  EXPECT_EQ(Words(before, after),
            (std::vector<std::string>{"setting backpressure: 'off' before, 'on' now",
                                      "setting slow_query_ms: 100 before, 5 now"}));
  EXPECT_EQ(Words(after, before).back(), "setting slow_query_ms: 5 before, 100 now");
}

TEST(SettingChanges, SettingTheSameValueIsNoChange) {
  const StoredSettings before;
  StoredSettings after;
  after.Set(Spec("slow_query_ms"), 100, {"me", 1});
  EXPECT_TRUE(Words(before, after).empty());
}

TEST(SettingChanges, StrategiesAreChosenDefinedAndDropped) {
  const StoredSettings before;
  StoredSettings defined;
  ASSERT_TRUE(defined.DefineStrategy("mine", {RuleOf("mine", "1")}).ok());
  EXPECT_EQ(Words(before, defined), std::vector<std::string>{"strategy mine was defined"});
  StoredSettings anew;
  ASSERT_TRUE(anew.DefineStrategy("mine", {RuleOf("mine", "0")}).ok());
  EXPECT_EQ(Words(defined, anew), std::vector<std::string>{"strategy mine was defined anew"});
  EXPECT_EQ(Words(anew, before), std::vector<std::string>{"strategy mine was dropped"});
  StoredSettings chosen = defined;
  ASSERT_TRUE(chosen.SelectStrategy("mine", {"me", 1}).ok());
  EXPECT_EQ(Words(defined, chosen),
            std::vector<std::string>{"strategy conversation_workload before, mine now"});
}

}  // namespace
}  // namespace walmanager
