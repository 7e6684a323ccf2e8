// Names, modes and limits of rules, the built-in ones, and which rule of several decides.
#include "ext/core/policy/strategy.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <utility>

#include "ext/core/base/value.h"
#include "ext/core/control/layout_settings.h"

namespace walmanager {
namespace {

Rule GoodRule() {
  Rule rule;
  rule.strategy = "mine";
  rule.name = "often";
  rule.condition = "pending_frames > 10";
  return rule;
}

std::string MessageOf(const Status& status) { return status.ok() ? "ok" : status.error().message; }

TEST(Strategy, ModesAreReadInAnyCaseAndNumberedAsInSqlite) {
  EXPECT_EQ(ParseMode("PASSIVE"), CheckpointMode::kPassive);
  EXPECT_EQ(ParseMode("full"), CheckpointMode::kFull);
  EXPECT_EQ(ParseMode("Restart"), CheckpointMode::kRestart);
  EXPECT_EQ(ParseMode("tRUNCATe"), CheckpointMode::kTruncate);
  for (const char* text : {"", "PASSIV", "PASSIVES", " FULL", "FULL ", "0", "FAST", "F\xdcLL"}) {
    EXPECT_EQ(ParseMode(text), std::nullopt) << text;
  }
  for (std::size_t i = 0; i < kCheckpointModes; ++i) {
    const auto mode = static_cast<CheckpointMode>(i);
    EXPECT_EQ(ParseMode(ModeName(mode)), mode);
  }
  EXPECT_EQ(static_cast<int>(CheckpointMode::kPassive), 0);
  EXPECT_EQ(static_cast<int>(CheckpointMode::kTruncate), 3);
}

TEST(Strategy, WhereARuleRunsIsReadInAnyCase) {
  EXPECT_EQ(ParseRuns("inline"), RuleRuns::kInline);
  EXPECT_EQ(ParseRuns("BackGround"), RuleRuns::kBackground);
  EXPECT_EQ(ParseRuns("both"), std::nullopt);
  EXPECT_STREQ(RunsName(RuleRuns::kInline), "inline");
  EXPECT_STREQ(RunsName(RuleRuns::kBackground), "background");
}

TEST(Strategy, NamesAre1To63LettersDigitsOrUnderscores) {
  const std::string longest(kMaxNameBytes, 'x');
  for (const std::string& name : {std::string("a"), std::string("_"), std::string("9"),
                                  std::string("Conversation_Workload_2"), longest}) {
    EXPECT_EQ(MessageOf(CheckName("name", name)), "ok") << name;
  }
  for (const std::string& name :
       {std::string(), longest + "x", std::string("a b"), std::string("a-b"), std::string("é"),
        std::string("a'b"), std::string("a\0b", 3), std::string("@"), std::string("["),
        std::string("`"), std::string("{"), std::string("/"), std::string(":")}) {
    EXPECT_EQ(MessageOf(CheckName("name", name)),
              "name " + ShownText(name) + " is not 1 to 63 letters, digits or underscores");
  }
}

TEST(Strategy, RulesAreCheckedWithTheirLimitsInTheMessage) {
  EXPECT_EQ(MessageOf(CheckRule(GoodRule())), "ok");
  Rule rule = GoodRule();
  rule.name = "no good";
  EXPECT_EQ(MessageOf(CheckRule(rule)),
            "rule 'no good' is not 1 to 63 letters, digits or underscores");
  rule = GoodRule();
  rule.condition = "";
  EXPECT_EQ(MessageOf(CheckRule(rule)),
            "rule 'often': condition has 0 bytes, allowed are 1 to 1023");
  rule.condition = std::string(kMaxConditionBytes, '1');
  EXPECT_EQ(MessageOf(CheckRule(rule)), "ok");
  rule.condition += '1';
  EXPECT_EQ(MessageOf(CheckRule(rule)),
            "rule 'often': condition has 1024 bytes, allowed are 1 to 1023");
}

TEST(Strategy, AStallBudgetIsANumberFrom0To10000) {
  Rule rule = GoodRule();
  for (const double good : {0.0, 0.5, 10'000.0}) {
    rule.stall_budget_ms = good;
    EXPECT_EQ(MessageOf(CheckRule(rule)), "ok") << good;
  }
  for (const double bad :
       {-0.001, 10'000.1, std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    rule.stall_budget_ms = bad;
    EXPECT_EQ(MessageOf(CheckRule(rule)), "rule 'often': stall_budget_ms " + Value(bad).Shown() +
                                              " is not a number from 0 to 10000")
        << bad;
  }
}

TEST(Strategy, LimitsAreThoseOfTheControlFile) {
  EXPECT_EQ(kMaxNameBytes + 1, sizeof(layout::RuleEntry::name));
  EXPECT_EQ(kMaxNameBytes + 1, sizeof(layout::RuleEntry::strategy));
  EXPECT_EQ(kMaxNameBytes + 1, sizeof(layout::SettingsBlock::active_strategy));
  EXPECT_EQ(kMaxConditionBytes + 1, sizeof(layout::RuleEntry::condition));
}

TEST(Strategy, BuiltinRulesAreSound) {
  EXPECT_LE(BuiltinRules().size(), layout::kBuiltinRules);
  std::set<std::pair<std::string, std::string>> names;
  std::set<std::string> strategies;
  const Rule* last = nullptr;
  for (const Rule& rule : BuiltinRules()) {
    EXPECT_TRUE(rule.builtin) << rule.name;
    EXPECT_EQ(MessageOf(CheckName("strategy", rule.strategy)), "ok");
    EXPECT_EQ(MessageOf(CheckRule(rule)), "ok");
    EXPECT_TRUE(names.insert({rule.strategy, rule.name}).second) << rule.strategy << rule.name;
    if (last && last->strategy == rule.strategy) {
      EXPECT_LT(last->priority, rule.priority) << rule.strategy << " " << rule.name;
    } else {
      EXPECT_TRUE(strategies.insert(rule.strategy).second) << rule.strategy << " is not together";
    }
    // ext/README.md, decision 5: the other modes make writers see SQLITE_BUSY.
    EXPECT_EQ(rule.mode, CheckpointMode::kPassive) << rule.strategy << " " << rule.name;
    last = &rule;
  }
}

TEST(Strategy, TheDefaultAndOffAreBuiltIn) {
  for (const char* name :
       {kDefaultStrategy, "high_concurrency", "low_latency", "off", "sqlite_default"}) {
    EXPECT_TRUE(IsBuiltinStrategy(name)) << name;
  }
  EXPECT_TRUE(IsBuiltinStrategy("OFF")) << "SQLite ignores case in names";
  for (const char* name : {"", "of", "mine"}) EXPECT_FALSE(IsBuiltinStrategy(name)) << name;
}

// A commit never copies a log of 1000 frames: that is the thread's work. What may make a commit
// wait for readers is the rule for a log beyond its limit alone.
TEST(Strategy, BuiltinRulesThatCopyRunInTheBackground) {
  std::vector<std::string> background;
  for (const Rule& rule : BuiltinRules()) {
    if (rule.runs == RuleRuns::kBackground) background.push_back(rule.strategy + "." + rule.name);
    EXPECT_EQ(rule.stall_budget_ms > 0, rule.name == "limit") << rule.strategy << rule.name;
  }
  EXPECT_EQ(background, (std::vector<std::string>{
                            "conversation_workload.frames", "conversation_workload.interval",
                            "high_concurrency.frames", "high_concurrency.interval",
                            "low_latency.frames", "low_latency.interval"}));
}

TEST(Strategy, EachFactIsNamedOnceAndReadsItsOwnField) {
  std::set<std::string> names;
  for (const FactSpec& fact : FactSpecs()) {
    EXPECT_TRUE(names.insert(fact.name).second) << fact.name;
    Facts facts;
    facts.*fact.value = 1.0;
    int known = 0;
    for (const FactSpec& other : FactSpecs()) known += (facts.*other.value).has_value() ? 1 : 0;
    EXPECT_EQ(known, 1) << fact.name << " shares its field";
  }
}

}  // namespace
}  // namespace walmanager
