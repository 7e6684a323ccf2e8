// The list of settings is sound, and values out of range change nothing.
#include "ext/core/settings.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "ext/core/control_layout.h"

namespace walmanager {
namespace {

const SettingSpec& Spec(Setting setting) {
  return SettingSpecs()[static_cast<std::size_t>(setting)];
}

TEST(Settings, EachHasANameThatFitsAndADefaultInItsRange) {
  std::set<std::string> names;
  EXPECT_EQ(SettingSpecs().size(), kSettingCount);
  EXPECT_LE(kSettingCount, layout::kSettings);
  for (const SettingSpec& spec : SettingSpecs()) {
    EXPECT_TRUE(names.insert(spec.name).second) << spec.name;
    EXPECT_LT(std::string(spec.name).size(), sizeof(layout::SettingEntry::name)) << spec.name;
    EXPECT_LE(spec.minimum, spec.default_value) << spec.name;
    EXPECT_LE(spec.default_value, spec.maximum) << spec.name;
    EXPECT_NE(std::string(spec.description), "") << spec.name;
    if (spec.kind == SettingKind::kSwitch) {
      EXPECT_EQ(spec.minimum, 0) << spec.name;
      EXPECT_EQ(spec.maximum, 1) << spec.name;
    }
  }
}

TEST(Settings, EnumeratorsNameTheirLines) {
  EXPECT_STREQ(Spec(Setting::kWalLimitBytes).name, "wal_limit_bytes");
  EXPECT_STREQ(Spec(Setting::kCheckpointFrames).name, "checkpoint_frames");
  EXPECT_STREQ(Spec(Setting::kCheckpointIntervalMs).name, "checkpoint_interval_ms");
  EXPECT_STREQ(Spec(Setting::kStallBudgetMs).name, "stall_budget_ms");
  EXPECT_STREQ(Spec(Setting::kSampleIntervalMs).name, "sample_interval_ms");
}

TEST(Settings, AreFoundByTheirExactName) {
  for (std::size_t i = 0; i < SettingSpecs().size(); ++i) {
    EXPECT_EQ(FindSetting(SettingSpecs()[i].name), i);
  }
  for (const char* name : {"", "WAL_LIMIT_BYTES", "wal_limit", "wal_limit_bytes "}) {
    EXPECT_EQ(FindSetting(name), std::nullopt) << name;
  }
}

TEST(Settings, WordsForMessages) {
  EXPECT_EQ(AllowedValues(Spec(Setting::kCheckpointFrames)), "an integer from 1 to 100000000");
  EXPECT_EQ(SettingText(Spec(Setting::kCheckpointFrames), 64), "64");
  const SettingSpec on_or_off{"s", SettingKind::kSwitch, 1, 0, 1, "", "a switch"};
  EXPECT_EQ(AllowedValues(on_or_off), "'on' or 'off'");
  EXPECT_EQ(SettingText(on_or_off, 0), "off");
  EXPECT_EQ(SettingText(on_or_off, 1), "on");
}

TEST(Settings, ValuesBeginWithTheDefaults) {
  const SettingValues values;
  for (std::size_t i = 0; i < kSettingCount; ++i) {
    EXPECT_EQ(values.at(i), SettingSpecs()[i].default_value);
  }
  EXPECT_EQ(values[Setting::kCheckpointFrames], 1000);
  EXPECT_EQ(values[Setting::kWalLimitBytes], 64 * 1024 * 1024);
}

TEST(Settings, OnlyValuesInRangeAreTaken) {
  for (std::size_t i = 0; i < kSettingCount; ++i) {
    const SettingSpec& spec = SettingSpecs()[i];
    SettingValues values;
    for (const std::int64_t bad :
         {spec.minimum - 1, spec.maximum + 1, std::numeric_limits<std::int64_t>::min(),
          std::numeric_limits<std::int64_t>::max()}) {
      values.Set(i, bad);
      EXPECT_EQ(values.at(i), spec.default_value) << spec.name << " " << bad;
    }
    values.Set(i, spec.minimum);
    EXPECT_EQ(values.at(i), spec.minimum);
    values.Set(i, spec.maximum);
    EXPECT_EQ(values.at(i), spec.maximum);
    values.Set(kSettingCount, 5);
    values.Set(~std::size_t{0}, 5);
    EXPECT_EQ(values.at(i), spec.maximum) << "no such setting: ignored";
  }
}

}  // namespace
}  // namespace walmanager
