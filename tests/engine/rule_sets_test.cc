#include "ext/checkpoint/rule_sets.h"

#include <gtest/gtest.h>

#include <thread>
#include <utility>
#include <vector>

namespace walmanager {
namespace {

std::vector<Rule> OneRule(const std::string& condition) {
  Rule rule;
  rule.strategy = "mine";
  rule.name = "only";
  rule.condition = condition;
  return {rule};
}

RuleSets::Borrowed Borrow(RuleSets& sets, const std::vector<Rule>& rules,
                          const SettingValues& settings = {}) {
  auto set = sets.Borrow(rules, settings);
  EXPECT_TRUE(set.ok());
  return set.ok() ? std::move(set.value()) : nullptr;
}

Facts WithFrames(double frames) {
  Facts facts;
  facts.wal_frames = frames;
  return facts;
}

TEST(RuleSetsTest, ASetThatWasGivenBackIsBorrowedAgain) {
  RuleSets sets;
  auto first = Borrow(sets, OneRule("wal_frames > 2"));
  const RuleSet* const known = first.get();
  sets.GiveBack(std::move(first));
  auto again = Borrow(sets, OneRule("wal_frames > 2"));
  EXPECT_EQ(again.get(), known);
  auto other = Borrow(sets, OneRule("wal_frames > 2"));
  EXPECT_NE(other.get(), known) << "the first one is in use";
  EXPECT_EQ(other->ChooseRule(WithFrames(3)), 0u);
}

TEST(RuleSetsTest, OtherRulesAreAnotherSet) {
  RuleSets sets;
  auto one = Borrow(sets, OneRule("wal_frames > 2"));
  const RuleSet* const first = one.get();
  sets.GiveBack(std::move(one));
  auto other = Borrow(sets, OneRule("wal_frames > 3"));
  EXPECT_NE(other.get(), first);
  EXPECT_EQ(other->ChooseRule(WithFrames(3)), std::nullopt);
  sets.GiveBack(std::move(other));
  EXPECT_EQ(Borrow(sets, OneRule("wal_frames > 2")).get(), first);
}

TEST(RuleSetsTest, ConditionsSeeTheSettingsOfTheBorrower) {
  RuleSets sets;
  SettingValues few, many;
  few.Set(static_cast<std::size_t>(Setting::kCheckpointFrames), 10);
  many.Set(static_cast<std::size_t>(Setting::kCheckpointFrames), 1000);
  const auto rules = OneRule("wal_frames >= checkpoint_frames");
  auto set = Borrow(sets, rules, few);
  const auto list = set->list();
  EXPECT_EQ(set->ChooseRule(WithFrames(100)), 0u);
  sets.GiveBack(std::move(set));
  auto lent = sets.Borrow(list, many);
  ASSERT_TRUE(lent.ok());
  EXPECT_EQ(lent.value()->list(), list);
  EXPECT_EQ(lent.value()->ChooseRule(WithFrames(100)), std::nullopt);
  sets.GiveBack(std::move(lent.value()));
  EXPECT_EQ(Borrow(sets, rules, few)->ChooseRule(WithFrames(100)), 0u);
}

TEST(RuleSetsTest, AnErrorNamesTheRule) {
  RuleSets sets;
  const auto set = sets.Borrow(OneRule("wal_frames >"), SettingValues());
  ASSERT_FALSE(set.ok());
  EXPECT_NE(set.error().message.find("only"), std::string::npos) << set.error().message;
}

TEST(RuleSetsTest, ManySetsAtOnceReplaceTheOldest) {
  RuleSets sets;
  std::vector<RuleSets::Borrowed> borrowed;
  for (int i = 0; i < 40; ++i) borrowed.push_back(Borrow(sets, OneRule("wal_frames > 2")));
  for (auto& set : borrowed) sets.GiveBack(std::move(set));
  EXPECT_EQ(Borrow(sets, OneRule("wal_frames > 2"))->ChooseRule(WithFrames(3)), 0u);
}

TEST(RuleSetsTest, ThreadsBorrowAtTheSameTime) {
  RuleSets sets;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&sets, thread] {
      SettingValues settings;
      settings.Set(static_cast<std::size_t>(Setting::kCheckpointFrames), 10 * (thread + 1));
      for (int i = 0; i < 500; ++i) {
        auto set = Borrow(sets, OneRule("wal_frames >= checkpoint_frames"), settings);
        ASSERT_EQ(set->ChooseRule(WithFrames(10 * (thread + 1))), 0u);
        ASSERT_EQ(set->ChooseRule(WithFrames(10 * (thread + 1) - 1)), std::nullopt);
        sets.GiveBack(std::move(set));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(RuleSetsTest, AllUsersOfTheProcessHaveTheSameOnes) {
  auto one = RuleSets::OfThisProcess();
  EXPECT_EQ(RuleSets::OfThisProcess(), one);
  const std::weak_ptr<RuleSets> left = one;
  one.reset();
  EXPECT_TRUE(left.expired());
}

}  // namespace
}  // namespace walmanager
