// The list of settings is sound, and values out of range change nothing.
#include "ext/core/policy/settings.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "ext/core/control/layout_alerts.h"
#include "ext/core/control/layout_settings.h"

namespace walmanager {
namespace {

const SettingSpec& Spec(Setting setting) {
  return SettingSpecs()[static_cast<std::size_t>(setting)];
}

std::int64_t Bits(double real) { return std::bit_cast<std::int64_t>(real); }
SettingSpec Real(double minimum, double maximum) {
  return {"r", SettingKind::kReal, Bits(minimum), Bits(minimum), Bits(maximum), "", "a number"};
}
constexpr const char* kWords[] = {"low", "middle", "high"};
constexpr SettingSpec kOneOfThree{"c", SettingKind::kChoice, 1, 0, 2, "", "a choice", kWords};
constexpr SettingSpec kOnOrOff{"s", SettingKind::kSwitch, 1, 0, 1, "", "a switch"};

TEST(Settings, EachHasANameThatFitsAndADefaultInItsRange) {
  std::set<std::string> names;
  EXPECT_EQ(SettingSpecs().size(), kSettingCount);
  EXPECT_EQ(NamedSettingSpecs().size() + kThresholdSettings.size(), kSettingCount);
  EXPECT_LE(kSettingCount, layout::kSettings);
  for (const SettingSpec& spec : SettingSpecs()) {
    EXPECT_TRUE(names.insert(spec.name).second) << spec.name;
    EXPECT_LT(std::string(spec.name).size(), sizeof(layout::SettingEntry::name)) << spec.name;
    EXPECT_LT(std::string(spec.name).size(), sizeof(layout::AlertRecord::check_name)) << spec.name;
    for (const std::int64_t value : {spec.minimum, spec.default_value, spec.maximum}) {
      EXPECT_TRUE(IsInRange(spec, value)) << spec.name;
      EXPECT_EQ(GivenSetting(spec, ShownSetting(spec, value)), value) << spec.name;
    }
    EXPECT_NE(std::string(spec.description), "") << spec.name;
    if (spec.kind == SettingKind::kSwitch) {
      EXPECT_EQ(spec.minimum, 0) << spec.name;
      EXPECT_EQ(spec.maximum, 1) << spec.name;
    }
    const bool is_choice = spec.kind == SettingKind::kChoice;
    EXPECT_EQ(spec.choices.size(), is_choice ? static_cast<std::size_t>(spec.maximum) + 1 : 0);
  }
}

TEST(Settings, EnumeratorsNameTheirLines) {
  EXPECT_STREQ(Spec(Setting::kWalLimitBytes).name, "wal_limit_bytes");
  EXPECT_STREQ(Spec(Setting::kCheckpointFrames).name, "checkpoint_frames");
  EXPECT_STREQ(Spec(Setting::kCheckpointIntervalMs).name, "checkpoint_interval_ms");
  EXPECT_STREQ(Spec(Setting::kStallBudgetMs).name, "stall_budget_ms");
  EXPECT_STREQ(Spec(Setting::kSampleIntervalMs).name, "sample_interval_ms");
  EXPECT_STREQ(Spec(Setting::kAlertIntervalMs).name, "alert_interval_ms");
  EXPECT_STREQ(Spec(Setting::kAlertSamples).name, "alert_samples");
  EXPECT_STREQ(Spec(Setting::kReplicator).name, "replicator");
  EXPECT_STREQ(Spec(Setting::kReaderLeaseMs).name, "reader_lease_ms");
  EXPECT_STREQ(Spec(Setting::kAllowCancel).name, "allow_cancel");
}

TEST(Settings, NamesOfThresholdsAreNotIdentifiersAllOthersAre) {
  for (const SettingSpec& spec : SettingSpecs()) {
    const bool named = &spec < SettingSpecs().data() + kNamedSettingCount;
    EXPECT_EQ(std::string(spec.name).find('.') == std::string::npos, named) << spec.name;
    EXPECT_EQ(spec.kind != SettingKind::kReal, named) << spec.name;
  }
}

TEST(Settings, AThresholdIsMadeOfTheLineOfItsCheck) {
  for (const HealthThreshold& threshold : kHealthThresholds) {
    const std::pair<const char*, std::optional<double>> each[] = {
        {".warning", threshold.warning}, {".critical", threshold.critical}};
    for (const auto& [status, value] : each) {
      const auto index = FindSetting(std::string(threshold.check) + status);
      ASSERT_EQ(index.has_value(), value.has_value()) << threshold.check << status;
      if (!index) continue;
      const SettingSpec& spec = SettingSpecs()[*index];
      EXPECT_EQ(spec.kind, SettingKind::kReal);
      EXPECT_EQ(SettingValues().RealAt(*index), *value);
      EXPECT_STREQ(spec.unit, threshold.unit);
      EXPECT_EQ(std::bit_cast<double>(spec.minimum), threshold.minimum);
      EXPECT_EQ(std::bit_cast<double>(spec.maximum), threshold.maximum);
    }
  }
  const SettingSpec& latency = SettingSpecs()[*FindSetting("query_latency.critical")];
  EXPECT_STREQ(latency.description,
               "Time that 95 % of the statements of a minute stay below, if they are 10 or more; "
               "system_health reports critical at this many ms or more.");
}

TEST(Settings, AreFoundByTheirNameInAnyCase) {
  for (std::size_t i = 0; i < SettingSpecs().size(); ++i) {
    EXPECT_EQ(FindSetting(SettingSpecs()[i].name), i);
  }
  for (const char* name : {"", "wal_limit", "wal_limit_bytes "}) {
    EXPECT_EQ(FindSetting(name), std::nullopt) << name;
  }
  for (const char* name : {"WAL_LIMIT_BYTES", "Wal_Limit_Bytes"}) {
    EXPECT_EQ(FindSetting(name), FindSetting("wal_limit_bytes")) << name;
  }
}

TEST(Settings, MessagesNameWhatIsAllowed) {
  EXPECT_EQ(AllowedValues(Spec(Setting::kCheckpointFrames)), "an integer from 1 to 100000000");
  EXPECT_EQ(*ShownSetting(Spec(Setting::kCheckpointFrames), 64).integer(), 64);
  EXPECT_EQ(AllowedValues(kOnOrOff), "'on' or 'off'");
  EXPECT_EQ(*ShownSetting(kOnOrOff, 0).text(), "off");
  EXPECT_EQ(*ShownSetting(kOnOrOff, 1).text(), "on");
  EXPECT_EQ(AllowedValues(kOneOfThree), "'low', 'middle' or 'high'");
  EXPECT_EQ(*ShownSetting(kOneOfThree, 2).text(), "high");
  EXPECT_EQ(*ShownSetting(kOneOfThree, 3).text(), "middle") << "out of range: the default";
  EXPECT_EQ(AllowedValues(Real(0, 1)), "a number from 0 to 1");
  EXPECT_EQ(AllowedValues(Real(-0.5, 0.001)), "a number from -0.5 to 0.001");
  EXPECT_EQ(AllowedValues(Real(1, 1e15)), "a number from 1 to 1000000000000000");
  EXPECT_EQ(AllowedValues(Real(0, 1e300)), "a number from 0 to 1e+300");
  EXPECT_EQ(*ShownSetting(Real(0, 1), Bits(0.5)).real(), 0.5);
}

TEST(Settings, ValuesThatAreAllowed) {
  const SettingSpec& frames = Spec(Setting::kCheckpointFrames);
  EXPECT_EQ(GivenSetting(frames, 64), 64);
  EXPECT_EQ(GivenSetting(frames, 64.0), 64);
  for (const char* text : {"64", "64.0", "6.4e1"})
    EXPECT_EQ(GivenSetting(frames, text), 64) << text;
  EXPECT_EQ(GivenSetting(kOnOrOff, "on"), 1);
  EXPECT_EQ(GivenSetting(kOnOrOff, "ON"), 1);
  EXPECT_EQ(GivenSetting(kOnOrOff, "0"), 0);
  EXPECT_EQ(GivenSetting(kOnOrOff, "off"), 0);
  EXPECT_EQ(GivenSetting(kOnOrOff, 1), 1);
  EXPECT_EQ(GivenSetting(kOneOfThree, "high"), 2);
  EXPECT_EQ(GivenSetting(kOneOfThree, "High"), 2);
  EXPECT_EQ(GivenSetting(kOneOfThree, 2), std::nullopt);
  const SettingSpec share = Real(0, 1);
  EXPECT_EQ(GivenSetting(share, 1), Bits(1));
  EXPECT_EQ(GivenSetting(share, 0.25), Bits(0.25));
  EXPECT_EQ(GivenSetting(share, "0.25"), Bits(0.25));
  EXPECT_EQ(GivenSetting(share, -0.0), Bits(0)) << "zero has one sign";
  const SettingSpec negative = Real(-2, -1);
  EXPECT_EQ(GivenSetting(negative, -1.5), Bits(-1.5));
  const double infinity = std::numeric_limits<double>::infinity();
  for (const Value& bad :
       {Value(), Value("1x"), Value("nan"), Value("inf"), Value::Blob("1"), Value(-1e-9),
        Value(1.0000001), Value(2), Value(-1), Value(infinity), Value(-infinity),
        Value(std::nan("")), Value(std::numeric_limits<std::int64_t>::max())}) {
    EXPECT_EQ(GivenSetting(share, bad), std::nullopt) << bad.Shown();
  }
  for (const Value& bad : {Value(), Value("64 "), Value("6 4"), Value("0"), Value(64.5), Value(0),
                           Value(1e30), Value(std::nan("")), Value(infinity), Value::Blob("64")}) {
    EXPECT_EQ(GivenSetting(frames, bad), std::nullopt) << bad.Shown();
  }
  for (const Value& bad : {Value(), Value("yes"), Value(2), Value(1.0), Value::Blob("on")}) {
    EXPECT_EQ(GivenSetting(kOnOrOff, bad), std::nullopt) << bad.Shown();
  }
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
         {spec.minimum - 1, spec.maximum + 1, std::numeric_limits<std::int64_t>::min() + 1,
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

TEST(Settings, OnlyRealNumbersInRangeAreTaken) {
  const std::size_t index = *FindSetting("query_latency.warning");
  SettingValues values;
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double bad : {-1e-300, -1.0, 3'600'000.5, 1e300, infinity, -infinity, std::nan("")}) {
    values.Set(index, Bits(bad));
    EXPECT_EQ(values.RealAt(index), 100) << bad;
  }
  for (const double good : {0.0, 1e-300, 0.5, 3'600'000.0}) {
    values.Set(index, Bits(good));
    EXPECT_EQ(values.RealAt(index), good);
  }
}

}  // namespace
}  // namespace walmanager
