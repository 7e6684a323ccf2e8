// Settings are read as they were written and never mixed; impossible ones are left out.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <functional>

#include "ext/core/control/control_region.h"
#include "tests/unit/control_region_block.h"

namespace walmanager {
namespace {

TEST(ControlRegionSettings, SettingsAreReadAsTheyWereWritten) {
  MadeBlock block;
  const StoredSettings settings = FullSettings();
  ASSERT_TRUE(block.region.WriteSettings(settings).ok());
  const auto read = block.region.ReadSettings();
  ASSERT_TRUE(read.has_value());
  ExpectEqual(*read, settings);
}

TEST(ControlRegionSettings, EachWriteIsAGenerationInTheOtherCopy) {
  MadeBlock block;
  for (std::uint64_t generation = 1; generation <= 4; ++generation) {
    StoredSettings settings;
    settings.Set(SettingSpecs()[1], static_cast<std::int64_t>(generation), {});
    ASSERT_TRUE(block.region.WriteSettings(settings).ok());
    EXPECT_EQ(block.region.settings_generation(), generation);
    EXPECT_EQ(block.region.ReadSettings()->generation, generation);
    EXPECT_EQ(block.file->settings[generation & 1].settings[0].value,
              static_cast<std::int64_t>(generation));
    EXPECT_EQ(block.region.ReadSettings()->Values()[Setting::kCheckpointFrames],
              static_cast<std::int64_t>(generation));
  }
}

TEST(ControlRegionSettings, MoreThanThereIsRoomForIsAnErrorAndChangesNothing) {
  MadeBlock block;
  StoredSettings settings;
  settings.rules.assign(layout::kRules, RuleOf("mine", 1, "a"));
  EXPECT_TRUE(block.region.WriteSettings(settings).ok());
  settings.rules.push_back(RuleOf("mine", 1, "a"));
  const Status status = block.region.WriteSettings(settings);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message,
            "the control file has room for 192 settings and 128 rules of your own, asked were 0 "
            "and 129");
  settings.rules.clear();
  settings.settings.assign(layout::kSettings + 1, {"x", 1, 0, "", false});
  EXPECT_FALSE(block.region.WriteSettings(settings).ok());
  EXPECT_EQ(block.region.settings_generation(), 1u);
  EXPECT_EQ(block.region.ReadSettings()->rules.size(), layout::kRules);
}

TEST(ControlRegionSettings, AWriterKilledHalfWayLeavesTheCopyInForce) {
  MadeBlock block;
  const StoredSettings settings = FullSettings();
  for (int generation = 1; generation <= 3; ++generation) {
    ASSERT_TRUE(block.region.WriteSettings(settings).ok());
    layout::SettingsBlock& other =
        block.file->settings[(block.region.settings_generation() + 1) & 1];
    std::memset(&other, 0xa5, sizeof other / 2);
    ExpectEqual(*block.region.ReadSettings(), settings);
  }
}

TEST(ControlRegionSettings, TextsAreCutAtWholeCharacters) {
  MadeBlock block;
  StoredSettings settings;
  // changed_by has room for 39 bytes; the é is bytes 39 and 40.
  settings.Set(SettingSpecs()[1], 64, {std::string(38, 'x') + "é", 1});
  ASSERT_TRUE(block.region.WriteSettings(settings).ok());
  EXPECT_EQ(block.region.ReadSettings()->settings[0].changed_by, std::string(38, 'x'));
  settings.Set(SettingSpecs()[1], 64, {std::string(37, 'x') + "é", 1});
  ASSERT_TRUE(block.region.WriteSettings(settings).ok());
  EXPECT_EQ(block.region.ReadSettings()->settings[0].changed_by, std::string(37, 'x') + "é");
}

TEST(ControlRegionSettings, AReaderBesideAWriterNeverSeesAMixture) {
  MadeBlock block;
  std::atomic<bool> stop{false};
  std::atomic<int> reads{0}, mixtures{0}, given_up{0};
  std::thread writer([&] {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
    for (std::int64_t number = 1; std::chrono::steady_clock::now() < end; ++number) {
      StoredSettings settings;
      settings.strategy_changed = {"w", number};
      for (std::size_t i = 0; i < layout::kSettings; ++i) {
        settings.settings.push_back({"s" + std::to_string(i), number, number, "w", false});
      }
      for (std::size_t i = 0; i < layout::kRules; ++i) {
        settings.rules.push_back(RuleOf("mine", number, "r" + std::to_string(i)));
      }
      if (!block.region.WriteSettings(settings).ok()) ++mixtures;
    }
    stop = true;
  });
  RunThreads(2, [&](int) {
    std::uint64_t last = 0;
    while (!stop) {
      const auto read = block.region.ReadSettings();
      if (!read) {
        ++given_up;
        continue;
      }
      ++reads;
      const auto number = static_cast<std::int64_t>(read->generation);
      bool whole = read->generation >= last && read->strategy_changed.at_ms == number;
      whole = whole && read->rules.size() == (number == 0 ? 0 : layout::kRules);
      whole = whole && read->settings.size() == (number == 0 ? 0 : layout::kSettings);
      for (const auto& setting : read->settings) whole = whole && setting.value == number;
      for (const auto& rule : read->rules) whole = whole && rule.priority == number;
      if (!whole) ++mixtures;
      last = read->generation;
    }
  });
  writer.join();
  EXPECT_EQ(mixtures, 0);
  EXPECT_GT(reads, 0);
  EXPECT_LT(given_up, reads);
  EXPECT_GT(block.region.settings_generation(), 10u);
}

TEST(ControlRegionSettings, AStrategyThatIsNotThereFallsBackToTheDefault) {
  MadeBlock block;
  StoredSettings settings;
  settings.strategy = "gone";
  ASSERT_TRUE(block.region.WriteSettings(settings).ok());
  EXPECT_EQ(block.region.ReadSettings()->strategy, kDefaultStrategy);
}

TEST(ControlRegionSettings, ImpossibleRulesAreLeftOut) {
  const auto rules_after = [](const std::function<void(layout::RuleEntry&)>& change) {
    MadeBlock block;
    StoredSettings settings;
    settings.rules = {RuleOf("mine", 1, "a"), RuleOf("mine", 2, "b")};
    EXPECT_TRUE(block.region.WriteSettings(settings).ok());
    change(block.file->settings[1].rules[0]);
    std::string names;
    const auto read = block.region.ReadSettings();
    for (const Rule& rule : read->rules) names += rule.name;
    return names;
  };
  EXPECT_EQ(rules_after([](auto&) {}), "ab");
  EXPECT_EQ(rules_after([](auto& r) { r.mode = 4; }), "b");
  EXPECT_EQ(rules_after([](auto& r) { r.runs = 2; }), "b");
  EXPECT_EQ(rules_after([](auto& r) { r.name[0] = '\''; }), "b");
  EXPECT_EQ(rules_after([](auto& r) { r.name[0] = 0; }), "b");
  EXPECT_EQ(rules_after([](auto& r) { r.condition[0] = 0; }), "b");
  EXPECT_EQ(rules_after([](auto& r) { r.stall_budget_ms = -1; }), "b");
  EXPECT_EQ(rules_after([](auto& r) { r.stall_budget_ms = 1e300; }), "b");
  EXPECT_EQ(rules_after([](auto& r) { r.stall_budget_ms = std::nan(""); }), "b");
}

// What is read is not trusted, and the strategy's name goes into messages and rows.
TEST(ControlRegionSettings, BugRulesOfAStrategyWithoutAProperNameAreTaken) {
  for (const char* name : {"", "no good", "x'); --", "\xff\xfe"}) {
    MadeBlock block;
    StoredSettings settings;
    settings.rules = {RuleOf(name, 1, "a")};
    ASSERT_TRUE(block.region.WriteSettings(settings).ok());
    EXPECT_TRUE(block.region.ReadSettings()->rules.empty()) << name;
  }
}

TEST(ControlRegionSettings, BugRulesOutOfPriorityOrderAreTakenAsTheyStand) {
  MadeBlock block;
  StoredSettings settings;
  settings.rules = {RuleOf("mine", 20, "b"), RuleOf("mine", 10, "a")};
  ASSERT_TRUE(block.region.WriteSettings(settings).ok());
  const auto rules = block.region.ReadSettings()->RulesOf("mine");
  ASSERT_EQ(rules.size(), 2u);
  EXPECT_EQ(rules[0].name, "a");
}

}  // namespace
}  // namespace walmanager
